//! What types alone cannot say: ranges, and keys that need each other.

use super::load::Error;
use super::{Http, Live, Settings, Tickets, strength};
use crate::config::settings::Amqp;

/// The longest of any wait: a year, where it is in seconds.
const WAIT_MAX: u64 = 31_536_000;
const ALGORITHMS: [&str; 3] = ["RS256", "ES256", "EdDSA"];

pub(super) fn check(settings: &Settings) -> Result<(), Error> {
    amqp(&settings.amqp)?;
    live(&settings.live)?;
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
    let merchant = &settings.payments.default_merchant;
    require(
        merchant.is_empty() || is_name(merchant),
        "payments.default_merchant must be 1 to 64 of A-Z a-z 0-9 _ . -",
    )?;
    let pointer = &settings.payments.body_pointer;
    require(pointer.is_empty() || pointer.starts_with('/'), "payments.body_pointer must start with /")?;
    at_least("payments.body_bytes_max", settings.payments.body_bytes_max, 256)?;
    at_least("payments.body_depth_max", settings.payments.body_depth_max, 4)?;
    require(settings.payments.body_depth_max <= 100, "payments.body_depth_max must be at most 100")?;
    let store = &settings.store;
    let url = store.url.expose();
    let place = ["sqlite://", "postgres://", "postgresql://"].iter().find_map(|scheme| url.strip_prefix(scheme));
    require(place.is_some(), "store.url must start with sqlite:// or postgres://")?;
    require(place.is_some_and(|place| !place.is_empty()), "store.url must name a file or a database")?;
    at_least("store.batch_events_max", store.batch_events_max, 1)?;
    at_least("store.readers", store.readers, 1)?;
    require(store.readers <= 64, "store.readers must be at most 64")?;
    at_least("store.reads_waiting_max", store.reads_waiting_max, 1)?;
    at_least_s("store.answer_timeout_s", store.answer_timeout_s)?;
    at_least("store.postgres_connections_max", store.postgres_connections_max, 2)?;
    at_least_s("store.postgres_timeout_s", store.postgres_timeout_s)?;
    outgoing(settings)?;
    let otlp = settings.telemetry.otlp_endpoint.expose();
    require(
        otlp.is_empty() || otlp.starts_with("http://") || otlp.starts_with("https://"),
        "telemetry.otlp_endpoint must be an http:// or https:// address",
    )?;
    let demo = &settings.demo;
    require(!demo.enabled || settings.tickets.hs256_secret.is_set(), "demo.enabled needs tickets.hs256_secret")
}

