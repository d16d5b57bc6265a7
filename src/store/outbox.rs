//! What the service itself tells merchants: written with the change that it tells of, published later.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::payment::Key;

/// When and for whom something is published. Set once, when a store is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Escalation {
    /// Milliseconds from the arrival of a final result until `payment.undelivered`.
    pub after_ms: u64,
    /// For which orders.
    pub orders: EscalatedOrders,
}

/// Which orders are escalated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EscalatedOrders {
    /// Those for which a page has waited on any node, also if it has left.
    Watched,
    /// All.
    All,
    /// None.
    Off,
}

/// One message that waits to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// By which it is removed.
    pub id: i64,
    /// `payment.delivered`, `payment.undelivered`, `payment.conflict` or `payment.inquiry`.
    pub routing_key: String,
    /// The same each time it is published, for who must not act twice.
    pub message_id: String,
    /// CloudEvents 1.0, structured.
    pub body: String,
}

/// A page has waited this long for an order that has no final result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inquiry {
    /// Which order.
    pub key: Key,
    /// Which of the waits of `inquiry.after`, from 1. Each is published once an order, on whatever node.
    pub step: u32,
    /// Seconds that the page has waited.
    pub waited_s: u64,
}

/// What one step of the look for undelivered results came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Escalated {
    /// Messages put into the outbox.
    pub messages: usize,
    /// Payments passed over, since they cannot be read or written.
    pub damaged: usize,
    /// Nothing else is due: the next step may wait.
    pub done: bool,
}

/// What is removed: all from before these times, milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PurgeBefore {
    /// Payments, by their last change, with all that belongs to them.
    pub payments_ms: i64,
    /// Entries of timelines.
    pub entries_ms: i64,
    /// All that is known of orders that never became payments, by when something was last heard of them.
    pub unknown_ms: i64,
}

/// What one step of removing took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purged {
    /// Payments, with all that belongs to them.
    pub payments: usize,
    /// Entries of timelines, those of removed payments not counted.
    pub entries: usize,
    /// Passed over, since they cannot be read or removed.
    pub damaged: usize,
    /// Nothing older is left: the next step may wait.
    pub done: bool,
}

/// Says that something may have come into the outbox. Clones are one signal; what nobody waits for is kept for the next who
/// does, once.
#[derive(Clone, Debug, Default)]
pub struct OutboxSignal(Arc<Notify>);

impl OutboxSignal {
    /// Tells who waits, and waits for nobody.
    pub fn notify(&self) {
        self.0.notify_one();
    }

    /// Ends with the next [`OutboxSignal::notify`], at once if there was one since the last time. For one task.
    pub async fn notified(&self) {
        self.0.notified().await;
    }
}
