//! Contract section 7: the commands, and settings that are wrong.

use std::process::Command;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::process::Process;
use crate::support::service::{PROGRAM, without_own_settings};
use crate::support::ticket::{API_KEY, SECRET};
use crate::support::{MERCHANT, Service, Setup, ticket, wait_for};

/// How a command ended, and what it said where.
struct Ended {
    success: bool,
    out: String,
    err: String,
}

async fn run(mut command: Command) -> Ended {
    let output = tokio::task::spawn_blocking(move || command.output().expect("the program can be run"));
    let output = crate::support::within("the command ends", output).await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    Ended { success: output.status.success(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// The program with nothing but these variables, away from any vhost.
async fn bare(arguments: &[&str], env: &[(&str, &str)]) -> Ended {
    let mut command = Command::new(PROGRAM);
    without_own_settings(&mut command);
    command.args(arguments).envs(env.iter().copied());
    run(command).await
}

#[tokio::test]
async fn a_wrong_or_unknown_key_is_one_line_that_names_it_and_a_non_zero_exit() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.toml");
    std::fs::write(&file, "[amqp]\nprefetsch = 10\n").unwrap();
    let file = file.to_str().unwrap();
    let cases: [(&[&str], &str, &str, &str); 9] = [
        (&["serve"], "PAYMENT_NOTIFIER__AMQP__URLL", "x", "PAYMENT_NOTIFIER__AMQP__URLL"),
        (&["serve"], "PAYMENT_NOTIFIER__NOSUCH__KEY", "x", "NOSUCH"),
        (&["serve"], "PAYMENT_NOTIFIER__AMQP__PREFETCH", "many", "amqp.prefetch"),
        (&["serve"], "PAYMENT_NOTIFIER__AMQP__PREFETCH", "0", "amqp.prefetch"),
        (&["config", "check"], "PAYMENT_NOTIFIER__HTTP__LISTEN", "somewhere", "http.listen"),
        (&["config", "check"], "PAYMENT_NOTIFIER__TICKETS__JWKS_FILE", "/no/such/file", "/no/such/file"),
        (&["config", "check"], "PAYMENT_NOTIFIER__TELEMETRY__LOG_FILTER", "info,=,=", "telemetry.log_filter"),
        (&["config", "show"], "PAYMENT_NOTIFIER__TICKETS__HS256_SECRET", "hunter2", "tickets.hs256_secret"),
        (&["--config", file, "config", "check"], "LC_ALL", "C", "amqp.prefetsch"),
    ];
    for (arguments, name, value, named) in cases {
        let ended = bare(arguments, &[(name, value)]).await;
        assert!(!ended.success, "{arguments:?} {name}={value}");
        assert!(ended.err.contains(named), "{name}={value}: {}", ended.err);
        assert_eq!(ended.err.trim_end().lines().count(), 1, "{}", ended.err);
        assert!(!ended.err.contains("hunter2") && !ended.err.contains("panicked"), "{}", ended.err);
        assert_eq!(ended.out, "", "{name}={value}");
    }
    let ended = bare(&["--config", "/no/such/config.toml", "config", "check"], &[]).await;
    assert!(!ended.success && ended.err.contains("/no/such/config.toml"), "{}", ended.err);
    assert_eq!(ended.err.trim_end().lines().count(), 1, "{}", ended.err);
}

#[tokio::test]
async fn an_address_that_is_taken_is_one_line_that_names_its_key() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = Setup::new().await.set("ADMIN__LISTEN", taken.local_addr().unwrap());
    let ended = run(setup.command(&["serve"])).await;
    assert!(!ended.success && ended.err.contains("admin.listen"), "{} {}", ended.out, ended.err);
    assert_eq!(ended.err.trim_end().lines().count(), 1, "{}", ended.err);
}

#[tokio::test]
async fn config_says_what_is_in_force_and_leaks_no_secret() {
    let env = [
        ("PAYMENT_NOTIFIER__AMQP__URL", "amqp://someone:broker-password@rabbit.example:5673/shop"),
        ("PAYMENT_NOTIFIER__TICKETS__HS256_SECRET", SECRET),
        ("PAYMENT_NOTIFIER__TICKETS__API_KEY", API_KEY),
        ("PAYMENT_NOTIFIER__HTTP__WAIT_S_MAX", "7"),
    ];
    let check = bare(&["config", "check"], &env).await;
    assert!(check.success, "{}", check.err);
    let show = bare(&["config", "show"], &env).await;
    assert!(show.success && show.out.contains("rabbit.example:5673/shop"), "{}{}", show.out, show.err);
    assert!(show.out.contains("wait_s_max = 7"), "{}", show.out);
    for secret in ["broker-password", SECRET, API_KEY] {
        assert!(!show.out.contains(secret) && !check.out.contains(secret), "{}", show.out);
    }
    // What is shown can be given back, once the secrets are put in.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shown.toml");
    std::fs::write(&file, &show.out).unwrap();
    let again = bare(&["--config", file.to_str().unwrap(), "config", "check"], &env).await;
    assert!(again.success, "{}", again.err);

    let listed = bare(&["config", "env"], &[]).await;
    assert!(listed.success, "{}", listed.err);
    assert!(listed.out.starts_with("# NAME_FILE=PATH"), "{}", listed.out);
    for name in ["PAYMENT_NOTIFIER__INSTANCE", "PAYMENT_NOTIFIER__AMQP__URL", "PAYMENT_NOTIFIER__HTTP__WAIT_S_MAX"] {
        assert!(listed.out.lines().any(|line| line.starts_with(&format!("{name}="))), "{name}");
    }
}

/// Each secret of ours, and what nobody may take for one.
#[tokio::test]
async fn a_secret_that_is_no_secret_ends_serve_and_check_with_the_command_that_makes_one() {
    let folder = tempfile::tempdir().unwrap();
    for (key, bytes) in [("TICKETS__HS256_SECRET", 32), ("TICKETS__API_KEY", 16), ("ADMIN__TOKEN", 16)] {
        let dotted = key.to_lowercase().replace("__", ".");
        for bad in [
            "REPLACE-WITH-THE-ANSWER-OF-openssl-rand-base64-48",
            "change-me-hunter2-hunter2-hunter2-h",
            &"hunter2".repeat(8),
        ] {
            let file = folder.path().join("secret");
            std::fs::write(&file, format!("a-good-one-0123456789-0123456789-012\n{bad}\n")).unwrap();
            let name = format!("PAYMENT_NOTIFIER__{key}");
            let by_file = (format!("{name}_FILE"), file.to_str().unwrap().to_owned());
            for (name, value, place) in [(name, bad.to_owned(), ""), (by_file.0, by_file.1, ", number 2 of 2,")] {
                for arguments in [["serve"].as_slice(), &["config", "check"], &["config", "show"]] {
                    let good = ("PAYMENT_NOTIFIER__TICKETS__HS256_SECRET", SECRET);
                    let with_good = [good, (&name, &value)];
                    let env = if key == "TICKETS__API_KEY" { &with_good[..] } else { &with_good[1..] };
                    let ended = bare(arguments, env).await;
                    assert!(!ended.success && ended.out.is_empty(), "{name}: {}", ended.out);
                    let (start, make) =
                        (format!("configuration: {dotted}{place} "), "make one with `openssl rand -base64 48`");
                    assert!(ended.err.contains(&start) && ended.err.contains(make), "{}", ended.err);
                    assert!(!ended.err.contains("hunter2") && !ended.err.contains("REPLACE"), "{}", ended.err);
                    assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
                }
            }
        }
        let made =
            Command::new("openssl").args(["rand", "-base64", "48"]).output().expect("openssl is installed").stdout;
        let made = String::from_utf8(made).unwrap();
        assert!(made.trim().len() > bytes);
        let good =
            [("PAYMENT_NOTIFIER__TICKETS__HS256_SECRET", SECRET), (&format!("PAYMENT_NOTIFIER__{key}"), made.trim())];
        let ended = bare(&["config", "check"], if bytes == 32 { &good[1..] } else { &good }).await;
        assert!(ended.success, "{}", ended.err);
    }
}

#[tokio::test]
async fn a_variable_that_is_not_utf_8_is_named_and_those_of_others_are_none_of_our_business() {
    use std::os::unix::ffi::OsStrExt;
    let latin = std::ffi::OsStr::from_bytes(b"caf\xe9");
    for (name, success) in [("PAYMENT_NOTIFIER__INSTANCE", false), ("SOMEBODY_ELSES", true)] {
        let mut command = Command::new(PROGRAM);
        without_own_settings(&mut command);
        command.args(["config", "check"]).env(name, latin);
        let ended = run(command).await;
        assert_eq!(ended.success, success, "{}", ended.err);
        assert!(!ended.err.contains("panicked") && (success || ended.err.contains(name)), "{}", ended.err);
    }
}

#[tokio::test]
async fn help_and_version_are_answers_and_a_wrong_command_is_not() {
    for arguments in [["--help"].as_slice(), &["serve", "--help"], &["--version"], &["help", "watch"]] {
        let ended = bare(arguments, &[]).await;
        assert!(ended.success && !ended.out.is_empty(), "{arguments:?}: {}", ended.err);
    }
    for arguments in [["serv"].as_slice(), &[], &["publish"], &["ticket"], &["watch", "--transport", "carrier-pigeon"]]
    {
        let ended = bare(arguments, &[]).await;
        assert!(!ended.success && !ended.err.is_empty(), "{arguments:?}");
    }
}

fn order<'a>(command: &'a str, order_id: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec![command, "--merchant", MERCHANT, "--order", order_id];
    arguments.extend(more);
    arguments
}

