//! What a message that can be read is.

use crate::payment::Event;

/// What is done with a message that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "nearly each is an event, and a box would be an allocation a delivery")]
pub enum Decoded {
    /// A payment result, to be stored.
    Event(Event),
    /// Of a status in `statuses_ignored` of the mapping with this number, counted from 1: to be acknowledged and counted.
    Ignored {
        /// Which of `[[payments.mappings]]`.
        mapping: usize,
    },
}

impl Decoded {
    /// The event, where it is one.
    #[must_use]
    pub fn event(self) -> Option<Event> {
        match self {
            Self::Event(event) => Some(event),
            Self::Ignored { .. } => None,
        }
    }
}
