//! `payment-notifier dead-letters`: looks that change nothing, replays that lose nothing, and nothing thrown away unasked.

use std::process::{Command, ExitStatus, Stdio};

use lapin::BasicProperties;
use lapin::types::AMQPValue;
use serde_json::{Value, json};

use crate::support::process::Process;
use crate::support::publisher::headers;
use crate::support::ticket::changed;
use crate::support::{Publisher, Service, Setup, event, ticket, wait_for, within};

pub(crate) const LETTERS: &str = "payment-notifier.dead-letters";
pub(crate) const RESULTS: &str = "payment-notifier.results";

/// What a command wrote, and how it ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    /// The objects of `--json`.
    pub(crate) fn objects(&self) -> Vec<Value> {
        assert!(self.status.success(), "{self:?}");
        self.out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
    }

    fn texts(&self, member: &str) -> Vec<String> {
        self.objects().iter().map(|object| object[member].as_str().unwrap_or_default().to_owned()).collect()
    }
}

pub(crate) async fn run(setup: &Setup, arguments: &[&str]) -> Done {
    ended(setup.command(&[&["dead-letters"], arguments].concat())).await
}

async fn ended(mut command: Command) -> Done {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = within("the command ends", output).await.unwrap().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Done { status: output.status, out: text(output.stdout), err: text(output.stderr) }
}

/// A result that names no merchant: bad for a service without `payments.default_merchant`, good for one with it.
pub(crate) fn orphan(order_id: &str) -> Vec<u8> {
    // Too large for a service that takes 256 bytes.
    let changes = json!({ "merchant_id": null, "payer": "openid-canary", "unknown": "x".repeat(256) });
    changed(event(order_id, "succeeded"), changes).to_string().into()
}

pub(crate) async fn ready(service: &Service, queue: &str) -> u64 {
    service.vhost().ready(queue).await
}

pub(crate) async fn wait_for_ready(service: &Service, queue: &str, count: u64) {
    let what = format!("{count} messages in {queue}");
    wait_for(&what, async || (ready(service, queue).await == count).then_some(())).await;
}

/// A service that has put aside a message for each of these orders.
pub(crate) async fn with_orphans(setup: Setup, orders: &[String]) -> Service {
    let service = setup.start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    for order_id in orders {
        publisher.publish_bytes(&orphan(order_id), BasicProperties::default()).await;
    }
    wait_for_ready(&service, LETTERS, orders.len() as u64).await;
    service
}

/// The same service, stopped in order and not started again.
pub(crate) async fn stopped(mut service: Service) -> Service {
    service.terminate();
    assert!(service.wait_end().await.success());
    service
}

/// Another service on the same vhost, for which the orphans are good.
pub(crate) async fn adopting(service: &Service) -> Service {
    Setup::beside(service).set("PAYMENTS__DEFAULT_MERCHANT", "shop").start().await
}

pub(crate) fn orders(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{name}-{n:03}")).collect()
}

pub(crate) async fn all_succeeded(service: &Service, orders: &[String]) {
    for order_id in orders {
        service.payment_with_status(order_id, &ticket(order_id.as_str()), "succeeded").await;
    }
}

#[tokio::test]
async fn looks_show_everything_but_the_body_and_change_neither_number_nor_order() {
    // More than a few, since the broker puts back a few in order whatever one does.
    let orders = orders("look", 60);
    let service = stopped(with_orphans(Setup::new().await, &orders).await).await;
    let first = run(&service.setup, &["list", "--json"]).await;
    assert_eq!(first.objects().len(), 60);
    assert!(first.objects().iter().all(|letter| letter["reason"] == "missing_field" && letter["replays"] == 0));
    let shown = run(&service.setup, &["show", "--json", "--limit", "1000"]).await;
    let table = run(&service.setup, &["list"]).await;
    assert!(table.out.contains("ROUTING KEY") && table.out.contains("60 dead letters, 60 in the queue"), "{table:?}");
    assert!(table.err.is_empty(), "{table:?}");
    let few = run(&service.setup, &["list", "--json", "--limit", "7"]).await;
    assert_eq!(few.texts("order_id"), first.texts("order_id")[..7]);
    let last = run(&service.setup, &["list", "--json"]).await;
    assert_eq!(first.texts("order_id"), last.texts("order_id"));
    assert_eq!(first.texts("id"), shown.texts("id"));
    // One a look, on every line of RabbitMQ: the first saw none, the fifth what the four before it had cost.
    assert!(first.objects().iter().all(|letter| letter["delivery_count"] == 0), "{first:?}");
    assert!(last.objects().iter().all(|letter| letter["delivery_count"] == 4), "{last:?}");
    assert_eq!(ready(&service, LETTERS).await, 60);
    for done in [&first, &shown, &table] {
        assert!(!done.out.contains("openid-canary") && !done.err.contains("openid-canary"), "{done:?}");
    }
    let with_body = run(&service.setup, &["show", "--order", "look-007", "--body", "--json"]).await;
    let body: Value = serde_json::from_str(with_body.objects()[0]["body"].as_str().unwrap()).unwrap();
    assert_eq!((&body["order_id"], &body["payer"]), (&json!("look-007"), &json!("openid-canary")));
}