#[tokio::test]
async fn ticket_mints_what_the_service_takes() {
    let service = Service::start().await;
    let ended = run(service.setup.command(&order("ticket", "cli-1", &["--order", "cli-2", "--ttl-s", "60"]))).await;
    assert!(ended.success, "{}", ended.err);
    let minted = ended.out.trim();
    for order_id in ["cli-1", "cli-2"] {
        assert_eq!(service.payment(order_id, minted, "").await.status, 200);
    }
    service.payment("cli-3", minted, "").await.assert_problem(403, "forbidden");
    for bad in [["--ttl-s", "86401"], ["--ttl-s", "0"], ["--order", "a b"], ["--sub", ""]] {
        let ended = run(service.setup.command(&order("ticket", "cli-1", &bad))).await;
        assert!(!ended.success && ended.out.is_empty(), "{bad:?}: {}", ended.out);
        assert_eq!(ended.err.trim_end().lines().count(), 1, "{}", ended.err);
    }
}

#[tokio::test]
async fn publish_is_confirmed_and_says_when_nobody_would_get_it() {
    let mut service = Service::start().await;
    let published =
        async |service: &Service, more: &[&str]| run(service.setup.command(&order("publish", "pub-1", more))).await;
    let ended = published(&service, &["--status", "failed", "--amount", "1999", "--reason", "余额不足"]).await;
    assert!(ended.success && ended.out.contains("pub-1"), "{} {}", ended.out, ended.err);
    let payment = service.payment_with_status("pub-1", &ticket("pub-1"), "failed").await;
    assert_eq!(payment["amount"], json!({ "value": 1999, "currency": "CNY" }));
    assert_eq!(payment["reason"]["message"], "余额不足");
    for bad in [
        ["--status", "paid"],
        ["--amount", "-1"],
        ["--currency", "yuan"],
        ["--occurred-at", "today"],
        ["--transaction", ""],
        ["--provider", &"p".repeat(65)],
        ["--reason", &"r".repeat(2049)],
    ] {
        let ended = published(&service, &bad).await;
        assert!(!ended.success && !ended.err.is_empty(), "{bad:?}");
    }

    // Two numbers of the provider's for one order: it was paid twice.
    for number in ["4200A", "2026ALI"] {
        let ended = run(service.setup.command(&order("publish", "pub-2", &["--transaction", number]))).await;
        assert!(ended.success, "{}", ended.err);
    }
    wait_for("paid_twice in the timeline", async || {
        let timeline = service.admin_get(&format!("/v1/orders/{MERCHANT}/pub-2")).await;
        timeline.text.contains("\"paid_twice\"").then_some(())
    })
    .await;

    service.terminate();
    service.wait_end().await;
    service.vhost().remove("queues", "payment-notifier.results").await;
    let ended = published(&service, &[]).await;
    assert!(!ended.success && ended.out.is_empty(), "{}", ended.out);
    assert_eq!(ended.err.trim_end().lines().count(), 1, "{}", ended.err);
    service.vhost().delete().await;
    let ended = published(&service, &[]).await;
    assert!(!ended.success, "{}", ended.out);
    assert!(!ended.err.contains(service.vhost().password()), "{}", ended.err);
    service.vhost().make().await;
}

