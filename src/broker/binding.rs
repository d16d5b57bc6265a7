//! Whether what is published to the exchange still reaches the queue.
//!
//! AMQP cannot ask for a binding. Where the service may declare (`amqp.declare = true`) it does so again and again, which makes
//! what is missing. Elsewhere a message of its own proves the way: published as publishers do, mandatory, and acknowledged
//! when it comes. It holds nothing but a number, so what looks like one and is a stranger's cannot hide a payment.

use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lapin::message::Delivery;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::{Connection, Queue};
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use super::consumer_parts::ConsumerParts;
use super::error::Error;
use super::message::Message;
use super::publish_error::{ACCESS_REFUSED, PublishError};
use super::topology;
use crate::config;
use crate::runtime::Component;

/// The property `type` of a probe.
const KIND: &str = "payment-notifier.probe";
/// A probe's word in a routing key.
const WORD: &str = "payment-notifier-probe";
/// What stands in a probe's body before its number.
const BODY: &str = "payment-notifier probe ";
const NUMBER_CHARS: usize = 32;
/// The name in readiness.
const HEALTH_THING: &str = "topology";
/// Intervals without a probe, of this node or of another, after which none comes: where this node alone consumes, and where
/// others do, which take most of the probes.
const MISSED_ALONE_MAX: u32 = 2;
const MISSED_MAX: u32 = 20;

/// What is known from deliveries.
#[derive(Debug)]
pub(super) struct Probes {
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    /// When a probe came last, or the subscription began.
    probe_at: Instant,
    /// The routing key of the last event that came by the exchange.
    key: Option<String>,
}

impl Probes {
    pub(super) fn new() -> Self {
        Self { seen: Mutex::new(Seen { probe_at: Instant::now(), key: None }) }
    }

    /// Whether it is a probe, of any node, which is to be acknowledged and nothing else. Any other delivery is remembered by
    /// its routing key.
    pub(super) fn takes(&self, delivery: &Delivery, amqp: &config::Amqp) -> bool {
        let is_probe = is_probe(delivery);
        if delivery.exchange.as_str() == amqp.exchange {
            let mut seen = self.seen();
            if is_probe {
                seen.probe_at = Instant::now();
            } else if seen.key.as_deref() != Some(delivery.routing_key.as_str()) {
                seen.key = Some(delivery.routing_key.to_string());
            }
        }
        is_probe
    }

    fn begin(&self) {
        self.seen().probe_at = Instant::now();
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_probe(delivery: &Delivery) -> bool {
    let is_kind = delivery.properties.kind().as_ref().is_some_and(|kind| kind.as_str() == KIND);
    let number = delivery.data.strip_prefix(BODY.as_bytes());
    is_kind && number.is_some_and(|n| n.len() == NUMBER_CHARS && n.iter().all(u8::is_ascii_hexdigit))
}

/// Looks every `amqp.lag_interval_s`, reports in readiness, and never ends.
pub(super) async fn watch(
    connection: &Connection,
    amqp: &config::Amqp,
    parts: &ConsumerParts,
    probes: &Probes,
) -> Infallible {
    let health = TopologyHealth { parts };
    let every = Duration::from_secs(amqp.lag_interval_s);
    let mut probing = Probing::new(amqp);
    probes.begin();
    loop {
        let look = timeout(every.max(Duration::from_secs(1)), topology::look_again(connection, amqp)).await;
        let mut found = match look {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Error::Topology(why))) => Err(why),
            // The end of the connection is reported by whoever consumes on it.
            Ok(Err(_)) | Err(_) => {
                sleep(every).await;
                continue;
            }
        };
        if found.is_ok() && !amqp.declare {
            found = probing.look(connection, amqp, parts, probes).await;
        }
        match found {
            Ok(()) => health.ok(),
            Err(why) => health.fault(&why),
        }
        sleep(every).await;
    }
}

/// Clears its fault when the connection ends: the next one looks for itself.
struct TopologyHealth<'a> {
    parts: &'a ConsumerParts,
}

impl TopologyHealth<'_> {
    fn ok(&self) {
        self.parts.health.ok_in(Component::Broker, HEALTH_THING);
    }

    fn fault(&self, why: &str) {
        if !self.parts.health.faults().get(&Component::Broker).is_some_and(|faults| faults.contains(why)) {
            warn!(reason = why, "topology does not match");
        }
        self.parts.health.fault_in(Component::Broker, HEALTH_THING, why);
    }
}

impl Drop for TopologyHealth<'_> {
    fn drop(&mut self) {
        self.ok();
    }
}

struct Probing {
    interval: Duration,
    /// Not set where there are no more.
    next_at: Option<Instant>,
    found: Result<(), String>,
    /// Since when all of them are taken by the exchange.
    routed_since: Option<Instant>,
}

impl Probing {
    fn new(amqp: &config::Amqp) -> Self {
        let interval = Duration::from_secs(amqp.probe_interval_s);
        let next_at = (!interval.is_zero()).then(Instant::now);
        Self { interval, next_at, found: Ok(()), routed_since: None }
    }

