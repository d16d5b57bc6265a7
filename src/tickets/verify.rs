//! From a text to a [`Ticket`].

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Header, Validation};

use super::claims::{Checked, Unchecked};
use super::jwks::Jwks;
use super::key_file::KeyFile;
use super::keys::{LoadError, SET_ALGORITHMS, VerifyingKey};
use super::refusal::Refusal;
use super::ticket::{Ticket, fingerprint};
use crate::config::Tickets;
use crate::runtime::{Object, Tasks, unix_s};
use crate::telemetry::Metrics;

/// A ticket with 20 orders of 64 characters and an RSA signature takes about 2,500.
const TICKET_BYTES_MAX: usize = 4096;

/// Checks tickets against the configured keys.
pub struct Verifier {
    keys: Vec<VerifyingKey>,
    file: Option<KeyFile>,
    jwks: Option<Jwks>,
    /// One for each algorithm that a key may have.
    validations: Vec<Validation>,
    leeway_s: u64,
    lifetime_s_max: i64,
}

impl Verifier {
    /// Reads the key files. A key set behind a URL is fetched by [`Verifier::keep`].
    ///
    /// # Errors
    /// [`LoadError`] for a file that cannot be read or does not hold such a key.
    pub fn load(settings: &Tickets) -> Result<Self, LoadError> {
        let mut known = Vec::new();
        known.extend(settings.hs256_secret.iter().map(|secret| VerifyingKey::hs256(secret.expose())));
        for key in &settings.keys {
            known.push(VerifyingKey::from_file(key)?);
        }
        let file = match settings.jwks_file.as_os_str().is_empty() {
            true => None,
            false => Some(KeyFile::load(&settings.jwks_file)?),
        };
        let jwks = match settings.jwks_url.expose() {
            "" => None,
            _ => Some(Jwks::new(settings)?),
        };
        Ok(Self {
            keys: known,
            file,
            jwks,
            validations: validations(settings),
            leeway_s: settings.leeway_s,
            lifetime_s_max: i64::try_from(settings.lifetime_s_max).unwrap_or(i64::MAX),
        })
    }

    /// Seconds after which every ticket that exists has run out.
    #[must_use]
    pub fn lifetime_s_max(&self) -> u64 {
        // The leeway counts twice: for the clock of who minted it, and for ours.
        let leeway_s = self.leeway_s.saturating_mul(2).saturating_add(1);
        u64::try_from(self.lifetime_s_max).unwrap_or(u64::MAX).saturating_add(leeway_s)
    }

    /// True if there is any key, so that any ticket could be good.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        !self.keys.is_empty() || self.file.is_some() || self.jwks.is_some()
    }

    /// Where key sets come from, as the label `source` has it.
    pub(crate) fn sources(&self) -> Vec<&'static str> {
        let sources = [("url", self.jwks.is_some()), ("file", self.file.is_some())];
        sources.into_iter().filter_map(|(source, is_set)| is_set.then_some(source)).collect()
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
        let refusal = match self.verify_by_known(ticket, &header) {
            Ok(ticket) => return Ok(ticket),
            Err(refusal) => refusal,
        };
        // Whose signature no key fits waits for the key server: a key may have changed under its name, or have none.
        let by_another = matches!(refusal, Refusal::UnknownKey | Refusal::Signature | Refusal::Algorithm);
        if let Some(jwks) = &self.jwks
            && by_another
            && SET_ALGORITHMS.contains(&header.alg)
            && jwks.refetched().await
        {
            return self.verify_by_known(ticket, &header);
        }
        Err(refusal)
    }

    /// Keeps the key sets up to date until the tasks are told to stop.
    pub async fn keep(self: Arc<Self>, tasks: Tasks, metrics: Metrics) {
        let file = async {
            if let Some(file) = &self.file {
                file.keep(&tasks, &metrics).await;
            }
        };
        let url = async {
            if let Some(jwks) = &self.jwks {
                jwks.keep(&tasks, &metrics).await;
            }
        };
        tokio::join!(file, url);
    }

    fn verify_by_known(&self, ticket: &str, header: &Header) -> Result<Ticket, Refusal> {
        let file = self.file.as_ref().map(KeyFile::keys);
        let remote = self.jwks.as_ref().map(Jwks::known);
        let sets = [file.as_deref(), remote.as_deref()];
        let of_sets = sets.iter().flatten().flat_map(|set| set.iter());
        self.verify_with(ticket, header, self.keys.iter().chain(of_sets))
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
        let validation = self.validations.iter().find(|validation| validation.algorithms.contains(&key.algorithm));
        let validation = validation.ok_or(Refusal::Algorithm)?;
        let decoded = jsonwebtoken::decode::<Object<Unchecked>>(ticket, &key.decoding, validation);
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
        let ends_at_s = if claims.exp_s > now_s { claims.exp_s } else { claims.exp_s.saturating_add(leeway_s) };
        Ok(Ticket {
            merchant_id: claims.merchant_id,
            order_ids: claims.order_ids,
            revoked_order_ids: Vec::new(),
            ends_at_s,
            fingerprint: fingerprint(text),
        })
    }
}

fn validations(settings: &Tickets) -> Vec<Validation> {
    let of = |algorithm| {
        let mut validation = Validation::new(algorithm);
        validation.leeway = settings.leeway_s;
        validation.validate_nbf = true;
        validation.set_audience(&[&settings.audience]);
        validation.set_required_spec_claims(&["exp", "aud", "sub"]);
        validation
    };
    SET_ALGORITHMS.into_iter().chain([Algorithm::HS256]).map(of).collect()
}

fn header(ticket: &str) -> Result<Header, Refusal> {
    if ticket.split('.').count() != 3 {
        return Err(Refusal::Malformed);
    }
    let text = ticket.split('.').next().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok()).ok_or(Refusal::Malformed)?;
    // jsonwebtoken would make a header of an array too.
    let Object(header) = serde_json::from_slice::<Object<Header>>(&text).or(Err(Refusal::Malformed))?;
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