#[tokio::test]
async fn revoke_ends_a_ticket_or_an_order_and_takes_it_back() {
    let service = Service::start().await;
    let url = format!("http://{}", service.admin);
    let revoked = async |more: &[&str]| {
        let arguments = [&["revoke", "--url", &url], more].concat();
        run(service.setup.command(&arguments)).await
    };
    let (good, bad) = (ticket(json!(["revoke@1*", "revoke-2"])), ticket("revoke-2"));
    let status = async |order_id: &str, ticket: &str| service.payment(order_id, ticket, "").await.status;
    let ended = revoked(&["--merchant", MERCHANT, "--order", "revoke@1*"]).await;
    assert!(ended.success && ended.out.starts_with("revoked until 20"), "{} {}", ended.out, ended.err);
    assert_eq!((status("revoke@1*", &good).await, status("revoke-2", &good).await), (403, 200));
    assert!(revoked(&["--ticket", &bad, "--ttl-s", "600"]).await.success);
    assert_eq!((status("revoke-2", &bad).await, status("revoke-2", &good).await), (401, 200));
    assert!(revoked(&["--merchant", MERCHANT, "--order", "revoke@1*", "--lift"]).await.success);
    assert!(revoked(&["--ticket", &bad, "--lift"]).await.success);
    assert_eq!((status("revoke@1*", &good).await, status("revoke-2", &bad).await), (200, 200));
    for bad in [["--ticket", "hunter2"], ["--order", "a b"]] {
        let ended = revoked(&bad).await;
        assert!(!ended.success && ended.err.contains("bad_request"), "{} {}", ended.out, ended.err);
        assert_eq!(ended.err.trim_end().lines().count(), 1, "{}", ended.err);
    }
}

