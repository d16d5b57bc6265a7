//! Faults while dead letters are replayed or moved: a kill or a lost broker can duplicate, and never lose.

use serde_json::{Value, json};

use super::dead_letters_cli::{
    LETTERS, RESULTS, adopting, all_succeeded, orders, ready, run, stopped, wait_for_ready, with_orphans,
};
use crate::support::amqp::{HEADERS, MESSAGE_ID, RawPublisher, long, nested, short};
use crate::support::process::Process;
use crate::support::{Proxy, Publisher, Service, Setup, event, repository, ticket, wait_for};

async fn moved(service: &Service, from: &str, to: &str) {
    service.vhost().move_messages(from, to).await;
}

#[tokio::test]
async fn killed_between_confirm_and_acknowledgement_a_replay_loses_nothing() {
    let orders = orders("kill", 5);
    let service = stopped(with_orphans(Setup::new().await, &orders).await).await;
    let proxy = Proxy::start();
    let tool = Setup::beside(&service).through(&proxy);
    proxy.lose_acks();
    let mut replay = Process::start(tool.command(&["dead-letters", "replay"]));
    wait_for("an acknowledgement is lost", async || proxy.has_lost_an_ack().then_some(())).await;
    replay.kill9().await;
    // Published and still here: twice, which changes nothing.
    wait_for_ready(&service, LETTERS, 5).await;
    assert!(ready(&service, RESULTS).await >= 1);
    let done = run(&service.setup, &["replay"]).await;
    assert!(done.status.success() && done.out.contains("5 replayed"), "{done:?}");
    let adopting = adopting(&service).await;
    all_succeeded(&adopting, &orders).await;
    assert_eq!(ready(&service, LETTERS).await, 0);
}

#[tokio::test]
async fn killed_at_any_moment_a_replay_loses_nothing() {
    let orders = orders("any", 60);
    let service = stopped(with_orphans(Setup::new().await, &orders).await).await;
    for lines in [0, 1, 2, 5, 9, 14] {
        let mut replay = Process::start(service.setup.command(&["dead-letters", "replay"]));
        wait_for("some are replayed", async || {
            (replay.logs().lines().len() >= lines || replay.ended().is_some()).then_some(())
        })
        .await;
        if replay.ended().is_none() {
            replay.kill9().await;
        }
        // Each is in one queue or in both.
        wait_for("what was held is back", async || {
            let together = ready(&service, LETTERS).await + ready(&service, RESULTS).await;
            (together >= 60).then_some(())
        })
        .await;
    }
    // The broker may still be putting back what the last one held.
    wait_for("the rest is replayed", async || {
        let rest = run(&service.setup, &["replay"]).await;
        assert!(rest.status.success(), "{rest:?}");
        (ready(&service, LETTERS).await == 0).then_some(())
    })
    .await;
    let adopting = adopting(&service).await;
    all_succeeded(&adopting, &orders).await;
    assert_eq!(ready(&service, LETTERS).await, 0);
}

#[tokio::test]
async fn a_broker_that_is_lost_in_the_midst_is_one_line_and_nothing_is_lost() {
    let orders = orders("lost", 5);
    let service = stopped(with_orphans(Setup::new().await, &orders).await).await;
    for command in [&["replay"][..], &["discard", "--reason", "missing_field"]] {
        let proxy = Proxy::start();
        let tool = Setup::beside(&service).through(&proxy);
        proxy.lose_acks();
        let (done, ()) = tokio::join!(run(&tool, command), async {
            wait_for("an acknowledgement is lost", async || proxy.has_lost_an_ack().then_some(())).await;
            proxy.cut_and_pass();
        });
        assert!(!done.status.success() && done.err.lines().count() == 1, "{done:?}");
        assert!(done.err.contains("lost"), "{done:?}");
        wait_for_ready(&service, LETTERS, 5).await;
    }
}

