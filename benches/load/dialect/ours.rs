//! The service: the ticket in the first frame, `subscribed` as its answer.

use std::cell::RefCell;
use std::collections::HashMap;

use super::{Dialect, Meaning, Stream};
use crate::{event, frames, ticket};

pub(crate) struct Ours {
    tickets: RefCell<HashMap<u32, String>>,
}

impl Ours {
    /// With the tickets of these orders made beforehand.
    pub(crate) fn new(orders: &[u32]) -> Self {
        Self { tickets: RefCell::new(orders.iter().map(|&order| (order, ticket::mint(order))).collect()) }
    }
}

impl Dialect for Ours {
    fn stream(&self, _order: u32) -> Stream {
        Stream::web_socket("/v1/ws".to_owned())
    }

    fn opened(&self, order: u32, out: &mut Vec<u8>) -> Meaning {
        let mut tickets = self.tickets.borrow_mut();
        let ticket = tickets.entry(order).or_insert_with(|| ticket::mint(order));
        frames::write(frames::TEXT, format!(r#"{{"type":"subscribe","ticket":"{ticket}"}}"#).as_bytes(), out);
        Meaning::Wait
    }

    fn inbound(&self, _order: u32, payload: &[u8], _out: &mut Vec<u8>) -> Meaning {
        if payload.starts_with(br#"{"type":"subscribed""#) {
            return Meaning::Subscribed;
        }
        let is_event = payload.starts_with(br#"{"type":"payment""#);
        match event::number(payload) {
            Some(n) if is_event => Meaning::Event(n),
            _ => panic!("the service said: {}", String::from_utf8_lossy(payload)),
        }
    }
}