#[tokio::test]
async fn filters_limits_and_dry_runs_select_and_nothing_is_discarded_by_accident() {
    let service = Service::start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let named = BasicProperties::default().with_message_id("m-1".into());
    let paid = changed(event("pick-3", "succeeded"), json!({ "status": "PAID" })).to_string();
    let none = BasicProperties::default;
    let messages = [
        (b"hunter2\x1b[31m".to_vec(), none()),
        (orphan("pick-1"), named),
        (orphan("pick-2"), none()),
        (paid.into_bytes(), none()),
    ];
    // One by one, since what is put aside together comes in any order.
    for (before, (body, properties)) in (0..).zip(messages) {
        publisher.publish_bytes(&body, properties).await;
        wait_for_ready(&service, LETTERS, before + 1).await;
    }
    let count = async |arguments: &[&str]| {
        run(&service.setup, &[&["list", "--json"], arguments].concat()).await.objects().len()
    };

    assert_eq!(count(&["--reason", "missing_field"]).await, 2);
    assert_eq!(count(&["--reason", "missing_field", "--reason", "invalid_json"]).await, 3);
    assert_eq!(count(&["--reason", "missing_field", "--order", "pick-3"]).await, 0);
    assert_eq!(count(&["--order", "pick-2", "--order", "pick-3"]).await, 2);
    assert_eq!((count(&["--older-than", "1h"]).await, count(&["--newer-than", "1h"]).await), (0, 4));
    assert_eq!((count(&["--older-than", "0s"]).await, count(&["--limit", "3"]).await), (4, 3));
    let one = run(&service.setup, &["list", "--json", "--order", "pick-1"]).await.objects()[0].clone();
    assert_eq!(count(&["--id", &one["id"].as_str().unwrap()[..8]]).await, 1);
    // What a terminal would obey is not passed to it.
    let shown = run(&service.setup, &["show", "--reason", "invalid_json", "--body"]).await;
    assert!(shown.out.contains("hunter2\\u{1b}[31m") && !shown.out.contains('\u{1b}'), "{shown:?}");

    let unasked = run(&service.setup, &["discard"]).await;
    assert!(!unasked.status.success() && unasked.err.contains("--yes"), "{unasked:?}");
    for dry in [&["discard", "--dry-run"][..], &["replay", "--dry-run"], &["discard", "--dry-run", "--order", "pick-1"]]
    {
        let done = run(&service.setup, dry).await;
        assert!(done.status.success() && done.out.contains("would be"), "{done:?}");
    }
    assert_eq!(count(&[]).await, 4);
    let some = run(&service.setup, &["discard", "--reason", "missing_field", "--limit", "1"]).await;
    assert!(some.out.contains("(missing_field) of order pick-1") && some.out.contains("1 discarded"), "{some:?}");
    assert_eq!(run(&service.setup, &["list", "--json"]).await.texts("order_id"), ["", "pick-2", "pick-3"]);
    assert!(run(&service.setup, &["discard", "--yes"]).await.out.contains("3 discarded"));
    assert_eq!((count(&[]).await, ready(&service, LETTERS).await), (0, 0));
    let none = run(&service.setup, &["list"]).await;
    assert!(none.status.success() && none.out == "0 dead letters, 0 in the queue\n", "{none:?}");
}

