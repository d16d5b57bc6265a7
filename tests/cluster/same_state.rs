//! Two nodes on one PostgreSQL take shuffled and repeated events of the same orders at once. What they end with is what one
//! node on SQLite makes of the same messages.

use std::collections::BTreeMap;

use rand::seq::SliceRandom;
use serde_json::{Value, json};

use crate::postgres_server::Database;
use crate::sql;
use crate::support::{MERCHANT, Publisher, Service, Setup, events, wait_for};

const ORDERS: usize = 40;
const EVENTS_OF_AN_ORDER: usize = 10;
const PUBLISHERS: usize = 4;
const STATUSES: [&str; 8] =
    ["pending", "requires_action", "processing", "authorized", "succeeded", "failed", "canceled", "expired"];
const REFUNDS: [&str; 3] = ["processing", "partial", "full"];

/// Each event up to three times, in no order. Few orders: two nodes often hold events of one at the same moment.
fn messages() -> Vec<Value> {
    let mut messages = Vec::new();
    for order in 0..ORDERS {
        for number in 0..EVENTS_OF_AN_ORDER {
            let mut event = json!({
                "event_id": format!("same-{order}-{number}"),
                "merchant_id": MERCHANT,
                "order_id": format!("same-{order}"),
                "status": STATUSES[rand::random_range(0..STATUSES.len())],
                // Some of an order happened at one moment: then the event id decides.
                "occurred_at": events::second(rand::random_range(0..6)),
                "display": { "n": number },
            });
            if rand::random_bool(0.3) {
                event["refund"] = json!({ "status": REFUNDS[rand::random_range(0..REFUNDS.len())] });
            }
            messages.extend(std::iter::repeat_n(event, rand::random_range(1..=3)));
        }
    }
    messages.shuffle(&mut rand::rng());
    messages
}

async fn settled(services: &[&Service], messages: usize) {
    wait_for("each message is settled", async || {
        let mut stored = 0.0;
        for service in services {
            stored += service.metric("payment_notifier_events_total", "").await;
        }
        (stored >= f64::from(u32::try_from(messages).unwrap())).then_some(())
    })
    .await;
}

/// What does not depend on the order in which events came: all but the version and the list of what was seen.
fn essence(state: &str) -> Value {
    let mut state: Value = serde_json::from_str(state).expect("a state is JSON");
    let members = state.as_object_mut().expect("an object");
    assert!(members.remove("version").is_some() && members.remove("seen").is_some());
    state
}

#[tokio::test]
async fn two_nodes_at_once_end_where_one_node_ends() {
    let database = Database::create().await;
    let common = |setup: Setup| setup.set("STORE__URL", database.url()).set("AMQP__PREFETCH", 20);
    let first = common(Setup::new().await).start().await;
    let second = common(Setup::beside(&first)).start().await;
    // The same messages in a queue of its own, and no word to or from the other two.
    let one =
        Setup::beside(&first).set("AMQP__QUEUE", "one.results").set("AMQP__LIVE_EXCHANGE", "one.live").start().await;

    let messages = messages();
    let publishing = messages.chunks(messages.len().div_ceil(PUBLISHERS)).map(async |part| {
        let publisher = Publisher::connect(first.vhost()).await;
        for message in part {
            publisher.publish(message).await;
        }
    });
    futures_util::future::join_all(publishing).await;
    settled(&[&first, &second], messages.len()).await;
    settled(&[&one], messages.len()).await;
    for node in [&first, &second] {
        assert!(node.metric("payment_notifier_events_total", "applied").await > 0.0, "both took part");
    }

    let of_one = rusqlite::Connection::open(one.database()).unwrap();
    let mut rows = of_one.prepare("SELECT order_id, state FROM payments").unwrap();
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let of_one: BTreeMap<String, Value> = rows
        .map(|row: rusqlite::Result<(String, String)>| row.unwrap())
        .map(|(id, state)| (id, essence(&state)))
        .collect();
    let rows = sql::rows(&database.url(), "SELECT order_id, state FROM payments").await;
    let of_two: BTreeMap<String, Value> =
        rows.iter().map(|row| (row.get(0).unwrap().to_owned(), essence(row.get(1).unwrap()))).collect();
    assert_eq!(of_two.len(), ORDERS);
    for (order, state) in &of_one {
        assert_eq!(of_two.get(order), Some(state), "{order}");
    }
    assert_eq!(of_one.len(), ORDERS);
}