    async fn look(
        &mut self,
        connection: &Connection,
        amqp: &config::Amqp,
        parts: &ConsumerParts,
        probes: &Probes,
    ) -> Result<(), String> {
        // One that no queue takes costs nothing: the end of the fault is looked for at once.
        let is_due = self.next_at.is_some_and(|at| at <= Instant::now() || self.found.is_err());
        if is_due {
            self.next_at = Some(Instant::now() + self.interval);
            self.publish(connection, amqp, parts, probes).await;
        }
        self.found.clone()?;
        self.arrives(connection, amqp, probes).await
    }

    async fn publish(&mut self, connection: &Connection, amqp: &config::Amqp, parts: &ConsumerParts, probes: &Probes) {
        let last_key = probes.seen().key.clone();
        let mut keys = vec![key(&amqp.binding), key("payment.result.*")];
        // Operators may have bound the queue by another pattern than `amqp.binding`.
        keys.extend(last_key);
        for key in keys {
            match publish(amqp, &key, parts).await {
                Ok(()) => {
                    self.found = Ok(());
                    self.routed_since.get_or_insert_with(Instant::now);
                    return;
                }
                Err(PublishError::Unroutable { .. }) => {}
                Err(PublishError::Refused(refusal)) if refusal.code == ACCESS_REFUSED => {
                    info!(
                        exchange = amqp.exchange,
                        reason = refusal.why,
                        "this user may not publish to the exchange: whether the queue is bound to it is not checked"
                    );
                    (self.next_at, self.found) = (None, Ok(()));
                    return;
                }
                // Says nothing of the binding.
                Err(_other) => return,
            }
        }
        self.routed_since = None;
        self.found = Err(unbound(connection, amqp, "what publishers send cannot be routed"));
    }

    /// A probe that the exchange takes may have gone to other queues alone.
    async fn arrives(&self, connection: &Connection, amqp: &config::Amqp, probes: &Probes) -> Result<(), String> {
        let Some(routed_since) = self.routed_since.filter(|_| self.next_at.is_some()) else { return Ok(()) };
        let silent = probes.seen().probe_at.max(routed_since).elapsed();
        if silent <= self.interval * MISSED_ALONE_MAX {
            return Ok(());
        }
        let Ok(queue) = look(connection, amqp).await else { return Ok(()) };
        let missed_max = if queue.consumer_count() > 1 { MISSED_MAX } else { MISSED_ALONE_MAX };
        if queue.message_count() > 0 || silent <= self.interval * missed_max {
            return Ok(());
        }
        Err(unbound(connection, amqp, "what publishers send goes only to other queues"))
    }
}

fn unbound(connection: &Connection, amqp: &config::Amqp, what: &str) -> String {
    format!(
        "no binding of queue {:?} to exchange {:?} by {:?} in vhost {:?} (amqp.declare = false): {what}",
        amqp.queue,
        amqp.exchange,
        amqp.binding,
        connection.status().vhost().as_str(),
    )
}

async fn publish(amqp: &config::Amqp, key: &str, parts: &ConsumerParts) -> Result<(), PublishError> {
    let number = format!("{:0width$x}", rand::random::<u128>(), width = NUMBER_CHARS);
    let body = format!("{BODY}{number}").into_bytes();
    let message = Message::new(&amqp.exchange, key, "text/plain", &number, body)?.of_kind(KIND)?;
    parts.publisher.publish(&message).await
}

async fn look(connection: &Connection, amqp: &config::Amqp) -> lapin::Result<Queue> {
    let channel = connection.create_channel().await?;
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let name = lapin::types::ShortString::try_new(amqp.queue.as_str()).unwrap_or_default();
    let queue = channel.queue_declare(name, passive, FieldTable::default()).await?;
    drop(channel.close(200, "OK".into()).await);
    Ok(queue)
}

/// A routing key that a pattern of a topic exchange matches.
fn key(pattern: &str) -> String {
    let words: Vec<&str> = pattern.split('.').map(|word| if matches!(word, "*" | "#") { WORD } else { word }).collect();
    words.join(".")
}

#[cfg(test)]
mod tests {
    use lapin::BasicProperties;

    use super::*;

    #[test]
    fn a_key_is_made_that_the_pattern_matches() {
        assert_eq!(key("payment.#"), "payment.payment-notifier-probe");
        assert_eq!(key("#"), "payment-notifier-probe");
        assert_eq!(key("*.result.*"), "payment-notifier-probe.result.payment-notifier-probe");
        assert_eq!(key("payment.result"), "payment.result");
    }

    #[test]
    fn nothing_that_holds_more_than_a_number_is_taken_for_a_probe() {
        let amqp = config::load(None).unwrap().amqp;
        let delivery = |kind: &str, body: &str| {
            let mut delivery =
                Delivery::mock(1, amqp.exchange.as_str().into(), "k".into(), false, body.as_bytes().to_vec());
            delivery.properties = BasicProperties::default().with_type(kind.into());
            delivery
        };
        let probes = Probes::new();
        let body = format!("{BODY}{}", "0f".repeat(16));
        assert!(probes.takes(&delivery(KIND, &body), &amqp));
        for (kind, body) in [("other", body.as_str()), (KIND, "{}"), (KIND, BODY), (KIND, &format!("{body}0"))] {
            assert!(!probes.takes(&delivery(kind, body), &amqp), "{kind} {body}");
        }
        assert_eq!(probes.seen().key.as_deref(), Some("k"));
    }
}
