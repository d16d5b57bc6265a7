//! Who may use the operators' listener: by token, by name of the host, by origin of a browser.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HOST, ORIGIN};
use serde_json::json;

use crate::support::api::Answer;
use crate::support::{Publisher, Service, Setup, event, ticket, tools, wait_for};

const TOKEN: &str = "correct-horse-battery";
const GUARDED: [&str; 8] = [
    "/",
    "/metrics",
    "/v1/status",
    "/v1/orders/shop/a",
    "/v1/dead-letters",
    "/orders",
    "/assets/admin.css",
    "/there-is-no-such-page",
];

/// A request with some headers.
async fn ask(service: &Service, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = service.client.request(method, format!("http://{}{path}", service.admin));
    Answer::of(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
}

async fn with_authorization(service: &Service, path: &str, value: &str) -> Answer {
    ask(service, Method::GET, path, &[(AUTHORIZATION.as_str(), value)]).await
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

#[tokio::test]
async fn with_a_token_everything_but_health_wants_it_in_either_form() {
    let service = Setup::new().await.set("ADMIN__TOKEN", TOKEN).start().await;
    for path in ["/livez", "/healthz", "/readyz", "/readyz/store", "/readyz?exclude=broker,consumer", "/readyz?verbose"]
    {
        assert_eq!(service.admin_get(path).await.status, 200, "{path}");
    }
    for path in GUARDED {
        let refused = service.admin_get(path).await;
        assert_eq!(refused.status, 401, "{path}");
        let challenges: Vec<_> = refused.headers.get_all("www-authenticate").iter().collect();
        assert_eq!(challenges, [r#"Basic realm="payment-notifier", charset="UTF-8""#, "Bearer"], "{path}");
        assert!(!refused.text.contains("SQLite") && !refused.text.contains(TOKEN), "{}", refused.text);
    }
    service.admin_get("/v1/status").await.assert_problem(401, "unauthorized");
    let bearer = format!("Bearer {TOKEN}");
    for good in [bearer.clone(), basic("anybody", TOKEN), basic("", TOKEN), format!("bEARER {TOKEN}")] {
        assert_eq!(with_authorization(&service, "/v1/status", &good).await.status, 200, "{good}");
        assert_eq!(with_authorization(&service, "/", &good).await.status, 200, "{good}");
    }
    // A browser does not give a login to a name that it was not given for, so any name will do.
    let by_name = [(AUTHORIZATION.as_str(), bearer.as_str()), (HOST.as_str(), "ops.example")];
    assert_eq!(ask(&service, Method::GET, "/v1/status", &by_name).await.status, 200);
    for bad in [format!("Bearer {TOKEN}x"), basic(TOKEN, "x"), format!("Digest {TOKEN}"), TOKEN.to_owned()] {
        assert_eq!(with_authorization(&service, "/v1/status", &bad).await.status, 401, "{bad}");
    }
    assert!(!service.logs().text().contains(TOKEN));
}

#[tokio::test]
async fn guesses_of_one_address_are_bounded_whatever_comes_after_them() {
    let service = Setup::new().await.set("ADMIN__TOKEN", TOKEN).start().await;
    // Some at a time: one after the other might be no faster than what is allowed.
    let refused = wait_for("too many guesses", async || {
        let guess =
            async |n: u32| with_authorization(&service, "/v1/status", &format!("Bearer guess-number-{n}")).await;
        let answers = join_all((0..30).map(guess)).await;
        assert!(answers.iter().all(|answer| matches!(answer.status, 401 | 429)), "{answers:?}");
        answers.into_iter().find(|answer| answer.status == 429)
    })
    .await;
    refused.assert_problem(429, "rate_limited");
    assert!(!refused.header("retry-after").is_empty());
    // A person without a token is no guess, and neither is a probe.
    assert_eq!(service.admin_get("/v1/status").await.status, 401);
    assert_eq!(service.admin_get("/readyz").await.status, 200);
    assert!(!service.logs().text().contains("guess-number"));
}

#[tokio::test]
async fn without_a_token_only_names_that_cannot_be_pointed_here_are_answered() {
    let service = Service::start().await;
    let port = service.admin.port();
    for host in [format!("evil.example:{port}"), "localhost.evil.example".to_owned()] {
        for path in GUARDED {
            let answer = ask(&service, Method::GET, path, &[(HOST.as_str(), &host)]).await;
            assert_eq!(answer.status, 421, "{host} {path}: {}", answer.text);
        }
        let answer = ask(&service, Method::POST, "/v1/revocations", &[(HOST.as_str(), &host)]).await;
        answer.assert_problem(421, "unknown_host");
        // Probes come by whatever name.
        for path in ["/livez", "/readyz", "/readyz/node"] {
            assert_eq!(ask(&service, Method::GET, path, &[(HOST.as_str(), &host)]).await.status, 200, "{path}");
        }
    }
    for host in [format!("localhost:{port}"), format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
        assert_eq!(ask(&service, Method::GET, "/v1/status", &[(HOST.as_str(), &host)]).await.status, 200, "{host}");
    }
}

#[tokio::test]
async fn other_web_sites_change_nothing_and_spend_no_look_at_the_dead_letters() {
    let service = Service::start().await;
    let ours = format!("http://{}", service.admin);
    let order = json!({ "merchant_id": "shop", "order_id": "csrf-1" });
    let revoke = async |headers: &[(&str, &str)]| {
        let request = service.client.post(format!("{ours}/v1/revocations")).json(&order);
        Answer::of(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
    };
    let foreign: [&[(&str, &str)]; 4] = [
        &[(ORIGIN.as_str(), "https://evil.example")],
        &[(ORIGIN.as_str(), "null")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site"), (ORIGIN.as_str(), "http://127.0.0.1:1")],
    ];
    for headers in foreign {
        revoke(headers).await.assert_problem(403, "cross_site");
        for path in ["/dead-letters/look", "/dead-letters/0123456789ab/replay"] {
            assert_eq!(ask(&service, Method::POST, path, headers).await.status, 403, "{path} {headers:?}");
        }
        ask(&service, Method::POST, "/v1/dead-letters/0123456789ab/replay", headers)
            .await
            .assert_problem(403, "cross_site");
        ask(&service, Method::GET, "/v1/dead-letters", headers).await.assert_problem(403, "cross_site");
        let page = ask(&service, Method::GET, "/dead-letters", headers).await;
        assert!(page.status == 403 && page.text.contains(r#"<a href="/dead-letters">"#), "{}", page.text);
        // What only shows is reached by a link from anywhere.
        assert_eq!(ask(&service, Method::GET, "/", headers).await.status, 200);
    }
    assert_eq!(service.metric("payment_notifier_revocations_in_force", "").await, 0.0);
    assert_eq!(revoke(&[(ORIGIN.as_str(), &ours)]).await.status, 200);
    assert_eq!(revoke(&[("sec-fetch-site", "same-origin"), (ORIGIN.as_str(), &ours)]).await.status, 200);
    assert_eq!(revoke(&[]).await.status, 200);
}

#[tokio::test]
async fn commands_send_the_token_and_say_so_where_it_is_another() {
    let service = Setup::new().await.set("ADMIN__TOKEN", TOKEN).start().await;
    Publisher::connect(service.vhost()).await.publish(&event("auth-1", "processing")).await;
    service.payment_with_status("auth-1", &ticket("auth-1"), "processing").await;
    let url = format!("http://{}", service.admin);
    let run = async |token: &str, arguments: &[&str]| {
        let mut command = service.setup.command(arguments);
        command.env("PAYMENT_NOTIFIER__ADMIN__TOKEN", token);
        tools::end_of(command, String::new()).await
    };
    let show = ["order", "show", "shop", "auth-1", "--admin", &url];
    let revoke = ["revoke", "--merchant", "shop", "--order", "auth-1", "--url", &url];
    for arguments in [&show[..], &revoke[..]] {
        let (status, out, err) = run(TOKEN, arguments).await;
        assert!(status.success() && !out.is_empty() && err.is_empty(), "{out}{err}");
        let (status, out, err) = run("another-token-of-16", arguments).await;
        assert!(!status.success() && out.is_empty(), "{out}");
        assert_eq!(err, format!("payment-notifier: {url} refuses this admin.token\n"));
    }
}
