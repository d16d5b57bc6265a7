//! Nchan: a channel of the order's name.

use super::{Dialect, Meaning, Stream};
use crate::event;

pub(crate) struct Nchan;

impl Dialect for Nchan {
    fn stream(&self, order: u32) -> Stream {
        Stream::web_socket(format!("/sub?id={}", event::order(order)))
    }

    // A channel keeps its messages for a while, so nothing falls between.
    fn opened(&self, _order: u32, _out: &mut Vec<u8>) -> Meaning {
        Meaning::Subscribed
    }

    fn inbound(&self, _order: u32, payload: &[u8], _out: &mut Vec<u8>) -> Meaning {
        Meaning::Event(event::number(payload).unwrap())
    }
}
