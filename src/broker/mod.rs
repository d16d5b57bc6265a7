//! RabbitMQ: what comes in is decoded, made durable, shown to the pages that wait, and acknowledged, in that order;
//! what goes out is confirmed.
//!
//! Recovery is this module's own: lapin's automatic recovery hides ends and is off. Nothing here waits for a page, and
//! no message, however wrong, ends anything but itself.

mod address;
mod binding;
mod commit;
mod connect;
mod consumer;
pub mod dead_letters;
pub mod decode;
mod error;
mod fit;
mod headers;
mod held;
mod lag;
pub mod live;
mod message;
mod outbox;
mod pools;
mod publisher;
mod session;
mod settle;
pub mod topology;
pub mod transport;

use std::sync::Arc;

use crate::config;

pub use consumer::{Consumer, ConsumerParts};
pub use error::Error;
pub use message::Message;
pub use outbox::{Outbox, OutboxParts};
pub use publisher::{PublishError, Publisher};

/// What of the settings concerns the broker.
#[derive(Debug, Clone)]
pub struct Options {
    /// `[amqp]`
    pub amqp: Arc<config::Amqp>,
    /// `[payments]`
    pub payments: config::Payments,
    /// `[outbox]`
    pub outbox: config::Outbox,
    /// Events that one commit takes: `store.batch_events_max`.
    pub batch_events_max: usize,
    /// Names this node in RabbitMQ's console.
    pub instance: String,
}

impl Options {
    /// From the settings, for the node named `instance`.
    #[must_use]
    pub fn new(settings: &config::Settings, instance: &str) -> Self {
        Self {
            amqp: Arc::new(settings.amqp.clone()),
            payments: settings.payments.clone(),
            outbox: settings.outbox.clone(),
            batch_events_max: settings.store.batch_events_max,
            instance: instance.to_owned(),
        }
    }
}

/// Connects once, makes or checks the topology, and disconnects: for the command line.
///
/// # Errors
/// [`Error`], one line for an operator.
pub async fn check(options: &Options) -> Result<(), Error> {
    let addresses = address::Address::all(&options.amqp)?;
    let connection = connect::connect(&addresses, &options.amqp, connect::Purpose::Consumer, &options.instance).await?;
    let answer = topology::establish(&connection, &options.amqp).await;
    drop(connection.close(200, "OK".into()).await);
    answer
}
