//! RabbitMQ's Web STOMP: a topic of the order's name, subscribed with a receipt.

use super::{Dialect, Meaning, Stream};
use crate::target::Amqp;
use crate::{event, frames};

pub(crate) struct WebStomp {
    pub(crate) login: Amqp,
    pub(crate) vhost: String,
}

impl Dialect for WebStomp {
    fn stream(&self, _order: u32) -> Stream {
        Stream::WebSocket { path: "/ws".to_owned(), protocol: Some("v12.stomp") }
    }

    fn opened(&self, _order: u32, out: &mut Vec<u8>) -> Meaning {
        let Amqp { user, password, .. } = &self.login;
        let vhost = &self.vhost;
        let connect = format!("CONNECT\naccept-version:1.2\nhost:{vhost}\nlogin:{user}\npasscode:{password}\n\n\0");
        frames::write(frames::TEXT, connect.as_bytes(), out);
        Meaning::Wait
    }

    fn inbound(&self, order: u32, payload: &[u8], out: &mut Vec<u8>) -> Meaning {
        if payload.starts_with(b"CONNECTED") {
            let destination = format!("/topic/payment.result.{}", event::order(order));
            let subscribe = format!("SUBSCRIBE\nid:0\ndestination:{destination}\nreceipt:0\n\n\0");
            frames::write(frames::TEXT, subscribe.as_bytes(), out);
            Meaning::Wait
        } else if payload.starts_with(b"RECEIPT") {
            Meaning::Subscribed
        } else if payload.starts_with(b"MESSAGE") {
            Meaning::Event(event::number(payload).unwrap())
        } else if payload == b"\n" {
            Meaning::Wait
        } else {
            panic!("Web STOMP said: {}", String::from_utf8_lossy(payload))
        }
    }

    fn goodbye(&self, out: &mut Vec<u8>) {
        frames::write(frames::TEXT, b"DISCONNECT\n\n\0", out);
    }
}