#[tokio::test]
async fn a_replay_brings_the_result_to_its_page_as_it_was_published() {
    let setup = Setup::new().await;
    let service = setup.start().await;
    let properties = BasicProperties::default()
        .with_message_id("m-7".into())
        .with_content_type("application/json".into())
        .with_correlation_id("c-7".into())
        .with_headers(headers(&[("mine", "too")]));
    Publisher::connect(service.vhost()).await.publish_bytes(&orphan("again-1"), properties).await;
    wait_for_ready(&service, LETTERS, 1).await;
    let service = stopped(service).await;
    let done = run(&service.setup, &["replay"]).await;
    assert!(done.status.success() && done.out.contains("1 replayed"), "{done:?}");
    assert_eq!(ready(&service, LETTERS).await, 0);

    let message = service.vhost().peek(RESULTS).await;
    assert_eq!(
        (message["routing_key"].as_str(), message["exchange"].as_str()),
        (Some("payment.result.test"), Some("payments"))
    );
    let given = &message["properties"];
    assert_eq!((&given["message_id"], &given["correlation_id"]), (&json!("m-7"), &json!("c-7")));
    assert_eq!((&given["content_type"], &given["delivery_mode"]), (&json!("application/json"), &json!(2)));
    let given = &given["headers"];
    assert_eq!((&given["mine"], &given["x-replays"]), (&json!("too"), &json!(1)));
    assert!(given["x-reason-history"][0].as_str().unwrap().starts_with("missing_field: merchant_id"), "{given}");
    assert!(given["x-reason"].is_null() && given["x-error"].is_null(), "{given}");

    let adopting = adopting(&service).await;
    adopting.payment_with_status("again-1", &ticket("again-1"), "succeeded").await;
    assert_eq!(ready(&service, LETTERS).await, 0);
}

#[tokio::test]
async fn what_fails_again_for_the_same_reason_is_not_replayed_for_ever() {
    let service = with_orphans(Setup::new().await, &orders("loop", 1)).await;
    let first = run(&service.setup, &["replay"]).await;
    assert!(first.out.contains("1 replayed"), "{first:?}");
    wait_for_ready(&service, LETTERS, 1).await;
    for arguments in [&["replay"][..], &["replay", "--dry-run"]] {
        let second = run(&service.setup, arguments).await;
        assert!(second.status.success() && second.out.contains("failed again"), "{second:?}");
        assert!(second.out.contains("0 replayed") || second.out.contains("0 would be replayed"), "{second:?}");
    }
    let letter = run(&service.setup, &["list", "--json"]).await.objects()[0].clone();
    assert_eq!((&letter["replays"], &letter["failed_again"]), (&json!(1), &json!(true)));
    let forced = run(&service.setup, &["replay", "--again", "--order", "loop-000"]).await;
    assert!(forced.out.contains("1 replayed"), "{forced:?}");
    wait_for_ready(&service, LETTERS, 1).await;
    let letter = run(&service.setup, &["list", "--json"]).await.objects()[0].clone();
    assert_eq!((&letter["replays"], letter["history"].as_array().map(Vec::len)), (&json!(2), Some(2)));
    assert_eq!(letter["routing_key"], "payment.result.test");

    // For another reason it is worth another try.
    let service = stopped(service).await;
    let strict = Setup::beside(&service).set("PAYMENTS__BODY_BYTES_MAX", 256).start().await;
    let again = run(&service.setup, &["replay", "--again"]).await;
    assert!(again.out.contains("1 replayed"), "{again:?}");
    wait_for("another reason", async || {
        let list = run(&service.setup, &["list", "--json", "--reason", "too_large"]).await;
        (list.objects().len() == 1).then(|| assert_eq!(list.objects()[0]["failed_again"], false))
    })
    .await;
    let strict = stopped(strict).await;
    assert!(run(&strict.setup, &["replay"]).await.out.contains("1 replayed"));
    let adopting = adopting(&service).await;
    all_succeeded(&adopting, &orders("loop", 1)).await;
}

