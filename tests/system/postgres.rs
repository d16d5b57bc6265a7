//! The program on PostgreSQL: what holds on a file holds there, and a server that goes away is a pause.

use serde_json::json;

use crate::postgres_server::{Database, OwnServer};
use crate::support::process::Process;
use crate::support::{Page, Publisher, Service, Setup, event, ticket, wait_for};

/// Orders of one ticket.
const ORDERS: usize = 20;

async fn setup(database: &Database) -> Setup {
    Setup::new().await.set("STORE__URL", database.url()).set("STORE__POSTGRES_TIMEOUT_S", 10)
}

async fn dead_letters(service: &Service) -> u64 {
    let queue = service.vhost().get("queues", "payment-notifier.dead-letters").await;
    queue["messages"].as_u64().unwrap_or(0)
}

#[tokio::test]
async fn pages_are_told_and_a_restart_keeps_the_state() {
    let database = Database::create().await;
    let mut service = setup(&database).await.start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let ticket = ticket(json!(["pg-1", "pg-2"]));
    let (mut page, _) = Page::subscribed(&service, &crate::support::ticket("pg-1")).await;
    publisher.publish(&event("pg-1", "processing")).await;
    assert_eq!(page.payment().await["status"], "processing");
    publisher.publish(&event("pg-1", "succeeded")).await;
    assert_eq!(page.payment().await["status"], "succeeded");
    page.send(&json!({"type": "ack", "order_id": "pg-1", "version": 2})).await;
    let before = service.payment_with_status("pg-1", &ticket, "succeeded").await;

    service.terminate();
    assert!(service.wait_end().await.success(), "{}", service.logs().text());
    publisher.publish(&event("pg-2", "failed")).await;
    service.start_again().await;
    assert_eq!(service.payment("pg-1", &ticket, "").await.json, before);
    service.payment_with_status("pg-2", &ticket, "failed").await;
    assert_eq!(dead_letters(&service).await, 0);
}

#[tokio::test]
async fn a_restart_of_the_database_under_load_is_a_pause_that_loses_nothing() {
    let server = OwnServer::start().await;
    let database = Database::create_on(server.url()).await;
    let service = setup(&database).await.start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let orders: Vec<String> = (0..ORDERS).map(|n| format!("load-{n}")).collect();
    let ticket = ticket(json!(orders));
    let (mut page, _) = Page::subscribed(&service, &crate::support::ticket("load-0")).await;
    for verb in ["kill", "restart"] {
        let status = if verb == "kill" { "processing" } else { "succeeded" };
        let publishing = async {
            for order in &orders {
                publisher.publish(&event(order, status)).await;
            }
        };
        tokio::join!(publishing, server.script(verb));
        if verb == "kill" {
            let reason = service.wait_unready_for(&["store"]).await;
            assert!(!reason.contains("postgres://"), "{reason}");
            server.script("up").await;
        }
        page.payment_with_status(status).await;
        for order in &orders {
            service.payment_with_status(order, &ticket, status).await;
        }
        service.wait_ready().await;
    }
    assert_eq!(dead_letters(&service).await, 0);
    assert_eq!(service.metric("payment_notifier_dead_letters_total", "").await, 0.0);
}

#[tokio::test]
async fn what_a_page_has_shown_while_the_database_is_away_is_stored_when_it_is_back() {
    let server = OwnServer::start().await;
    let database = Database::create_on(server.url()).await;
    let service = setup(&database).await.set("STORE__POSTGRES_TIMEOUT_S", 1).start().await;
    let (mut page, _) = Page::subscribed(&service, &ticket("shown-1")).await;
    Publisher::connect(service.vhost()).await.publish(&event("shown-1", "succeeded")).await;
    page.payment_with_status("succeeded").await;
    server.script("kill").await;
    // As some languages write every number.
    page.send(&json!({"type": "ack", "order_id": "shown-1", "version": 1.0})).await;
    // The answer comes behind that of the acknowledgement, which is none.
    page.ping_pong().await;
    server.script("up").await;
    service.metric_is("payment_notifier_page_acks_total", "transport=\"websocket\"", 1.0).await;
}

#[tokio::test]
async fn a_database_that_is_away_at_the_start_is_waited_for_and_operators_are_told() {
    let server = OwnServer::start().await;
    let database = Database::create_on(server.url()).await;
    let setup = setup(&database).await;
    server.script("down").await;
    let serve = Process::start(setup.command(&["serve"]));
    let admin = wait_for("operators are listened to", async || {
        let lines = serve.logs().json();
        let line = lines.iter().find(|line| line["fields"]["message"] == "listening for operators only")?;
        line["fields"]["admin"].as_str().map(str::to_owned)
    })
    .await;
    let client = crate::support::api::client();
    let answer = client.get(format!("http://{admin}/readyz")).send().await.unwrap();
    assert_eq!(answer.status(), 503);
    let told = answer.text().await.unwrap();
    assert!(told.contains("refused"), "{told}");
    for (path, status) in
        [("/livez", 200), ("/healthz", 200), ("/readyz/store", 503), ("/readyz?exclude=broker,consumer", 503)]
    {
        let answer = client.get(format!("http://{admin}{path}")).send().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
    }
    server.script("up").await;
    wait_for("pages are admitted", async || {
        serve.logs().json().iter().any(|line| line["fields"]["message"] == "listening").then_some(())
    })
    .await;
    let password = database.url().split([':', '@']).nth(2).unwrap().to_owned();
    assert!(!serve.logs().text().contains(&password), "no password is logged");
}

#[tokio::test]
async fn an_address_that_cannot_be_used_is_one_line_and_a_non_zero_exit() {
    let setup = Setup::new().await.set("STORE__URL", "postgres://u:hunter2@h/d?sslmode=verify-ca");
    for command in ["serve", "config check"] {
        let mut process = Process::start(setup.command(&command.split(' ').collect::<Vec<_>>()));
        assert!(!process.wait().await.success());
        let lines = process.logs().lines();
        assert!(lines.len() == 1 && lines[0].contains("sslmode must be"), "{lines:?}");
        assert!(!lines[0].contains("hunter2"), "{lines:?}");
    }
}
