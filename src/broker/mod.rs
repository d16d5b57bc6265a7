//! RabbitMQ: what comes in is decoded, made durable, shown to the pages that wait, and acknowledged, in that order;
//! what goes out is confirmed.
//!
//! Recovery is this module's own: lapin's automatic recovery hides ends and is off. Nothing here waits for a page, and
//! no message, however wrong, ends anything but itself.

mod ack_tracker;
mod address;
mod binding;
mod commit;
mod connect;
mod consumer;
mod consumer_parts;
pub mod dead_letters;
pub mod decode;
mod error;
mod event_headers;
mod fit;
mod headers;
mod held;
mod lag;
pub mod live;
mod message;
mod options;
mod outbox;
mod outbox_batch;
mod outcomes;
mod pools;
mod publish_error;
mod publisher;
mod session;
mod settle;
mod shared;
pub mod topology;
pub mod transport;
mod work;

pub use consumer::Consumer;
pub use consumer_parts::ConsumerParts;
pub use error::Error;
pub use message::Message;
pub use options::Options;
pub use outbox::{Outbox, OutboxParts};
pub use publish_error::PublishError;
pub use publisher::Publisher;
pub use topology::check;