#[tokio::test]
async fn watch_prints_the_result_on_each_transport() {
    let service = Service::start().await;
    let url = format!("http://{}", service.http);
    for transport in ["websocket", "sse", "long-poll", "poll"] {
        let order_id = format!("watch*{transport}|1@a");
        let more = ["--url", &url, "--transport", transport, "--timeout-s", "30"];
        let mut watch = Process::start(service.setup.command(&order("watch", &order_id, &more)));
        // Whether it waits already does not matter: what was published before is shown too.
        let ended = run(service.setup.command(&order("publish", &order_id, &["--status", "succeeded"]))).await;
        assert!(ended.success, "{}", ended.err);
        assert!(watch.wait().await.success(), "{transport}: {}", watch.logs().text());
        let last = wait_for("its last line", async || watch.logs().lines().pop()).await;
        assert!(last.contains(&order_id) && last.contains("succeeded"), "{transport}: {last}");
    }
    let more = ["--url", &url, "--timeout-s", "1"];
    let ended = run(service.setup.command(&order("watch", "watch-never", &more))).await;
    assert!(!ended.success && !ended.err.is_empty(), "{}", ended.out);
    let more = ["--url", &url, "--ticket", "hunter2"];
    let ended = run(service.setup.command(&order("watch", "watch-never", &more))).await;
    assert!(!ended.success && ended.err.contains("invalid_ticket"), "{}", ended.err);
    let more = ["--url", &url, "--ticket", &ticket("watch-other")];
    let ended = run(service.setup.command(&order("watch", "watch-never", &more))).await;
    assert!(!ended.success && ended.err.contains("--ticket is not for order watch-never"), "{}", ended.err);

    // A ticket for several orders: only what is said of this one counts.
    let both = ticket(json!(["watch-done", "watch-open"]));
    let done = run(service.setup.command(&order("publish", "watch-done", &["--status", "succeeded"]))).await;
    assert!(done.success, "{}", done.err);
    service.payment_with_status("watch-done", &both, "succeeded").await;
    let more = ["--url", &url, "--ticket", &both, "--timeout-s", "2"];
    let ended = run(service.setup.command(&order("watch", "watch-open", &more))).await;
    assert!(!ended.success && !ended.out.contains("succeeded"), "{}", ended.out);
}

