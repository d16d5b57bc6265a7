//! What can go wrong between this service and its broker. Each is one line for an operator, without a secret.

/// Why the broker cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// `amqp.url` cannot be read.
    #[error("amqp.url is not an address of the form amqp://user:password@host:port/vhost")]
    Address,
    /// No connection by any of the addresses, each without its password and with what failed.
    #[error("cannot connect to {}", each(.0))]
    Connect(Vec<(String, String)>),
    /// An exchange, queue or binding is missing or other than it has to be.
    #[error("{0}")]
    Topology(String),
    /// The connection or its channel ended while it was being set up.
    #[error("connection lost: {0}")]
    Lost(String),
    /// The queue is there and may not be consumed.
    #[error("queue {queue:?} cannot be consumed: {reason}")]
    Consume {
        /// `amqp.queue`
        queue: String,
        /// In the broker's words.
        reason: String,
    },
    /// The queue of this node's own is another's.
    #[error(
        "queue {queue:?} is in use by another connection: another node has the same `instance`, or RabbitMQ has not noticed \
         yet that this node's previous connection is gone"
    )]
    InstanceTaken {
        /// The live exchange's name and the instance.
        queue: String,
    },
    /// One command at a time takes messages of the dead-letter queue: others would not see those that it holds.
    #[error("another dead-letters command is using queue {queue:?}: try again when it has finished")]
    Busy {
        /// `amqp.dead_letter_queue`
        queue: String,
    },
    /// A replay that the broker did not confirm.
    #[error("dead letter {id} was not replayed, and is kept: {reason}")]
    Replay {
        /// The id of the dead letter.
        id: String,
        /// In the broker's words where it gave any.
        reason: String,
    },
    /// The system gives no thread for the consumer.
    #[error("thread consumer: {0}")]
    Thread(String),
    /// The store does not work, so nothing is consumed.
    #[error("waiting for the store: {0}")]
    Store(String),
    /// A setting in `[payments]` cannot be used.
    #[error(transparent)]
    Payments(#[from] super::decode::InvalidSettings),
}

fn each(failed: &[(String, String)]) -> String {
    let texts: Vec<String> = failed.iter().map(|(address, reason)| format!("{address}: {reason}")).collect();
    texts.join("; ")
}
