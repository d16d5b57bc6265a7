//! What is measured: each started anew, in a vhost of its own, with the service's own exchange and quorum queue.

mod bare;
mod broker;
mod child;
mod fleet;
mod hub;
mod nchan;
mod node;
mod ours;
mod plugins;

use std::cell::Cell;
use std::path::PathBuf;

use super::engine::{Engine, Place};
use super::event;
use super::publish::{self, Publisher};

pub(crate) use bare::consume as bare_consume;
pub(crate) use broker::{Amqp, Broker, Vhost};
pub(crate) use child::Child;
pub(crate) use fleet::{Fleet, Role, has_postgres, postgres_pids};
pub(crate) use hub::program as go_program;

pub(crate) const MERCHANT: &str = "shop";
pub(crate) const EXCHANGE: &str = "payments";
pub(crate) const QUEUE: &str = "payment-notifier.results";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Kind {
    /// This service
    Ours,
    /// A lapin consumer that acknowledges each delivery and does nothing: the limit
    Bare,
    /// The same, acknowledging together what has come
    BareBatched,
    /// A bridge of amqplib and ws in Node
    Node,
    /// Centrifugo, fed by a consumer that posts batches to it
    Centrifugo,
    /// Mercure's hub, fed by the same consumer
    Mercure,
    /// RabbitMQ's Web STOMP
    WebStomp,
    /// RabbitMQ's Web MQTT
    WebMqtt,
    /// Nchan in nginx, the publisher posting straight to it
    Nchan,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Bare => "bare",
            Self::BareBatched => "bare-batched",
            Self::Node => "node",
            Self::Centrifugo => "centrifugo",
            Self::Mercure => "mercure",
            Self::WebStomp => "web-stomp",
            Self::WebMqtt => "web-mqtt",
            Self::Nchan => "nchan",
        }
    }

    /// Whether it is something that a user would pick instead: the run goes on whatever becomes of it. Where the service or
    /// its limit fails, the run fails.
    pub(crate) fn is_peer(self) -> bool {
        !matches!(self, Self::Ours | Self::Bare | Self::BareBatched)
    }

    /// Whether each page of it shows a ticket or token, which is made before the measurement.
    pub(crate) fn has_tickets(self) -> bool {
        matches!(self, Self::Ours | Self::Centrifugo | Self::Mercure)
    }

    /// What of it is not installed.
    pub(crate) fn missing(self) -> Option<String> {
        let missing = hub::programs(self).iter().find(|name| hub::program(name).is_none());
        missing.map(|name| format!("not run: {name} is not installed"))
    }
}

/// What all targets are started with.
pub(crate) struct Rig {
    pub(crate) broker: Broker,
    pub(crate) program: PathBuf,
    /// Settings of the service: `SECTION__KEY=VALUE`.
    pub(crate) settings: Vec<(String, String)>,
    /// For databases and logs.
    pub(crate) folder: PathBuf,
    /// Runs so far.
    pub(crate) runs: Cell<u32>,
}

/// How the next target is started, where it is not the usual way.
#[derive(Default, Clone)]
pub(crate) struct Start {
    /// Orders whose tickets are made beforehand.
    pub(crate) orders: Vec<u32>,
    /// A database that is there already.
    pub(crate) database: Option<PathBuf>,
    pub(crate) tls: bool,
}

/// A target that runs. Dropping it ends it and takes its vhost away.
pub(crate) struct Running {
    pub(crate) pids: Vec<u32>,
    pub(crate) place: Option<Place>,
    pub(crate) arrivals: Option<std::net::TcpStream>,
    pub(crate) publisher: Option<Publisher>,
    pub(crate) vhost: Vhost,
    /// End, in this order, before the vhost goes.
    pub(crate) children: Vec<Child>,
    pub(crate) database: Option<PathBuf>,
}

impl Running {
    /// The loop that drives it.
    pub(crate) fn engine(&mut self, kind: Kind) -> Engine {
        let mut engine = Engine::new(self.place.take(), self.arrivals.take(), self.publisher.take());
        if kind.is_peer() {
            engine.forgive_cuts();
        }
        engine
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.children.drain(..).for_each(drop);
    }
}

impl Rig {
    /// A vhost with the exchange and the queue, and nobody who consumes.
    pub(crate) fn vhost(&self) -> Vhost {
        let vhost = self.broker.make_vhost();
        vhost.make_topology();
        vhost
    }

    pub(crate) fn start(&self, kind: Kind, start: &Start) -> Running {
        self.start_on(self.vhost(), kind, start)
    }

    pub(crate) fn start_on(&self, vhost: Vhost, kind: Kind, start: &Start) -> Running {
        let mut running = match kind {
            Kind::Ours => ours::start(self, vhost, start),
            Kind::Bare => bare::start(self, vhost, false),
            Kind::BareBatched => bare::start(self, vhost, true),
            Kind::Node => node::start(self, vhost),
            Kind::Centrifugo => hub::centrifugo(self, vhost, start),
            Kind::Mercure => hub::mercure(self, vhost, start),
            Kind::WebStomp => plugins::web_stomp(self, vhost),
            Kind::WebMqtt => plugins::web_mqtt(self, vhost),
            Kind::Nchan => nchan::start(self, vhost),
        };
        if running.publisher.is_none() {
            running.publisher = Some(self.publisher(&running.vhost));
        }
        running
    }

    /// The first number of a range of events that no earlier run has published.
    pub(crate) fn unused_events(&self) -> u32 {
        let run = self.runs.replace(self.runs.get() + 1);
        run % event::RUNS_MAX * event::EVENTS_A_RUN_MAX
    }

    /// To the service's own exchange.
    pub(crate) fn publisher(&self, vhost: &Vhost) -> Publisher {
        let key = publish::Key::Same("payment.result.wechat_pay");
        let route = publish::Route { exchange: EXCHANGE, key };
        Publisher::Amqp(publish::Amqp::connect(&self.broker.amqp, &vhost.name, route))
    }
}
