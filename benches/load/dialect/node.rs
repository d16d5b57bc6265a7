//! The Node bridge: the order in the URL, the body as the answer.

use super::{Dialect, Meaning};
use crate::event;

pub(crate) struct Node;

impl Dialect for Node {
    fn place(&self, order: u32) -> (String, Option<&'static str>) {
        (format!("/ws?order={}", event::order(order)), None)
    }

    fn opened(&self, _order: u32, _out: &mut Vec<u8>) -> Meaning {
        Meaning::Subscribed
    }

    fn inbound(&self, _order: u32, payload: &[u8], _out: &mut Vec<u8>) -> Meaning {
        Meaning::Event(event::number(payload).unwrap())
    }
}