fn outgoing(settings: &Settings) -> Result<(), Error> {
    // A hundred years: beyond that the clock ends before the span does.
    for (key, span) in [("store.keep", settings.store.keep), ("timeline.keep", settings.timeline.keep)] {
        require(span.seconds() <= 100 * WAIT_MAX, &format!("{key} must be at most 36500d"))?;
    }
    at_least("timeline.notes_waiting_max", settings.timeline.notes_waiting_max, 1)?;
    at_least_s("escalation.after", settings.escalation.after.seconds())?;
    let waits = &settings.inquiry.after;
    require(waits.is_sorted_by(|a, b| a < b), "inquiry.after must be in rising order")?;
    require(waits.len() <= 16, "inquiry.after must have at most 16 entries")?;
    for span in waits {
        at_least_s("inquiry.after", span.seconds())?;
    }
    at_least_s("inquiry.per_s_max", settings.inquiry.per_s_max.into())?;
    at_least("outbox.batch_max", settings.outbox.batch_max, 1)?;
    require(settings.outbox.batch_max <= 10_000, "outbox.batch_max must be at most 10000")?;
    at_least_s("outbox.interval_ms", settings.outbox.interval_ms)?;
    let token = &settings.admin.token;
    strength::check("admin.token", token, 16)?;
    require(
        token.is_set() || settings.admin.listen.ip().is_loopback(),
        "admin.listen is not a loopback address, so admin.token must be set",
    )
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
    let names = [
        ("amqp.exchange", &amqp.exchange),
        ("amqp.queue", &amqp.queue),
        ("amqp.binding", &amqp.binding),
        ("amqp.dead_letter_exchange", &amqp.dead_letter_exchange),
        ("amqp.dead_letter_queue", &amqp.dead_letter_queue),
        ("amqp.events_exchange", &amqp.events_exchange),
        ("amqp.live_exchange", &amqp.live_exchange),
    ];
    for (key, name) in names {
        require(!name.is_empty() && name.len() <= 255, &format!("{key} must be 1 to 255 bytes"))?;
    }
    at_least("amqp.prefetch", amqp.prefetch.into(), 1)?;
    at_least("amqp.delivery_limit", usize::try_from(amqp.delivery_limit).unwrap_or(usize::MAX), 1)?;
    at_least("amqp.heartbeat_s", amqp.heartbeat_s.into(), 1)?;
    at_least_s("amqp.connect_timeout_s", amqp.connect_timeout_s)?;
    at_least_s("amqp.retry_first_ms", amqp.retry_first_ms)?;
    require(
        amqp.retry_longest_ms >= amqp.retry_first_ms,
        "amqp.retry_longest_ms must be at least amqp.retry_first_ms",
    )?;
    at_most_s("amqp.retry_longest_ms", amqp.retry_longest_ms)?;
    at_least("amqp.publish_connections_max", amqp.publish_connections_max, 1)?;
    at_least_s("amqp.confirm_timeout_s", amqp.confirm_timeout_s)?;
    at_most_s("amqp.probe_interval_s", amqp.probe_interval_s)?;
    at_least_s("amqp.lag_interval_s", amqp.lag_interval_s)
}

fn live(live: &Live) -> Result<(), Error> {
    at_least("live.changes_waiting_max", live.changes_waiting_max, 1)?;
    at_least("live.message_bytes_max", live.message_bytes_max, 1024)?;
    require(live.message_bytes_max <= 1024 * 1024, "live.message_bytes_max must be at most 1048576")?;
    at_least_s("live.queue_messages_max", live.queue_messages_max.into())?;
    at_least_s("live.heartbeat_ms", live.heartbeat_ms)?;
    require(live.heartbeat_ms <= 60_000, "live.heartbeat_ms must be at most 60000")?;
    at_least_s("live.reread_s", live.reread_s)?;
    at_least_s("live.reads_per_s_max", live.reads_per_s_max.into())
}

fn http(http: &Http) -> Result<(), Error> {
    require(
        http.tls_cert_file.as_os_str().is_empty() == http.tls_key_file.as_os_str().is_empty(),
        "http.tls_cert_file and http.tls_key_file must be set together",
    )?;
    at_least_s("http.tls_handshake_timeout_s", http.tls_handshake_timeout_s)?;
    at_least("http.tls_handshakes_max", http.tls_handshakes_max, 1)?;
    at_least_s("http.header_timeout_s", http.header_timeout_s)?;
    // hyper refuses a smaller buffer.
    at_least("http.header_bytes_max", http.header_bytes_max, 8192)?;
    at_least("http.header_lines_max", http.header_lines_max, 16)?;
    at_least("http.body_bytes_max", http.body_bytes_max, 1024)?;
    at_least_s("http.body_timeout_s", http.body_timeout_s)?;
    at_least("http.connections_max", http.connections_max, 1)?;
    at_least("http.connections_per_ticket_max", http.connections_per_ticket_max, 1)?;
    at_least("http.connections_per_address_max", http.connections_per_address_max, 1)?;
    at_least_s("http.requests_per_address_burst_max", http.requests_per_address_burst_max.into())?;
    at_least_s("http.requests_per_address_per_s_max", http.requests_per_address_per_s_max.into())?;
    at_least("http.addresses_per_ipv6_site_max", http.addresses_per_ipv6_site_max, 1)?;
    at_least_s("http.reconnect_pages_per_s_max", http.reconnect_pages_per_s_max.into())?;
    at_least("http.subscriptions_per_connection_max", http.subscriptions_per_connection_max, 1)?;
    at_least("http.frame_bytes_max", http.frame_bytes_max, 512)?;
    at_least("http.frames_burst_max", usize::try_from(http.frames_burst_max).unwrap_or(usize::MAX), 1)?;
    at_least("http.frames_per_s_max", usize::try_from(http.frames_per_s_max).unwrap_or(usize::MAX), 1)?;
    at_least_s("http.silent_s", http.silent_s)?;
    at_least_s("http.ticket_wait_s", http.ticket_wait_s)?;
    at_least_s("http.ping_s", http.ping_s)?;
    require(http.ping_s < http.silent_s, "http.ping_s must be less than http.silent_s")?;
    at_least_s("http.heartbeat_s", http.heartbeat_s)?;
    at_least_s("http.write_timeout_s", http.write_timeout_s)?;
    at_least_s("http.wait_s_max", http.wait_s_max)?;
    at_most_s("http.drain_s", http.drain_s)?;
    for (index, origin) in http.allowed_origins.iter().enumerate() {
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        let good = host.is_some_and(|h| !h.is_empty() && !h.contains(['/', '*', ' ', ',']));
        let place = format!("http.allowed_origins, number {} of {},", index + 1, http.allowed_origins.len());
        require(good, &format!("{place} must be scheme and host, e.g. https://shop.example"))?;
    }
    Ok(())
}

