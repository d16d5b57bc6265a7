//! Exchanges, queues and the binding: made where they are missing, or only checked where operators own them.
//!
//! What exists is taken as it is, so that operators may shape queues by policy: a queue's arguments can never be
//! changed, and declaring it with others is refused.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::protocol::AMQPError;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Connection, ErrorKind, ExchangeKind};
use tracing::warn;

use super::address::Address;
use super::connect::{self, Purpose, reason};
use super::error::Error;
use super::options::Options;
use crate::config;

/// As good as none: RabbitMQ 3.10 has no word for that.
const DEAD_LETTER_DELIVERY_LIMIT: i64 = 1_000_000_000;
const ACCESS_REFUSED: u16 = 403;
const NOT_FOUND: u16 = 404;

/// Connects once, makes or checks the topology, and disconnects: for the command line.
///
/// # Errors
/// [`Error`], one line for an operator.
pub async fn check(options: &Options) -> Result<(), Error> {
    let addresses = Address::all(&options.amqp)?;
    let connection = connect::connect(&addresses, &options.amqp, Purpose::Consumer, &options.instance).await?;
    let answer = establish(&connection, &options.amqp).await;
    drop(connection.close(200, "OK".into()).await);
    answer
}

/// Makes what is missing (`amqp.declare = true`) or names what is missing (`false`).
///
/// # Errors
/// [`Error::Topology`] with the one piece that is missing or cannot be made; [`Error::Lost`] if the connection ended.
pub async fn establish(connection: &Connection, amqp: &config::Amqp) -> Result<(), Error> {
    let client = TopologyClient { connection, declare: amqp.declare };
    let topic = || ExchangeKind::Topic;
    client.exchange(&amqp.exchange, topic()).await?;
    client.exchange(&amqp.dead_letter_exchange, ExchangeKind::Fanout).await?;
    client.exchange(&amqp.events_exchange, topic()).await?;
    client.exchange(&amqp.live_exchange, ExchangeKind::Fanout).await?;
    let mut arguments = quorum();
    // RabbitMQ 4 drops a message that was looked at with requeue 20 times, and dead letters are there to be looked at.
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(DEAD_LETTER_DELIVERY_LIMIT));
    client.queue(&amqp.dead_letter_queue, arguments).await?;
    let mut arguments = quorum();
    let dead_letters = AMQPValue::LongString(amqp.dead_letter_exchange.as_str().into());
    arguments.insert("x-dead-letter-exchange".into(), dead_letters);
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(amqp.delivery_limit.into()));
    client.queue(&amqp.queue, arguments).await?;
    // Nothing in AMQP asks whether a binding exists: with declare = false a probe does, once the queue is consumed.
    if amqp.declare {
        client.bind(&amqp.dead_letter_queue, &amqp.dead_letter_exchange, "").await?;
        client.bind(&amqp.queue, &amqp.exchange, &amqp.binding).await?;
    }
    Ok(())
}

/// Looks again at what may go while the queue is consumed, and makes it anew where that is allowed: the exchanges and the
/// bindings.
///
/// # Errors
/// As for [`establish`].
pub(super) async fn look_again(connection: &Connection, amqp: &config::Amqp) -> Result<(), Error> {
    let client = TopologyClient { connection, declare: amqp.declare };
    client.exchange_again(&amqp.exchange, ExchangeKind::Topic).await?;
    client.exchange_again(&amqp.dead_letter_exchange, ExchangeKind::Fanout).await?;
    if amqp.declare {
        client.exchange_again(&amqp.events_exchange, ExchangeKind::Topic).await?;
        client.bind(&amqp.dead_letter_queue, &amqp.dead_letter_exchange, "").await?;
        client.bind(&amqp.queue, &amqp.exchange, &amqp.binding).await?;
    }
    Ok(())
}

/// Makes the exchange between nodes where it is missing, or names it.
///
/// # Errors
/// As for [`establish`].
pub(super) async fn establish_live(connection: &Connection, amqp: &config::Amqp) -> Result<(), Error> {
    TopologyClient { connection, declare: amqp.declare }.exchange(&amqp.live_exchange, ExchangeKind::Fanout).await
}

fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments
}

