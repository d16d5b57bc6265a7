//! One version of a payment on its way to the pages.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;

use crate::payment::Payment;

/// A payment, when this node learned of it, and its text once somebody has made one.
///
/// The text is made by the first page's task that needs it and shared by all others.
#[derive(Debug)]
pub struct Update {
    /// The payment as the store holds it.
    pub payment: Arc<Payment>,
    /// When the publisher sent it, milliseconds since 1970, where the message holds that.
    pub published_at_ms: Option<i64>,
    /// When this node received it. Not set for a payment that was read from the store.
    pub received_at: Option<Instant>,
    text: OnceLock<Bytes>,
}

impl Update {
    /// An update that came from the broker.
    #[must_use]
    pub fn arrived(payment: Arc<Payment>, published_at_ms: Option<i64>, received_at: Instant) -> Arc<Self> {
        Arc::new(Self { payment, published_at_ms, received_at: Some(received_at), text: OnceLock::new() })
    }

    /// A payment as it was read.
    #[must_use]
    pub fn stored(payment: Arc<Payment>) -> Arc<Self> {
        Arc::new(Self { payment, published_at_ms: None, received_at: None, text: OnceLock::new() })
    }

    /// The payment's text, by `encode` if nobody has made it yet.
    pub fn text(&self, encode: impl FnOnce(&Payment) -> Bytes) -> Bytes {
        self.text.get_or_init(|| encode(&self.payment)).clone()
    }
}