#[tokio::test]
async fn tickets_of_the_command_line_live_no_longer_than_any_may() {
    let service = Setup::new().await.set("TICKETS__LIFETIME_S_MAX", 600).start().await;
    let minted = run(service.setup.command(&order("ticket", "short-1", &[]))).await;
    assert!(minted.success, "{}", minted.err);
    let done = run(service.setup.command(&order("publish", "short-1", &["--status", "failed"]))).await;
    assert!(done.success, "{}", done.err);
    let url = format!("http://{}", service.http);
    let more = ["--url", &url, "--timeout-s", "3600"];
    let ended = run(service.setup.command(&order("watch", "short-1", &more))).await;
    assert!(ended.success && ended.out.contains("failed"), "{} {}", ended.out, ended.err);
}

#[tokio::test]
async fn no_token_and_no_ticket_goes_to_a_proxy_in_clear() {
    let service = Setup::new().await.set("ADMIN__TOKEN", "admin-0123456789abcdef").start().await;
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", proxy.local_addr().unwrap());
    let (pages, operators) = (format!("http://{}", service.http), format!("http://{}", service.admin));
    let by_proxy = async |arguments: &[&str]| {
        let mut command = service.setup.command(arguments);
        command.envs(["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"].map(|name| (name, &address)));
        command.envs([("no_proxy", ""), ("NO_PROXY", "")]);
        run(command).await
    };
    let done = by_proxy(&order("publish", "proxy-1", &["--status", "failed"])).await;
    assert!(done.success, "{}", done.err);
    for transport in ["sse", "long-poll", "poll"] {
        let ended = by_proxy(&order("watch", "proxy-1", &["--url", &pages, "--transport", transport])).await;
        assert!(ended.success, "{transport}: {}", ended.err);
    }
    let ended = by_proxy(&["order", "show", MERCHANT, "proxy-1", "--admin", &operators]).await;
    assert!(ended.success, "{}", ended.err);
    proxy.set_nonblocking(true).unwrap();
    assert!(proxy.accept().is_err(), "nobody came");
}

#[tokio::test]
async fn an_event_is_read_wherever_the_network_cuts_it() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let payment = r#"{"order_id":"cut-1","version":1,"status":"failed","final":true,"reason":{"message":"余额不足"},"display":{"a":"\ud83d","b":1e999}}"#;
    let event = format!("id: 1\nevent: payment\ndata: {payment}\n\n");
    let setup = Setup::new().await;
    let (ended, ()) =
        tokio::join!(run(setup.command(&order("watch", "cut-1", &["--url", &url, "--transport", "sse"]))), async {
            let (mut socket, _) = listener.accept().await.unwrap();
            socket.set_nodelay(true).unwrap();
            let mut request = [0; 4096];
            assert!(socket.read(&mut request).await.unwrap() > 0);
            socket.write_all(head.as_bytes()).await.unwrap();
            let middle = event.find('额').unwrap() + 1;
            for part in [&event.as_bytes()[..middle], &event.as_bytes()[middle..]] {
                socket.write_all(part).await.unwrap();
                socket.flush().await.unwrap();
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
    assert!(ended.success && ended.out.contains("failed"), "{} {}", ended.out, ended.err);
}
