//! What types alone cannot say: keys that need each other, addresses, and how good secrets are.

use reqwest::Url;

use super::error::Error;
use super::range::WAIT_MAX;
use super::settings::{Amqp, Http, Inquiry, Tickets};
use super::{Settings, strength};

const ALGORITHMS: [&str; 3] = ["RS256", "ES256", "EdDSA"];
const INQUIRIES_MAX: usize = 16;

pub(super) fn check(settings: &Settings) -> Result<(), Error> {
    amqp(&settings.amqp)?;
    http(&settings.http)?;
    tickets(&settings.tickets)?;
    for (key, addresses) in [
        ("amqp.url", &settings.amqp.url),
        ("store.url", &settings.store.url),
        ("tickets.jwks_url", &settings.tickets.jwks_url),
        ("telemetry.otlp_endpoint", &settings.telemetry.otlp_endpoint),
    ] {
        strength::check_addresses(key, addresses)?;
    }
    let pointer = &settings.payments.body_pointer;
    require(pointer.is_empty() || pointer.starts_with('/'), "payments.body_pointer must start with /")?;
    let url = settings.store.url.expose();
    let place = ["sqlite://", "postgres://", "postgresql://"].iter().find_map(|scheme| url.strip_prefix(scheme));
    require(place.is_some(), "store.url must start with sqlite:// or postgres://")?;
    require(place.is_some_and(|place| !place.is_empty()), "store.url must name a file or a database")?;
    inquiry(&settings.inquiry)?;
    let token = &settings.admin.token;
    strength::check_sent("admin.token", token, 16)?;
    require(
        token.is_set() || settings.admin.listen.ip().is_loopback(),
        "admin.listen is not a loopback address, so admin.token must be set",
    )?;
    web_address("telemetry.otlp_endpoint", settings.telemetry.otlp_endpoint.expose())?;
    let demo = &settings.demo;
    web_address("demo.provider_url", &demo.provider_url)?;
    require(!demo.enabled || settings.tickets.hs256_secret.is_set(), "demo.enabled needs tickets.hs256_secret")
}

fn inquiry(inquiry: &Inquiry) -> Result<(), Error> {
    let waits = &inquiry.after;
    require(waits.is_sorted_by(|a, b| a < b), "inquiry.after must be in rising order")?;
    require(waits.len() <= INQUIRIES_MAX, &format!("inquiry.after must have at most {INQUIRIES_MAX} entries"))?;
    require(waits.first().is_none_or(|first| first.seconds() >= 1), "inquiry.after must be at least 1")?;
    let longest = waits.last().map_or(0, |last| last.seconds());
    require(longest <= WAIT_MAX, &format!("inquiry.after must be at most {WAIT_MAX}"))
}

fn amqp(amqp: &Amqp) -> Result<(), Error> {
    for url in amqp.url.addresses() {
        let url = url.expose();
        require(
            url.starts_with("amqp://") || url.starts_with("amqps://"),
            "amqp.url must start with amqp:// or amqps://",
        )?;
        // lapin turns a literal IPv6 host into localhost without a word.
        require(!url.contains("@[") && !url.contains("://["), "amqp.url must name its host by name or IPv4 address")?;
    }
    require(amqp.retry_longest_ms >= amqp.retry_first_ms, "amqp.retry_longest_ms must be at least amqp.retry_first_ms")
}

fn http(http: &Http) -> Result<(), Error> {
    require(
        http.tls_cert_file.as_os_str().is_empty() == http.tls_key_file.as_os_str().is_empty(),
        "http.tls_cert_file and http.tls_key_file must be set together",
    )?;
    require(http.ping_s < http.silent_s, "http.ping_s must be less than http.silent_s")?;
    for (index, origin) in http.allowed_origins.iter().enumerate() {
        let place = format!("http.allowed_origins, number {} of {},", index + 1, http.allowed_origins.len());
        let sent =
            Url::parse(origin).ok().filter(|url| matches!(url.scheme(), "http" | "https") && !origin.contains('*'));
        let sent = sent.map(|url| url.origin().ascii_serialization());
        let sent = sent.ok_or_else(|| Error(format!("{place} must be scheme and host, e.g. https://shop.example")))?;
        require(sent == *origin, &format!("{place} must be {sent}, as browsers send it"))?;
    }
    Ok(())
}

fn tickets(tickets: &Tickets) -> Result<(), Error> {
    let (secret, api_key) = (&tickets.hs256_secret, &tickets.api_key);
    strength::check("tickets.hs256_secret", secret, 32)?;
    strength::check_sent("tickets.api_key", api_key, 16)?;
    require(!api_key.is_set() || secret.is_set(), "tickets.api_key needs tickets.hs256_secret to mint with")?;
    require(!tickets.audience.is_empty(), "tickets.audience must not be empty")?;
    require(
        tickets.jwks_stale_max_s >= tickets.jwks_max_age_s,
        "tickets.jwks_stale_max_s must be at least tickets.jwks_max_age_s",
    )?;
    web_address("tickets.jwks_url", tickets.jwks_url.expose())?;
    for key in &tickets.keys {
        require(
            ALGORITHMS.contains(&key.algorithm.as_str()),
            &format!("tickets.keys: algorithm {:?} must be RS256, ES256 or EdDSA", key.algorithm),
        )?;
    }
    Ok(())
}

fn web_address(key: &str, url: &str) -> Result<(), Error> {
    let good = url.is_empty() || Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    require(good, &format!("{key} must be an http:// or https:// address"))
}

fn require(holds: bool, otherwise: &str) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error(otherwise.to_owned())) }
}