#[tokio::test]
async fn a_message_that_rabbitmq_dead_lettered_itself_shows_its_reason_and_can_be_replayed() {
    let service = stopped(Setup::new().await.set("AMQP__DELIVERY_LIMIT", 1).start().await).await;
    let publisher = Publisher::connect(service.vhost()).await;
    let body = event("limit-1", "succeeded").to_string();
    // A user id that is not the tool's own, as far as RabbitMQ lets anybody set it, and a stale reason.
    let mut table = headers(&[("x-reason", "invalid_json"), ("x-dead-lettered-at", "2026-01-01T00:00:00Z")]);
    table.insert("x-replays".into(), AMQPValue::LongInt(1));
    publisher.publish_bytes(body.as_bytes(), BasicProperties::default().with_headers(table)).await;
    publisher.refuse_until_gone(RESULTS).await;
    wait_for_ready(&service, LETTERS, 1).await;
    let letter = run(&service.setup, &["list", "--json", "--reason", "delivery_limit"]).await.objects()[0].clone();
    assert_eq!((&letter["order_id"], &letter["exchange"]), (&json!("limit-1"), &json!("payments")));
    assert!(letter["age_s"].as_i64().is_some_and(|age| age < 600), "{letter}");
    let done = run(&service.setup, &["replay", "--reason", "delivery_limit"]).await;
    assert!(done.out.contains("1 replayed"), "{done:?}");
    let message = service.vhost().peek(RESULTS).await;
    assert_eq!(message["properties"]["headers"]["x-death"][0]["reason"], "delivery_limit", "{message}");
    assert_eq!(message["routing_key"], "payment.result.test");
    let again = Setup::beside(&service).set("AMQP__DELIVERY_LIMIT", 1).start().await;
    again.payment_with_status("limit-1", &ticket("limit-1"), "succeeded").await;
}

#[tokio::test]
async fn what_cannot_be_routed_stays_and_ends_in_an_error() {
    let service = with_orphans(Setup::new().await, &orders("route", 2)).await;
    let done = run(&service.setup, &["replay", "--routing-key", "nowhere"]).await;
    assert!(!done.status.success() && done.out.contains("refused") && done.err.lines().count() == 1, "{done:?}");
    assert_eq!(ready(&service, LETTERS).await, 2);
}

#[tokio::test]
async fn a_queue_or_broker_that_is_not_there_is_one_clear_line() {
    let setup = Setup::new().await;
    let done = run(&setup, &["list"]).await;
    assert!(!done.status.success() && done.out.is_empty() && done.err.lines().count() == 1, "{done:?}");
    assert!(done.err.contains(LETTERS) && !done.err.contains(setup.vhost().password()), "{done:?}");
    let setup = setup.set("AMQP__URL", "amqp://u:hunter2@127.0.0.1:1/v");
    for command in ["list", "show", "replay"] {
        let done = run(&setup, &[command]).await;
        assert!(!done.status.success() && done.err.lines().count() == 1 && !done.err.contains("hunter2"), "{done:?}");
    }
}

#[tokio::test]
async fn two_operators_take_turns_and_replay_each_message_once() {
    let orders = orders("turn", 30);
    let service = stopped(with_orphans(Setup::new().await, &orders).await).await;
    let (one, two) =
        tokio::join!(run(&service.setup, &["replay", "--json"]), run(&service.setup, &["replay", "--json"]));
    assert_eq!(one.objects().len() + two.objects().len(), 30, "{one:?} {two:?}");
    assert_eq!((ready(&service, LETTERS).await, ready(&service, RESULTS).await), (0, 30));
    let first = Process::start(service.setup.command(&["dead-letters", "list"]));
    drop(first);
    assert!(run(&service.setup, &["list"]).await.status.success(), "an operator who was killed blocks nobody");
}

#[tokio::test]
async fn large_bodies_pass_in_bounded_memory() {
    let service = Service::start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    // Together more than a command keeps at once.
    let body = vec![b' '; 15 * 1024 * 1024];
    for n in 0..6 {
        let properties = BasicProperties::default().with_message_id(format!("big-{n}").as_str().into());
        publisher.publish_bytes(&body, properties).await;
    }
    wait_for_ready(&service, LETTERS, 6).await;
    let service = stopped(service).await;
    let list = run(&service.setup, &["list", "--json", "--reason", "too_large"]).await;
    assert!(list.objects().len() == 6 && list.objects()[5]["body_bytes"] == body.len(), "{list:?}");
    let shown = run(&service.setup, &["show", "--body", "--json"]).await;
    assert_eq!(shown.objects().len(), 4, "{}", shown.err);
    assert!(shown.err.contains("2 more"), "{}", shown.err);
    let done = run(&service.setup, &["replay"]).await;
    assert!(done.status.success() && done.out.contains("6 replayed"), "{done:?}");
    assert_eq!((ready(&service, LETTERS).await, ready(&service, RESULTS).await), (0, 6));
}
