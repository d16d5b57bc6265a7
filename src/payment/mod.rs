//! What a payment is and how its events merge into one state.
//!
//! Pure: no I/O, no clock, no async. Everything else in the program names this module and it names nothing back,
//! so the rules that money depends on can be read and tested by themselves.

mod claim;
mod conflict;
mod event;
mod evidence;
mod id;
mod money;
mod page_json;
mod refund;
mod state;
mod status;
#[cfg(test)]
mod tests;
mod timestamp;

pub use claim::Claim;
pub use conflict::{Conflict, Conflicts};
pub use event::{Display, Event, Reason, limits};
pub use evidence::CLAIMS_MAX;
pub use id::{EventId, InvalidId, Key, MerchantId, OrderId};
pub use money::{Currency, InvalidMoney, Money};
pub use refund::{Refund, RefundStatus};
pub use state::{Change, Merged, Payment, State};
pub use status::{Rank, Status, UnknownStatus};
pub use timestamp::{InvalidTimestamp, Timestamp};
