//! Tickets: which orders of which merchant a page may watch, and for how long.
//!
//! A ticket is a JWT. The key decides the algorithm, never the token (RFC 8725, 3.1), and nothing in a token's header
//! can name where a key is. Neither a ticket nor its subject is ever logged.

mod claims;
mod jwks;
mod keys;
mod mint;
mod refusal;
mod verify;

pub use mint::{MintError, Minted, Minter};
pub use refusal::Refusal;
pub use verify::{LoadError, Verifier};

use crate::payment::{Key, MerchantId, OrderId};

/// A ticket that was checked.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// Whose orders.
    pub merchant_id: MerchantId,
    /// Which orders: 1 to 20, no two the same.
    pub order_ids: Vec<OrderId>,
    /// When its subscriptions end, seconds since 1970.
    pub ends_at_s: i64,
    /// Tells one ticket from another without holding it.
    pub fingerprint: Fingerprint,
}

/// The first half of a ticket's SHA-256.
pub type Fingerprint = [u8; 16];

impl Ticket {
    /// The payment that an order id of this ticket means.
    #[must_use]
    pub fn key(&self, order_id: &OrderId) -> Key {
        Key::new(self.merchant_id.clone(), order_id.clone())
    }

    /// The payment of the order that a page asks for.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] if the ticket is not for it, whether there is such an order or not.
    pub fn authorize(&self, order_id: &str) -> Result<Key, Refusal> {
        self.order_ids.iter().find(|o| o.as_str() == order_id).map(|o| self.key(o)).ok_or(Refusal::Forbidden)
    }
}
