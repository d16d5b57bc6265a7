//! Mercure: server-sent events of one topic, which is private to who has a token that names it.

use std::cell::RefCell;
use std::collections::HashMap;

use super::{Dialect, Meaning, Stream};
use crate::{event, ticket};

pub(crate) struct Mercure {
    tokens: RefCell<HashMap<u32, String>>,
}

impl Mercure {
    /// With the tokens of these orders made beforehand.
    pub(crate) fn new(orders: &[u32]) -> Self {
        Self { tokens: RefCell::new(orders.iter().map(|&order| (order, token(order))).collect()) }
    }
}

fn token(order: u32) -> String {
    ticket::mercure(&[format!("orders/{}", event::order(order))], &[])
}

impl Dialect for Mercure {
    fn stream(&self, order: u32) -> Stream {
        let token = self.tokens.borrow_mut().entry(order).or_insert_with(|| token(order)).clone();
        Stream::Events { path: format!("/.well-known/mercure?topic=orders/{}", event::order(order)), token }
    }

    // The hub has added the subscriber before it answers.
    fn opened(&self, _order: u32, _out: &mut Vec<u8>) -> Meaning {
        Meaning::Subscribed
    }

    fn inbound(&self, _order: u32, payload: &[u8], _out: &mut Vec<u8>) -> Meaning {
        match event::number(payload) {
            Some(n) => Meaning::Event(n),
            None if payload.starts_with(b":") => Meaning::Wait,
            None => panic!("Mercure said: {}", String::from_utf8_lossy(payload)),
        }
    }
}
