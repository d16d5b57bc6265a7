//! Publishers that do not give up: what is not confirmed is published again, under the same event id, until it is.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::{Book, PATIENCE};
use crate::support::{MERCHANT, Vhost, events};

/// For a confirm, before the connection is given up.
const CONFIRM: Duration = Duration::from_secs(5);

/// Of every ten messages: how many go to orders that pages wait for, and the place of the one that is no event at all.
const WATCHED_OF_TEN: u64 = 4;
const POISON_OF_TEN: u64 = 9;

/// Publishes until the book is stopped, and ends its watched orders with a final state.
pub(crate) async fn lane(
    name: String,
    watched: Vec<String>,
    book: Arc<Book>,
    mut publishing: Publishing,
    tick: Duration,
) {
    let (mut n, mut turns) = (0, watched.iter().cycle());
    while !book.is_stopping() {
        n += 1;
        let next = Instant::now() + tick;
        match n % 10 {
            POISON_OF_TEN => {
                let id = format!("{name}-poison-{n}");
                publishing.publish(id.as_bytes()).await;
                book.poison_confirmed(id);
            }
            place => {
                let (order, status) = if place < WATCHED_OF_TEN {
                    (turns.next().expect("orders").clone(), "processing")
                } else {
                    (format!("{name}-single-{n}"), "succeeded")
                };
                publishing.publish(event(&order, n, status).to_string().as_bytes()).await;
                book.event_confirmed(&order, n);
            }
        }
        tokio::time::sleep_until(next).await;
    }
    for order in &watched {
        n += 1;
        publishing.publish(event(order, n, "succeeded").to_string().as_bytes()).await;
        book.event_confirmed(order, n);
    }
}

pub(crate) fn event_id(order: &str, n: u64) -> String {
    format!("{order}-event-{n}")
}

/// Later events of an order are greater, and say which they are.
fn event(order: &str, n: u64, status: &str) -> Value {
    json!({
        "event_id": event_id(order, n),
        "merchant_id": MERCHANT,
        "order_id": order,
        "status": status,
        "occurred_at": events::second(i64::try_from(n).expect("a small number")),
        "display": { "n": n },
    })
}

/// A publisher that connects again, by the next address, as often as it must.
pub(crate) struct Publishing {
    amqp_urls: Vec<String>,
    at: usize,
    open: Option<(Connection, Channel)>,
}

impl Publishing {
    pub(crate) fn new(amqp_urls: Vec<String>) -> Self {
        Self { amqp_urls, at: 0, open: None }
    }

    /// Ends when the broker has confirmed the message and had a queue for it. It may have been published several times.
    pub(crate) async fn publish(&mut self, body: &[u8]) {
        loop {
            if let Ok(true) = timeout(CONFIRM, self.try_publish(body)).await.unwrap_or(Ok(false)) {
                return;
            }
            self.open = None;
            self.at += 1;
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn try_publish(&mut self, body: &[u8]) -> lapin::Result<bool> {
        let (_connection, channel) = match &mut self.open {
            Some(open) => open,
            none => {
                let url = &self.amqp_urls[self.at % self.amqp_urls.len()];
                let properties = ConnectionProperties::default().with_connection_name("test".into());
                let connection = Connection::connect(url, properties).await?;
                let channel = connection.create_channel().await?;
                channel.confirm_select(ConfirmSelectOptions::default()).await?;
                none.insert((connection, channel))
            }
        };
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        // Persistent: a confirm is worth no more than the message's place on the disk.
        let properties = BasicProperties::default().with_delivery_mode(2);
        let key = "payment.result.test".into();
        let sent = channel.basic_publish("payments".into(), key, options, body, properties).await?;
        Ok(matches!(sent.await?, Confirmation::Ack(None)))
    }
}

/// All that the dead letters hold, waiting until `awaited` are among it: bodies that are no JSON, event ids of those that
/// are.
pub(crate) async fn dead_letters(vhost: &Vhost, awaited: &BTreeSet<String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let url = vhost.amqp_url();
    let connection = Connection::connect(&url, ConnectionProperties::default()).await.expect("RabbitMQ accepts us");
    let channel = connection.create_channel().await.expect("a channel");
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let queue = "payment-notifier.dead-letters".into();
    let consuming = channel.basic_consume(queue, "ledger".into(), options, FieldTable::default());
    let mut letters = consuming.await.expect("the queue exists");
    let deadline = Instant::now() + PATIENCE;
    while !awaited.is_subset(&found) {
        let Ok(Some(Ok(letter))) = tokio::time::timeout_at(deadline, letters.next()).await else { break };
        found.insert(identity(&letter.data));
    }
    // What lies behind the last of them.
    while let Some(Some(Ok(letter))) = letters.next().now_or_never() {
        found.insert(identity(&letter.data));
    }
    found
}

/// By which a dead letter is known again.
pub(super) fn identity(body: &[u8]) -> String {
    let id = serde_json::from_slice::<Value>(body).ok().and_then(|event| event["event_id"].as_str().map(str::to_owned));
    id.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned())
}
