//! Which pages wait for which order, and one latest-version slot for each.
//!
//! Publishing is synchronous and cannot fail: it overwrites the slot of each subscription and wakes its task. A slow
//! page costs one slot and delays nobody; what it skips are versions that a newer one replaced. Nothing here is the
//! truth: the store is.

mod inbox;
mod order_watch;
mod registry;
mod update;

pub use inbox::Inbox;
pub use registry::{Hub, Overdue, Subscription};
pub use update::Update;
