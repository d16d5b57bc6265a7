//! RabbitMQ's Web MQTT, version 3.1.1: a topic of the order's name, at least once.

use super::{Dialect, Meaning, Stream};
use crate::target::Amqp;
use crate::{event, frames};

const CONNACK: u8 = 2;
const PUBLISH: u8 = 3;
const SUBACK: u8 = 9;

pub(crate) struct WebMqtt {
    pub(crate) login: Amqp,
    pub(crate) vhost: String,
}

impl Dialect for WebMqtt {
    fn stream(&self, _order: u32) -> Stream {
        Stream::WebSocket { path: "/ws".to_owned(), protocol: Some("mqtt") }
    }

    fn opened(&self, order: u32, out: &mut Vec<u8>) -> Meaning {
        // MQTT 3.1.1, user name, password, clean session; no keep-alive.
        let mut packet = vec![0, 4, b'M', b'Q', b'T', b'T', 4, 0b1100_0010, 0, 0];
        text(&format!("page-{order}"), &mut packet);
        text(&format!("{}:{}", self.vhost, self.login.user), &mut packet);
        text(&self.login.password, &mut packet);
        frames::write(frames::BINARY, &control(0x10, &packet), out);
        Meaning::Wait
    }

    fn inbound(&self, order: u32, payload: &[u8], out: &mut Vec<u8>) -> Meaning {
        match payload[0] >> 4 {
            CONNACK => {
                assert_eq!(payload[3], 0, "Web MQTT refused the connection");
                let mut packet = vec![0, 1];
                text(&format!("payment/result/{}", event::order(order)), &mut packet);
                packet.push(1);
                frames::write(frames::BINARY, &control(0x82, &packet), out);
                Meaning::Wait
            }
            SUBACK => Meaning::Subscribed,
            PUBLISH => {
                if payload[0] & 0b110 != 0 {
                    frames::write(frames::BINARY, &[0x40, 2, 0, packet_id(payload)], out);
                }
                Meaning::Event(event::number(payload).unwrap())
            }
            other => panic!("Web MQTT sent a packet of type {other}"),
        }
    }

    fn goodbye(&self, out: &mut Vec<u8>) {
        frames::write(frames::BINARY, &[0xe0, 0], out);
    }
}

/// The low byte: no page gets more than 255 events.
fn packet_id(payload: &[u8]) -> u8 {
    let length_bytes = payload[1..].iter().take_while(|byte| **byte & 0x80 != 0).count() + 1;
    let topic_at = 1 + length_bytes;
    let topic = usize::from(u16::from_be_bytes([payload[topic_at], payload[topic_at + 1]]));
    payload[topic_at + 2 + topic + 1]
}

fn text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn control(first: u8, rest: &[u8]) -> Vec<u8> {
    let length = rest.len();
    let mut packet = vec![first];
    if length < 128 {
        packet.push(length as u8);
    } else {
        packet.extend_from_slice(&[(length % 128) as u8 | 0x80, (length / 128) as u8]);
    }
    packet.extend_from_slice(rest);
    packet
}
