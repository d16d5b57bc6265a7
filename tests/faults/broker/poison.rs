//! Messages that are no payment results, of every kind, among many that are.

use std::collections::BTreeMap;

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, LongString};

use crate::ledger::Ledger;
use crate::support::{Publisher, Service, event, ticket, wait_for};

const RUNS: usize = 20;

/// What is no event, with its reason, each time with other bytes.
fn poison(run: usize) -> Vec<(Vec<u8>, &'static str)> {
    let whole = |order: String| event(&order, "succeeded").to_string();
    let with = |field: String| whole(format!("poison-{run}")).replacen('{', &format!("{{{field},"), 1).into_bytes();
    let (invalid, malformed) = ("invalid_json", "malformed_field");
    let text = format!("{{\"event_id\":\"poison-{run}\",\"order_id\":\"");
    vec![
        (format!("{}1{}", "[".repeat(33 + run), "]".repeat(33 + run)).into_bytes(), "too_deep"),
        (with(format!("\"display\":{}{run}{}", "[".repeat(40), "]".repeat(40))), "too_deep"),
        ("{\"a\":".repeat(10_000 + run).into_bytes(), "too_deep"),
        (vec![b' '; 64 * 1024 + 1 + run], "too_large"),
        (with(format!("\"order_id\":\"twice-{run}\"")), "duplicate_field"),
        (with(format!("\"order_\\u0069d\":\"escaped-{run}\"")), "duplicate_field"),
        ([text.as_bytes(), b"\xff\xfe\"}"].concat(), invalid),
        // A surrogate written in UTF-8, and an overlong slash.
        ([text.as_bytes(), b"\xed\xa0\x80\"}"].concat(), invalid),
        ([text.as_bytes(), b"\xc0\xaf\"}"].concat(), invalid),
        ([text.as_bytes(), b"a\0b\"}"].concat(), invalid),
        (format!("\0{}", whole(format!("zero-{run}"))).into_bytes(), invalid),
        (whole(format!("half-{run}")).replace("half-", "half\\ud800-").into_bytes(), malformed),
        (whole(format!("turned-{run}")).replace("turned-", "turned\\udc00\\ud800-").into_bytes(), malformed),
        (with(format!("\"amount\":{{\"value\":1e999,\"currency\":\"CNY\",\"n\":{run}}}")), malformed),
        (with(format!("\"x\":[NaN,{run}]")), invalid),
        // A BOM of UTF-16, and a text in it.
        (format!("\u{feff}run {run}").encode_utf16().flat_map(u16::to_le_bytes).collect(), invalid),
        ([b"\x1f\x8b\x08\0\0\0\0\0\0\x03", run.to_string().as_bytes()].concat(), invalid),
        ([b"\xac\xed\0\x05sr\0\x11java.lang.Integer", run.to_string().as_bytes()].concat(), invalid),
        (Vec::new(), invalid),
    ]
}

/// Properties that say what is not so, or that cannot be read: an event is an event by its body.
fn odd_properties() -> Vec<BasicProperties> {
    let none = BasicProperties::default;
    let bytes = || AMQPValue::LongString(LongString::from(b"\xff\xfe\0".to_vec()));
    let mut table = FieldTable::default();
    for name in ["x-note", "traceparent", "cloudEvents:subject", "timestamp_in_ms", ""] {
        table.insert(name.into(), bytes());
    }
    vec![
        none().with_headers(table),
        none().with_content_encoding("gzip".into()),
        none().with_content_type("application/x-java-serialized-object".into()),
    ]
}

#[tokio::test]
async fn poison_of_every_kind_is_put_aside_and_costs_no_other() {
    let service = Service::start().await;
    let ledger = Ledger::open("poison", &service).await;
    let publisher = Publisher::connect(service.vhost()).await;
    let mut by_reason = BTreeMap::<&str, f64>::new();
    let mut kinds = 0;
    for run in 0..RUNS {
        let poison = poison(run);
        kinds = poison.len();
        for (body, reason) in poison {
            let encoding = if body.starts_with(b"\x1f\x8b") { "gzip" } else { "" };
            let properties = BasicProperties::default().with_content_encoding(encoding.into());
            publisher.publish_bytes(&body, properties).await;
            ledger.is_put_aside(&body);
            *by_reason.entry(reason).or_default() += 1.0;
        }
    }
    for (n, properties) in odd_properties().into_iter().enumerate() {
        let order = format!("odd-properties-{n}");
        publisher.publish_bytes(event(&order, "succeeded").to_string().as_bytes(), properties).await;
        service.payment_with_status(&order, &ticket(order.as_str()), "succeeded").await;
    }
    // The ledger's own poison is of the first reason too.
    by_reason.remove("invalid_json");
    for (reason, count) in by_reason {
        let label = format!("reason=\"{reason}\"");
        let counted = async || service.metric("payment_notifier_dead_letters_total", &label).await;
        wait_for("they are put aside", async || (counted().await >= count).then_some(())).await;
        assert_eq!(counted().await, count, "{reason}");
    }
    ledger.flows().await;
    ledger.prove(&service, RUNS * kinds).await;
    for reason in ["missing_field", "unknown_status", "id_reused"] {
        let label = format!("reason=\"{reason}\"");
        assert_eq!(service.metric("payment_notifier_dead_letters_total", &label).await, 0.0, "{reason}");
    }
}
