//! The dead letters, for an operator: looked at, replayed, discarded.
//!
//! A quorum queue can only be read by taking messages from it. So each command takes what it looks at on a channel of its
//! own and closes that channel: RabbitMQ then puts back what was not acknowledged, in its old order, and adds one to the
//! delivery count of each. (Taken one by one with `basic.get`, or handed back by `nack`, they come back in another order.)
//! A replay is confirmed before its dead letter is acknowledged, so an end between the two can duplicate and never lose.

mod dead_letter;
mod details;
mod filter;
mod found;
mod pending;
mod queue;
mod replay;
mod sender;

pub use dead_letter::DeadLetter;
pub use filter::{AgeError, Filter, age_ms};
pub use found::{Found, Keep, Seen, Want};
pub use queue::{HELD_MAX, Look, Queue};
pub use replay::{Outcome, Replay};
pub(super) use sender::DeadLetterSender;
