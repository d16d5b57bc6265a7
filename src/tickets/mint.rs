//! Makes tickets for back ends that have no JWT library at hand.

use jsonwebtoken::{EncodingKey, Header};

use super::claims::{Minting, ORDERS_MAX};
use crate::config::Tickets;
use crate::payment::{MerchantId, OrderId};
use crate::runtime::unix_s;

/// Why no ticket was minted.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// The number of orders is not 1 to 20.
    #[error("order_id must name 1 to {ORDERS_MAX} orders")]
    Orders,
    /// `sub` is empty or too long.
    #[error("sub must be 1 to 256 bytes")]
    Subject,
    /// The life is zero or too long.
    #[error("ttl_s must be 1 to {0}")]
    Lifetime(u64),
    /// Signing failed.
    #[error("the ticket could not be signed")]
    Signing,
}

/// A ticket and its end.
#[derive(Clone)]
pub struct Minted {
    /// The JWT.
    pub ticket: String,
    /// When it expires, seconds since 1970.
    pub expires_at_s: i64,
}

/// Signs tickets with the first of `tickets.hs256_secret`.
#[derive(Clone)]
pub struct Minter {
    key: EncodingKey,
    audience: String,
    lifetime_s_max: u64,
}

impl Minter {
    /// Not set where there is no secret to sign with.
    #[must_use]
    pub fn new(settings: &Tickets) -> Option<Self> {
        settings.hs256_secret.first().map(|secret| Self {
            key: EncodingKey::from_secret(secret.expose().as_bytes()),
            audience: settings.audience.clone(),
            lifetime_s_max: settings.lifetime_s_max,
        })
    }

    /// Seconds that a ticket may live at most.
    #[must_use]
    pub fn lifetime_s_max(&self) -> u64 {
        self.lifetime_s_max
    }

    /// A ticket for `order_ids` of one merchant, valid for `ttl_s` seconds from now.
    ///
    /// # Errors
    /// [`MintError`] naming what is out of bounds.
    pub fn mint(
        &self,
        merchant_id: &MerchantId,
        order_ids: &[OrderId],
        sub: &str,
        ttl_s: u64,
    ) -> Result<Minted, MintError> {
        if order_ids.is_empty() || order_ids.len() > ORDERS_MAX {
            return Err(MintError::Orders);
        }
        if sub.is_empty() || sub.len() > 256 {
            return Err(MintError::Subject);
        }
        let lifetime_s = i64::try_from(ttl_s).ok().filter(|_| (1..=self.lifetime_s_max).contains(&ttl_s));
        let iat = unix_s();
        let exp = iat + lifetime_s.ok_or(MintError::Lifetime(self.lifetime_s_max))?;
        let merchant_id = merchant_id.as_str();
        let claims = Minting { aud: &self.audience, merchant_id, order_id: order_ids, sub, iat, exp };
        let ticket = jsonwebtoken::encode(&Header::default(), &claims, &self.key).or(Err(MintError::Signing))?;
        Ok(Minted { ticket, expires_at_s: exp })
    }
}

impl std::fmt::Debug for Minter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Minter")
    }
}
