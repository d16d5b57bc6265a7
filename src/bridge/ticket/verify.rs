//! From a text to a [`Ticket`].

use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Header, Validation};

use super::claims::{Checked, Unchecked};
use super::jwks::Jwks;
use super::keys::{self, VerifyingKey};
use super::{Refusal, Ticket, fingerprint};
use crate::config::Tickets;
use crate::runtime::unix_s;

/// A ticket with 20 orders of 64 characters and an RSA signature takes about 2,500.
const TICKET_BYTES_MAX: usize = 4096;

/// Why keys cannot be used: one line that names the setting.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct LoadError(pub(super) String);

/// Checks tickets against the configured keys.
pub struct Verifier {
    keys: Vec<VerifyingKey>,
    jwks: Option<Jwks>,
    audience: String,
    leeway_s: u64,
    lifetime_s_max: i64,
}

impl Verifier {
    /// Reads the key files. A key set behind a URL is fetched when the first ticket needs it.
    ///
    /// # Errors
    /// [`LoadError`] for a file that cannot be read or does not hold such a key.
    pub fn load(settings: &Tickets) -> Result<Self, LoadError> {
        let mut known = Vec::new();
        if settings.hs256_secret.is_set() {
            known.push(VerifyingKey::hs256(settings.hs256_secret.expose()));
        }
        for key in &settings.keys {
            known.push(VerifyingKey::from_file(key)?);
        }
        if !settings.jwks_file.as_os_str().is_empty() {
            let file = settings.jwks_file.display();
            let set = keys::parse_jwks(&keys::read(&settings.jwks_file)?);
            known.extend(set.map_err(|e| LoadError(format!("tickets.jwks_file: {file} {e}")))?);
        }
        let jwks = match settings.jwks_url.as_str() {
            "" => None,
            url => Some(Jwks::new(
                url,
                Duration::from_secs(settings.jwks_max_age_s),
                Duration::from_secs(settings.jwks_refetch_min_s),
            )?),
        };
        Ok(Self {
            keys: known,
            jwks,
            audience: settings.audience.clone(),
            leeway_s: settings.leeway_s,
            lifetime_s_max: i64::try_from(settings.lifetime_s_max).unwrap_or(i64::MAX),
        })
    }

    /// Seconds after which every ticket that exists has run out.
    #[must_use]
    pub fn lifetime_s_max(&self) -> u64 {
        u64::try_from(self.lifetime_s_max).unwrap_or(u64::MAX).saturating_add(self.leeway_s)
    }

    /// True if there is any key, so that any ticket could be good.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        !self.keys.is_empty() || self.jwks.is_some()
    }

    /// Checks signature, key, audience, times and claims.
    ///
    /// # Errors
    /// The first [`Refusal`] that applies.
    pub async fn verify(&self, ticket: &str) -> Result<Ticket, Refusal> {
        if ticket.len() > TICKET_BYTES_MAX {
            return Err(Refusal::TooLarge);
        }
        let header = header(ticket)?;
        if let Some(jwks) = &self.jwks {
            let mut remote = jwks.keys().await;
            let known = |keys: &[VerifyingKey]| keys.iter().any(|key| key.kid == header.kid);
            if header.kid.is_some() && !known(&self.keys) && !known(&remote) {
                remote = jwks.fetch().await;
            }
            return self.verify_with(ticket, &header, self.keys.iter().chain(remote.iter()));
        }
        self.verify_with(ticket, &header, self.keys.iter())
    }

    fn verify_with<'a>(
        &self,
        ticket: &str,
        header: &Header,
        keys: impl Iterator<Item = &'a VerifyingKey> + Clone,
    ) -> Result<Ticket, Refusal> {
        // A named key if there is one; a key without a name may have signed anything.
        let named = header.kid.is_some() && keys.clone().any(|key| key.kid == header.kid);
        let fits = |key: &&VerifyingKey| match (&header.kid, named) {
            (Some(_), true) => key.kid == header.kid,
            (Some(_), false) => key.kid.is_none(),
            (None, _) => true,
        };
        let mut refusal = Refusal::UnknownKey;
        for key in keys.filter(fits) {
            match self.verify_by(ticket, header, key) {
                Ok(ticket) => return Ok(ticket),
                // Of several keys, the one that fits says more than the others.
                Err(Refusal::Algorithm) if refusal != Refusal::UnknownKey => {}
                Err(Refusal::Signature) if !matches!(refusal, Refusal::UnknownKey | Refusal::Algorithm) => {}
                Err(reason) => refusal = reason,
            }
        }
        Err(refusal)
    }

    fn verify_by(&self, ticket: &str, header: &Header, key: &VerifyingKey) -> Result<Ticket, Refusal> {
        if header.alg != key.algorithm {
            return Err(Refusal::Algorithm);
        }
        let mut validation = Validation::new(key.algorithm);
        validation.leeway = self.leeway_s;
        validation.validate_nbf = true;
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "aud", "sub"]);
        let decoded = jsonwebtoken::decode::<Unchecked>(ticket, &key.decoding, &validation);
        let claims = decoded.map_err(|e| refusal(e.kind()))?.claims.check()?;
        if key.merchant_id.as_ref().is_some_and(|bound| *bound != claims.merchant_id) {
            return Err(Refusal::Merchant);
        }
        self.ticket(ticket, claims)
    }

    fn ticket(&self, text: &str, claims: Checked) -> Result<Ticket, Refusal> {
        let (now_s, leeway_s) = (unix_s(), i64::try_from(self.leeway_s).unwrap_or(0));
        if claims.exp_s > now_s.saturating_add(self.lifetime_s_max).saturating_add(leeway_s) {
            return Err(Refusal::TooLongLived);
        }
        // A page that comes within the leeway gets the rest of it; all others end on time.
        let ends_at_s = if claims.exp_s > now_s { claims.exp_s } else { claims.exp_s + leeway_s };
        Ok(Ticket {
            merchant_id: claims.merchant_id,
            order_ids: claims.order_ids,
            revoked_order_ids: Vec::new(),
            ends_at_s,
            fingerprint: fingerprint(text),
        })
    }
}

fn header(ticket: &str) -> Result<Header, Refusal> {
    if ticket.split('.').count() != 3 {
        return Err(Refusal::Malformed);
    }
    let header = jsonwebtoken::decode_header(ticket).map_err(|e| refusal(e.kind()))?;
    if header.crit.is_some() || header.enc.is_some() || header.zip.is_some() {
        return Err(Refusal::Extension);
    }
    Ok(header)
}

fn refusal(kind: &ErrorKind) -> Refusal {
    match kind {
        ErrorKind::InvalidSignature => Refusal::Signature,
        ErrorKind::ExpiredSignature => Refusal::Expired,
        ErrorKind::ImmatureSignature => Refusal::NotYetValid,
        ErrorKind::InvalidAudience => Refusal::Audience,
        ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => Refusal::Audience,
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) | ErrorKind::InvalidSubject => {
            Refusal::Claims
        }
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName | ErrorKind::MissingAlgorithm => {
            Refusal::Algorithm
        }
        _ => Refusal::Malformed,
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}
