//! What is told to a store of an event or a page, beside what it is.

use crate::payment::Event;
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
