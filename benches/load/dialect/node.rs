//! The Node bridge: the order in the URL, the body as the answer.

use super::{Dialect, Meaning, Stream};
use crate::event;

pub(crate) struct Node;

impl Dialect for Node {
    fn stream(&self, order: u32) -> Stream {
        Stream::web_socket(format!("/ws?order={}", event::order(order)))
    }

    fn opened(&self, _order: u32, _out: &mut Vec<u8>) -> Meaning {
        Meaning::Subscribed
    }

    fn inbound(&self, _order: u32, payload: &[u8], _out: &mut Vec<u8>) -> Meaning {
        Meaning::Event(event::number(payload).unwrap())
    }
}