fn tickets(tickets: &Tickets) -> Result<(), Error> {
    let (secret, api_key) = (&tickets.hs256_secret, &tickets.api_key);
    strength::check("tickets.hs256_secret", secret, 32)?;
    strength::check("tickets.api_key", api_key, 16)?;
    require(!api_key.is_set() || secret.is_set(), "tickets.api_key needs tickets.hs256_secret to mint with")?;
    let merchant = &tickets.api_key_merchant_id;
    require(
        merchant.is_empty() || is_name(merchant),
        "tickets.api_key_merchant_id must be 1 to 64 of A-Z a-z 0-9 _ . -",
    )?;
    require(!tickets.audience.is_empty(), "tickets.audience must not be empty")?;
    require(tickets.leeway_s <= 300, "tickets.leeway_s must be at most 300")?;
    at_least("tickets.revocations_max", tickets.revocations_max, 1)?;
    at_least_s("tickets.lifetime_s_max", tickets.lifetime_s_max)?;
    at_least_s("tickets.jwks_max_age_s", tickets.jwks_max_age_s)?;
    at_least_s("tickets.jwks_refetch_min_s", tickets.jwks_refetch_min_s)?;
    require(
        tickets.jwks_stale_max_s >= tickets.jwks_max_age_s,
        "tickets.jwks_stale_max_s must be at least tickets.jwks_max_age_s",
    )?;
    let url = tickets.jwks_url.expose();
    require(
        url.is_empty() || url.starts_with("https://") || url.starts_with("http://"),
        "tickets.jwks_url must be an http:// or https:// address",
    )?;
    for key in &tickets.keys {
        require(
            ALGORITHMS.contains(&key.algorithm.as_str()),
            &format!("tickets.keys: algorithm {:?} must be RS256, ES256 or EdDSA", key.algorithm),
        )?;
        require(
            key.merchant_id.is_empty() || is_name(&key.merchant_id),
            "tickets.keys: merchant_id must be 1 to 64 of A-Z a-z 0-9 _ . -",
        )?;
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

fn at_least(key: &str, value: usize, least: usize) -> Result<(), Error> {
    require(value >= least, &format!("{key} must be at least {least}"))
}

/// Seconds or milliseconds, at least 1.
fn at_least_s(key: &str, value: u64) -> Result<(), Error> {
    require(value >= 1, &format!("{key} must be at least 1"))?;
    at_most_s(key, value)
}

/// A clock that is asked for a moment far beyond its range ends the program.
fn at_most_s(key: &str, value: u64) -> Result<(), Error> {
    require(value <= WAIT_MAX, &format!("{key} must be at most {WAIT_MAX}"))
}

fn require(holds: bool, otherwise: &str) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error(otherwise.to_owned())) }
}
