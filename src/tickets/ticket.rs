//! A ticket that was checked, and what one says that was not.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::claims::Unchecked;
use super::refusal::Refusal;
use crate::payment::{Key, MerchantId, OrderId};
use crate::runtime::{Object, unix_ms};

/// A ticket that was checked.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// The merchant of the orders.
    pub merchant_id: MerchantId,
    /// Which orders: 1 to 20, no two the same.
    pub order_ids: Vec<OrderId>,
    /// Orders of it that are revoked: none of them is in `order_ids`.
    pub revoked_order_ids: Vec<OrderId>,
    /// When its subscriptions end, seconds since 1970.
    pub ends_at_s: i64,
    /// Tells one ticket from another without holding it.
    pub fingerprint: Fingerprint,
}

/// The first half of the SHA-256 of what a ticket's signature is over. The signature itself is left out: of some kinds
/// anybody can make another one that is as good, and a ticket that is revoked or holds all it may would be a new one.
pub type Fingerprint = [u8; 16];

pub(super) fn fingerprint(ticket: &str) -> Fingerprint {
    let (signed, _signature) = ticket.rsplit_once('.').unwrap_or((ticket, ""));
    let digest = Sha256::digest(signed.as_bytes());
    std::array::from_fn(|i| digest[i])
}

/// What a ticket says of itself.
#[derive(Debug)]
pub struct Peeked {
    /// By which it is revoked.
    pub fingerprint: Fingerprint,
    /// What it is for.
    pub keys: Vec<Key>,
    /// Seconds since 1970.
    pub exp_s: i64,
}

/// What a ticket says it is for, whether that is true or not: for whoever wants it refused.
///
/// # Errors
/// Where it cannot be a ticket of any kind.
pub fn peek(ticket: &str) -> Result<Peeked, Refusal> {
    let mut parts = ticket.split('.');
    let (Some(_header), Some(claims), Some(_signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Refusal::Malformed);
    };
    let claims = URL_SAFE_NO_PAD.decode(claims).or(Err(Refusal::Malformed))?;
    let claims = serde_json::from_slice::<Object<Unchecked>>(&claims).or(Err(Refusal::Malformed))?.check()?;
    let key = |order_id| Key::new(claims.merchant_id.clone(), order_id);
    let keys = claims.order_ids.into_iter().map(key).collect();
    Ok(Peeked { fingerprint: fingerprint(ticket), keys, exp_s: claims.exp_s })
}

impl Ticket {
    /// The payment that an order id of this ticket means.
    #[must_use]
    pub fn key(&self, order_id: &OrderId) -> Key {
        Key::new(self.merchant_id.clone(), order_id.clone())
    }

    /// When its subscriptions end, by the clock of waits.
    #[must_use]
    pub fn ends_at(&self) -> Instant {
        let ends_in_ms = self.ends_at_s.saturating_mul(1000).saturating_sub(unix_ms());
        Instant::now() + Duration::from_millis(u64::try_from(ends_in_ms).unwrap_or(0))
    }

    /// The payment of the order that a page asks for.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] if the ticket is not for it, whether there is such an order or not.
    pub fn authorize(&self, order_id: &str) -> Result<Key, Refusal> {
        self.order_ids.iter().find(|o| o.as_str() == order_id).map(|o| self.key(o)).ok_or(Refusal::Forbidden)
    }
}