#[tokio::test]
async fn messages_that_the_console_moves_are_fresh_events() {
    let orders = orders("move", 3);
    let service = stopped(with_orphans(Setup::new().await, &orders).await).await;
    let strict = Setup::beside(&service).set("PAYMENTS__BODY_BYTES_MAX", 256).start().await;
    moved(&service, LETTERS, RESULTS).await;
    let letters = wait_for("all have come back for another reason", async || {
        let list = run(&service.setup, &["list", "--json", "--reason", "too_large"]).await;
        (list.objects().len() == 3).then(|| list.objects())
    })
    .await;
    for letter in &letters {
        // A move is nobody's replay, and not where the message comes from.
        assert_eq!((&letter["replays"], &letter["failed_again"]), (&json!(0), &json!(false)), "{letter}");
        assert_eq!((&letter["routing_key"], &letter["exchange"]), (&json!("payment.result.test"), &json!("payments")));
        assert!(letter["history"][0].as_str().unwrap().starts_with("missing_field: "), "{letter}");
        assert!(letter["error"].as_str().unwrap().contains("256"), "{letter}");
    }
    drop(stopped(strict).await);
    let adopting = adopting(&service).await;
    moved(&service, LETTERS, RESULTS).await;
    all_succeeded(&adopting, &orders).await;
    assert_eq!(ready(&service, LETTERS).await, 0);
}

#[tokio::test]
async fn the_shipped_permissions_suffice_for_every_command() {
    let text = std::fs::read_to_string(repository().join("config/rabbitmq/definitions.json")).unwrap();
    let definitions: Value = serde_json::from_str(&text).unwrap();
    let permissions = definitions["permissions"].as_array().unwrap();
    let permissions = permissions.iter().find(|permission| permission["user"] == "notifier").unwrap();
    let setup = Setup::new().await;
    setup.vhost().import(&definitions).await;
    let user = setup.vhost().user(permissions).await;
    let service = setup.set("AMQP__URL", user.amqp_url()).set("AMQP__DECLARE", false).start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    for _ in 0..2 {
        publisher.publish_bytes(b"hunter2", lapin::BasicProperties::default()).await;
    }
    wait_for_ready(&service, LETTERS, 2).await;
    for command in [&["list"][..], &["show"], &["replay", "--limit", "1"], &["discard", "--yes", "--limit", "1"]] {
        let done = run(&service.setup, command).await;
        assert!(done.status.success() && done.err.is_empty(), "{done:?}");
        assert!(done.out.contains('1') || done.out.contains('2'), "{done:?}");
    }
}

#[tokio::test]
async fn dead_letters_whose_properties_are_no_text_are_listed_and_replayed_like_others() {
    let service = Service::start().await;
    // As RabbitMQ puts them there itself, at its delivery limit for instance.
    let (url, exchange) = (service.vhost().amqp_url(), LETTERS);
    let bodies: Vec<_> = (0..3).map(|n| event(&format!("gbk-{n}"), "succeeded").to_string()).collect();
    let spoken = tokio::task::spawn_blocking(move || {
        let (mut publisher, gbk) = (RawPublisher::connect(&url), short(b"\xb8\xb6\xbf\xee"));
        let body = |n: usize| bodies[n].as_bytes();
        publisher.publish_to(exchange, b"payment.result.x", MESSAGE_ID, &gbk, body(0));
        publisher.publish_to(exchange, b"payment.result.x", HEADERS, &long(&nested(b'F', 5_000)), body(1));
        publisher.publish_to(exchange, b"payment.result.\xb8\xb6", 0, &[], body(2));
    });
    spoken.await.unwrap();
    wait_for_ready(&service, LETTERS, 3).await;
    assert_eq!(run(&service.setup, &["list", "--json"]).await.objects().len(), 3);
    assert_eq!(run(&service.setup, &["show", "--json"]).await.objects().len(), 3);
    let done = run(&service.setup, &["replay"]).await;
    // Headers as large as a frame may hold may be refused, and then stay.
    let refused = u64::from(done.out.contains("2 replayed"));
    assert!(refused == 1 || done.out.contains("3 replayed"), "{done:?}");
    for order in ["gbk-0", "gbk-2"] {
        service.payment_with_status(order, &ticket(order), "succeeded").await;
    }
    wait_for_ready(&service, LETTERS, refused).await;
    service.metric_is("payment_notifier_broker_connects_total", "ok", 1.0).await;
}
