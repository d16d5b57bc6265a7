//! Why a message was not published, and whether it ever could be.

use std::fmt;

/// AMQP's reply code where the user may not do that.
pub(super) const ACCESS_REFUSED: u16 = 403;

/// Why a message must not be taken as published. It may have arrived all the same, but for `Unroutable`, `TooLong`,
/// `HeadersTooLarge` and `Truncated`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// No queue is bound where it was sent.
    #[error("no queue is bound to exchange {exchange:?} for routing key {routing_key:?}")]
    Unroutable {
        /// The exchange that it was sent to.
        exchange: String,
        /// Its routing key.
        routing_key: String,
    },
    /// No confirm in `amqp.confirm_timeout_s`.
    #[error("no confirm in {0} s")]
    TimedOut(u64),
    /// The broker refused to take it, e.g. because a queue is full.
    #[error("the broker refused the message (nack)")]
    Nacked,
    /// No connection, or the broker closed the channel. The text is for operators and holds no secret.
    #[error("{0}")]
    Unavailable(String),
    /// AMQP cannot carry this name.
    #[error("{0} is longer than 255 bytes")]
    TooLong(&'static str),
    /// Nor properties and headers that do not fit one frame. Nothing was sent.
    #[error("the headers do not fit in one AMQP frame")]
    HeadersTooLarge {
        /// What properties and headers may take on this connection, in bytes.
        bytes_max: usize,
    },
    /// A dead letter that does not hold the whole message.
    #[error("only a part of the body is left (x-truncated): publish the message again at its source")]
    Truncated,
    /// The broker closed the channel or the connection, and said why.
    #[error("{0}")]
    Refused(Refusal),
}

/// Why the broker closed a channel or a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// AMQP's reply code, e.g. 403.
    pub code: u16,
    /// The whole connection was closed, with all that was under way on it, and not the channel alone.
    pub ends_connection: bool,
    /// For operators: the exchange, and the broker's words.
    pub why: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl PublishError {
    /// Whether the same message could never be published, whatever else is mended. Where the whole connection was closed,
    /// another message on it may have been the cause.
    #[must_use]
    pub fn is_of_the_message(&self) -> bool {
        match self {
            Self::TooLong(_) | Self::HeadersTooLarge { .. } | Self::Truncated => true,
            // Content too large, precondition failed (also: larger than `max_message_size`), frame, syntax, command invalid,
            // unexpected frame, not implemented, internal error.
            Self::Refused(refusal) => matches!(refusal.code, 311 | 406 | 501..=503 | 505 | 540 | 541),
            Self::Unroutable { .. } | Self::TimedOut(_) | Self::Nacked | Self::Unavailable(_) => false,
        }
    }
}
