//! The second listener, for operators alone: health, readiness, metrics, revocations, timelines of orders, dead letters, and
//! the page on which people see all that.
//!
//! [`gate`] decides who may; the handlers behind it do not ask again.

mod context;
mod dead_letters;
mod entries;
mod gate;
mod health;
mod orders;
mod pages;
mod problems;
mod revocations;
mod router;
mod search;
mod status;
mod words;

pub use context::{EnforceRevocation, OperatorServices};
pub use dead_letters::{DeadLetters, DeadLettersError, Listed, Replayed, Selection};
pub use router::{router, starting_router};
