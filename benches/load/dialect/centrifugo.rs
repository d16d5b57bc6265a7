//! Centrifugo's JSON protocol: connection and subscription asked for together, each with its token. A frame holds a message a
//! line.

use std::cell::RefCell;
use std::collections::HashMap;

use super::{Dialect, Meaning, Stream};
use crate::{event, frames, ticket};

pub(crate) struct Centrifugo {
    /// The first frame, by order.
    asked: RefCell<HashMap<u32, String>>,
}

impl Centrifugo {
    /// With the tokens of these orders made beforehand.
    pub(crate) fn new(orders: &[u32]) -> Self {
        Self { asked: RefCell::new(orders.iter().map(|&order| (order, first_frame(order))).collect()) }
    }
}

fn first_frame(order: u32) -> String {
    let channel = format!("orders:{}", event::order(order));
    let connection = ticket::centrifugo_connection(order);
    let subscription = ticket::centrifugo_channel(order, &channel);
    format!(
        "{{\"id\":1,\"connect\":{{\"token\":\"{connection}\"}}}}\n\
         {{\"id\":2,\"subscribe\":{{\"channel\":\"{channel}\",\"token\":\"{subscription}\"}}}}"
    )
}

impl Dialect for Centrifugo {
    fn stream(&self, _order: u32) -> Stream {
        Stream::web_socket("/connection/websocket".to_owned())
    }

    fn opened(&self, order: u32, out: &mut Vec<u8>) -> Meaning {
        let mut asked = self.asked.borrow_mut();
        let first = asked.entry(order).or_insert_with(|| first_frame(order));
        frames::write(frames::TEXT, first.as_bytes(), out);
        Meaning::Wait
    }

    fn separator(&self) -> Option<u8> {
        Some(b'\n')
    }

    fn inbound(&self, _order: u32, payload: &[u8], out: &mut Vec<u8>) -> Meaning {
        if payload == b"{}" {
            // A ping, which is answered by the same.
            frames::write(frames::TEXT, payload, out);
            return Meaning::Wait;
        }
        let is_push = payload.starts_with(br#"{"push":"#);
        match event::number(payload) {
            Some(n) if is_push => Meaning::Event(n),
            None if payload.starts_with(br#"{"id":1,"connect":"#) => Meaning::Wait,
            None if payload.starts_with(br#"{"id":2,"subscribe":"#) => Meaning::Subscribed,
            _ => panic!("Centrifugo said: {}", String::from_utf8_lossy(payload)),
        }
    }
}
