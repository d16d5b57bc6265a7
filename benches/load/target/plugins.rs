//! RabbitMQ's own Web STOMP and Web MQTT: pages talk to the broker, which is also what is measured.

use std::net::SocketAddr;

use super::{Rig, Running, Vhost};
use crate::dialect::{WebMqtt, WebStomp};
use crate::engine::Place;
use crate::publish::{Amqp, Key, Publisher, Route};

pub(super) fn web_stomp(rig: &Rig, vhost: Vhost) -> Running {
    let dialect = WebStomp { login: rig.broker.amqp.clone(), vhost: vhost.name.clone() };
    running(rig, vhost, Place { addresses: vec![listener("WEB_STOMP")], dialect: Box::new(dialect), tls: None })
}

pub(super) fn web_mqtt(rig: &Rig, vhost: Vhost) -> Running {
    let dialect = WebMqtt { login: rig.broker.amqp.clone(), vhost: vhost.name.clone() };
    running(rig, vhost, Place { addresses: vec![listener("WEB_MQTT")], dialect: Box::new(dialect), tls: None })
}

/// Both map their topics to the exchange amq.topic, each page with a queue of its own.
fn running(rig: &Rig, vhost: Vhost, place: Place) -> Running {
    let route = Route { exchange: "amq.topic", key: Key::Order("payment.result.") };
    Running {
        pids: vec![rig.broker.pid],
        place: Some(place),
        arrivals: None,
        publisher: Some(Publisher::Amqp(Amqp::connect(&rig.broker.amqp, &vhost.name, route))),
        vhost,
        children: Vec::new(),
        database: None,
    }
}

fn listener(name: &str) -> SocketAddr {
    let set = std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: use scripts/bench"));
    set.parse().unwrap()
}
