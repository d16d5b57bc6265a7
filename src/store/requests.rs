//! What a store is asked, and what it answers.

use std::sync::Arc;

use super::Error;
use crate::payment::{Change, Claim, Conflicts, Event, Key, Payment};
use crate::runtime::unix_ms;
use crate::telemetry::Transport;

/// One event on its way in, with what an order's timeline tells of how it came.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The event.
    pub event: Event,
    /// When this node received it, milliseconds since 1970.
    pub received_ms: i64,
    /// RabbitMQ had delivered it before.
    pub redelivered: bool,
    /// A page of this node waits for the order.
    pub watched: bool,
}

impl From<Event> for Arrival {
    /// As if it had come at this moment, for the first time, and nobody waited for it.
    fn from(event: Event) -> Self {
        Self { event, received_ms: unix_ms(), redelivered: false, watched: false }
    }
}

/// A page, by how it is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PageRef {
    /// How it waits.
    pub transport: Transport,
    /// A number that this node gives to each connection or request, from 1.
    pub connection: u64,
}

/// What became of one event of a batch. With an error, which is of this event's payment alone, nothing of the event is
/// stored.
pub type Applied = Result<Outcome, Error>;

/// What became of one event, with the payment as it stands after it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What the event did, also where an attempt before stored it whose answer was lost.
    pub change: Change,
    /// Conflicts that it brought to light.
    pub conflicts: Conflicts,
    /// What contradicts each other by those, in order of time. Empty where nothing does.
    pub claims: Vec<Claim>,
    /// The payment after the event.
    pub payment: Arc<Payment>,
}

/// What became of a page's acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledgement {
    /// It is the first of this version or of a later one.
    First,
    /// This version or a later one was acknowledged before.
    Known,
    /// The payment has no such version.
    NoSuchVersion,
}

/// What pages may no longer be let in by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Revoked {
    /// One ticket, by what tells it from others.
    Ticket([u8; 16]),
    /// One order, by whatever ticket.
    Order(Key),
}

/// A revocation. Of several of one thing the last one counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// What.
    pub revoked: Revoked,
    /// When it is over, seconds since 1970. One that is over already lifts those before it.
    pub until_s: i64,
}
