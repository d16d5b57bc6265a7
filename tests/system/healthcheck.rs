//! `payment-notifier healthcheck`: what a container engine asks, from the settings that the service runs with.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;

use crate::support::{Page, Proxy, Service, Setup, ticket, tools, wait_for};

/// The command with the settings of the service, and the address that it really has.
fn healthcheck(service: &Service, arguments: &[&str]) -> Command {
    at(&service.setup, service.admin, arguments)
}

fn at(setup: &Setup, listen: SocketAddr, arguments: &[&str]) -> Command {
    let mut command = setup.command(&[&["healthcheck"], arguments].concat());
    command.env("PAYMENT_NOTIFIER__ADMIN__LISTEN", listen.to_string());
    command
}

async fn assert_ready(command: Command) {
    let (status, out, err) = tools::end_of(command, String::new()).await;
    assert_eq!((status.code(), out.as_str(), err.as_str()), (Some(0), "ready\n", ""));
}

/// Its one line on standard error.
async fn assert_unready(command: Command) -> String {
    let (status, out, err) = tools::end_of(command, String::new()).await;
    assert_eq!((status.code(), out.as_str(), err.lines().count()), (Some(1), "", 1), "{err}");
    err
}

#[tokio::test]
async fn it_finds_the_listener_wherever_the_settings_say_it_and_needs_no_token() {
    let token = "operators-token-0123456789";
    let service = Setup::new().await.set("ADMIN__LISTEN", "0.0.0.0:0").set("ADMIN__TOKEN", token).start().await;
    let listen = SocketAddr::from(([0, 0, 0, 0], service.admin.port()));
    let folder = service.setup.folder();
    assert_ready(at(&service.setup, listen, &[])).await;
    // What a proxy is for is elsewhere.
    let mut command = at(&service.setup, listen, &[]);
    command.env("HTTP_PROXY", "http://127.0.0.1:1").env("http_proxy", "http://127.0.0.1:1");
    assert_ready(command).await;

    let in_file = folder.join("admin_listen");
    std::fs::write(&in_file, format!("{listen}\n")).unwrap();
    let mut command = at(&service.setup, listen, &[]);
    command.env_remove("PAYMENT_NOTIFIER__ADMIN__LISTEN").env("PAYMENT_NOTIFIER__ADMIN__LISTEN_FILE", &in_file);
    assert_ready(command).await;

    let config = folder.join("service.toml");
    std::fs::write(&config, format!("[admin]\nlisten = \"{listen}\"\n")).unwrap();
    let mut command = at(&service.setup, listen, &[]);
    command.env_remove("PAYMENT_NOTIFIER__ADMIN__LISTEN").env("PAYMENT_NOTIFIER_CONFIG", &config);
    assert_ready(command).await;
    let mut command = at(&service.setup, listen, &["--config", config.to_str().unwrap()]);
    command.env_remove("PAYMENT_NOTIFIER__ADMIN__LISTEN").env("PAYMENT_NOTIFIER_CONFIG", "/no/such/file");
    assert_ready(command).await;

    let url = format!("http://localhost:{}/", service.admin.port());
    assert_ready(service.setup.command(&["healthcheck", "--admin", &url])).await;
    let said = assert_unready(service.setup.command(&["healthcheck"])).await;
    assert!(said.contains("admin.listen has port 0"), "{said}");
}

#[tokio::test]
async fn it_fails_where_pages_cannot_be_served_and_for_the_broker_only_if_asked() {
    let proxy = Proxy::start();
    let mut service = Setup::new().await.set("HTTP__DRAIN_S", 10).through(&proxy).start().await;
    // While it waits, the service has something to drain.
    let (page, _) = Page::subscribed(&service, &ticket("healthcheck-1")).await;
    assert_ready(healthcheck(&service, &["--exclude", ""])).await;
    proxy.refuse();
    service.wait_unready_for(&["broker", "consumer"]).await;
    assert_ready(healthcheck(&service, &[])).await;
    let said = assert_unready(healthcheck(&service, &["--exclude", ""])).await;
    assert!(said.starts_with("payment-notifier: not ready: broker: ") && said.contains("; consumer: "), "{said}");
    assert_unready(healthcheck(&service, &["--exclude", "consumer"])).await;

    service.terminate();
    wait_for("it drains", async || (service.admin_get("/readyz/node").await.status == 503).then_some(())).await;
    let said = assert_unready(healthcheck(&service, &[])).await;
    assert_eq!(said, "payment-notifier: not ready: node: draining\n");
    drop(page);
    service.wait_end().await;
    let said = assert_unready(healthcheck(&service, &[])).await;
    assert!(said.contains(&service.admin.to_string()) && said.contains("refused"), "{said}");
}

#[tokio::test]
async fn it_gives_up_in_time_and_takes_no_other_answer_for_a_good_one() {
    let service = Service::start().await;
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let said = assert_unready(at(&service.setup, silent.local_addr().unwrap(), &["--timeout-s", "1"])).await;
    assert!(said.contains("did not answer within 1 s"), "{said}");
    // The pages' listener knows no such path.
    let said = assert_unready(at(&service.setup, service.http, &[])).await;
    assert!(said.contains("404") && said.contains("not as an operators' listener would"), "{said}");
}