/// One request to the broker.
enum Request<'a> {
    HasExchange(&'a str),
    MakeExchange(&'a str, ExchangeKind),
    HasQueue(&'a str),
    MakeQueue(&'a str, FieldTable),
    Bind { queue: &'a str, exchange: &'a str, key: &'a str },
}

/// Where requests are made. A refusal closes its channel, so each request has one of its own.
struct TopologyClient<'a> {
    connection: &'a Connection,
    declare: bool,
}

impl TopologyClient<'_> {
    async fn exchange(&self, name: &str, kind: ExchangeKind) -> Result<(), Error> {
        let present = self.send(Request::HasExchange(name)).await?;
        let exists = match present {
            Ok(()) => true,
            Err(refusal) if refusal.get_id() == NOT_FOUND && self.declare => false,
            Err(refusal) => return Err(self.unusable("exchange", name, &refusal)),
        };
        // A passive look does not see the type. With declare = false that is all that is allowed.
        if !self.declare {
            return Ok(());
        }
        match self.send(Request::MakeExchange(name, kind.clone())).await? {
            Ok(()) => Ok(()),
            Err(refusal) if exists && !refusal.get_message().as_str().contains("'type'") => Ok(()),
            Err(refusal) => Err(self.unmade("exchange", name, &refusal)),
        }
    }

    /// Leaves one that is there as it is: declaring it with other arguments would be an error in the broker's log each time.
    async fn exchange_again(&self, name: &str, kind: ExchangeKind) -> Result<(), Error> {
        match self.send(Request::HasExchange(name)).await? {
            Ok(()) => Ok(()),
            Err(_refusal) => self.exchange(name, kind).await,
        }
    }

    async fn queue(&self, name: &str, arguments: FieldTable) -> Result<(), Error> {
        let exists = match self.send(Request::HasQueue(name)).await? {
            Ok(()) => true,
            Err(refusal) if refusal.get_id() == NOT_FOUND && self.declare => false,
            Err(refusal) => return Err(self.unusable("queue", name, &refusal)),
        };
        if !self.declare {
            return Ok(());
        }
        match self.send(Request::MakeQueue(name, arguments)).await? {
            Ok(()) => Ok(()),
            // Made by policy, or with arguments of the operators' own. Only the type is worth a word, and RabbitMQ names
            // just the first argument that differs: so the type is asked for alone.
            Err(_refusal) if exists => {
                if let Err(refusal) = self.send(Request::MakeQueue(name, quorum())).await? {
                    let why = refusal.get_message();
                    if refusal.get_id() != ACCESS_REFUSED && why.as_str().contains("x-queue-type") {
                        warn!(queue = name, reason = %why, "queue is not a quorum queue: a lost node may lose payments");
                    }
                }
                Ok(())
            }
            Err(refusal) => Err(self.unmade("queue", name, &refusal)),
        }
    }

    async fn bind(&self, queue: &str, exchange: &str, key: &str) -> Result<(), Error> {
        match self.send(Request::Bind { queue, exchange, key }).await? {
            Ok(()) => Ok(()),
            Err(refusal) => Err(Error::Topology(format!(
                "queue {queue:?} cannot be bound to exchange {exchange:?} by {key:?} in vhost {:?}: {}",
                self.vhost(),
                refusal.get_message(),
            ))),
        }
    }

    /// The broker's answer, or that the connection is gone.
    async fn send(&self, request: Request<'_>) -> Result<Result<(), AMQPError>, Error> {
        let lost = |error: lapin::Error| Error::Lost(reason(&error));
        let channel = self.connection.create_channel().await.map_err(lost)?;
        let none = FieldTable::default;
        let passive_queue = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let passive_exchange = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let answer = match request {
            Request::HasExchange(name) => {
                channel.exchange_declare(short(name)?, ExchangeKind::Topic, passive_exchange, none()).await
            }
            Request::MakeExchange(name, kind) => channel.exchange_declare(short(name)?, kind, durable, none()).await,
            Request::HasQueue(name) => channel.queue_declare(short(name)?, passive_queue, none()).await.map(drop),
            Request::MakeQueue(name, arguments) => {
                channel.queue_declare(short(name)?, QueueDeclareOptions::durable(), arguments).await.map(drop)
            }
            Request::Bind { queue, exchange, key } => {
                let options = QueueBindOptions::default();
                channel.queue_bind(short(queue)?, short(exchange)?, short(key)?, options, none()).await
            }
        };
        match answer {
            Ok(()) => {
                // Whether the close is answered does not matter: the answer that counts is there.
                drop(channel.close(200, "OK".into()).await);
                Ok(Ok(()))
            }
            Err(error) => match error.kind() {
                ErrorKind::ProtocolError(refusal) if error.is_amqp_soft_error() => Ok(Err(refusal.clone())),
                _ => Err(lost(error)),
            },
        }
    }

    fn unusable(&self, what: &str, name: &str, refusal: &AMQPError) -> Error {
        let why = if refusal.get_id() == NOT_FOUND {
            return Error::Topology(format!(
                "{what} {name:?} is missing in vhost {:?} (amqp.declare = false)",
                self.vhost()
            ));
        } else {
            refusal.get_message()
        };
        Error::Topology(format!("{what} {name:?} in vhost {:?} cannot be used: {why}", self.vhost()))
    }

    fn unmade(&self, what: &str, name: &str, refusal: &AMQPError) -> Error {
        let why = refusal.get_message();
        Error::Topology(format!("{what} {name:?} in vhost {:?} does not match: {why}", self.vhost()))
    }

    fn vhost(&self) -> String {
        self.connection.status().vhost().to_string()
    }
}

pub(super) fn short(name: &str) -> Result<ShortString, Error> {
    ShortString::try_new(name).map_err(|_too_long| Error::Topology(format!("{name:?} is longer than 255 bytes")))
}
