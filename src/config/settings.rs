//! The settings as types. Each field is a key of `config/default.toml`, which says what it means and in which unit.

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::mapping::Mapping;
use super::range::{self, KEEP_S_MAX, WAIT_MAX};
use super::{Callbacks, Secret, Secrets, Span, Store};

/// All settings.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config/default.toml documents every key, and a test holds the two together")]
pub struct Settings {
    pub instance: String,
    pub amqp: Amqp,
    pub live: Live,
    pub payments: Payments,
    pub store: Store,
    pub timeline: Timeline,
    pub escalation: Escalation,
    pub inquiry: Inquiry,
    pub outbox: Outbox,
    pub http: Http,
    pub admin: Admin,
    pub tickets: Tickets,
    pub callbacks: Callbacks,
    pub telemetry: Telemetry,
    pub demo: Demo,
}

/// `[amqp]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct Amqp {
    pub url: Secret,
    pub declare: bool,
    #[serde(deserialize_with = "range::amqp_name")]
    pub exchange: String,
    #[serde(deserialize_with = "range::amqp_name")]
    pub queue: String,
    #[serde(deserialize_with = "range::amqp_name")]
    pub binding: String,
    #[serde(deserialize_with = "range::amqp_name")]
    pub dead_letter_exchange: String,
    #[serde(deserialize_with = "range::amqp_name")]
    pub dead_letter_queue: String,
    #[serde(deserialize_with = "range::amqp_name")]
    pub events_exchange: String,
    #[serde(deserialize_with = "range::amqp_name")]
    pub live_exchange: String,
    #[serde(deserialize_with = "range::at_least::<_, _, 1>")]
    pub prefetch: u16,
    #[serde(deserialize_with = "range::at_least::<_, _, 1>")]
    pub delivery_limit: u32,
    #[serde(deserialize_with = "range::at_least::<_, _, 1>")]
    pub heartbeat_s: u16,
    #[serde(deserialize_with = "range::wait")]
    pub connect_timeout_s: u64,
    #[serde(deserialize_with = "range::wait")]
    pub retry_first_ms: u64,
    #[serde(deserialize_with = "range::within::<_, _, 0, WAIT_MAX>")]
    pub retry_longest_ms: u64,
    #[serde(deserialize_with = "range::within::<_, _, 1, 1000>")]
    pub publish_connections_max: usize,
    #[serde(deserialize_with = "range::wait")]
    pub confirm_timeout_s: u64,
    #[serde(deserialize_with = "range::wait")]
    pub lag_interval_s: u64,
    /// Seconds between two probes of the binding with `declare = false`; 0: none.
    #[serde(deserialize_with = "range::within::<_, _, 0, WAIT_MAX>")]
    pub probe_interval_s: u64,
}

/// `[live]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct Live {
    pub mode: LiveMode,
    #[serde(deserialize_with = "range::waiting")]
    pub changes_waiting_max: usize,
    #[serde(deserialize_with = "range::within::<_, _, 1024, 1_048_576>")]
    pub message_bytes_max: usize,
    #[serde(deserialize_with = "range::within::<_, _, 1, WAIT_MAX>")]
    pub queue_messages_max: u32,
    #[serde(deserialize_with = "range::within::<_, _, 1, 60_000>")]
    pub heartbeat_ms: u64,
    #[serde(deserialize_with = "range::wait")]
    pub reread_s: u64,
    #[serde(deserialize_with = "range::within::<_, _, 1, WAIT_MAX>")]
    pub reads_per_s_max: u32,
}

/// Whether nodes tell each other what they store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LiveMode {
    /// Where the store is one that nodes can share.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

impl Settings {
    /// Whether this node tells others what it stores.
    #[must_use]
    pub fn is_live(&self) -> bool {
        match self.live.mode {
            LiveMode::Auto => !self.store.is_file(),
            LiveMode::On => true,
            LiveMode::Off => false,
        }
    }
}

/// `[payments]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct Payments {
    #[serde(deserialize_with = "range::merchant_id_or_none")]
    pub default_merchant: String,
    pub body_pointer: String,
    #[serde(deserialize_with = "range::at_least::<_, _, 256>")]
    pub body_bytes_max: usize,
    #[serde(deserialize_with = "range::within::<_, _, 4, 100>")]
    pub body_depth_max: usize,
    pub mappings: Vec<Mapping>,
}

/// `[timeline]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct Timeline {
    pub enabled: bool,
    #[serde(deserialize_with = "range::span_within::<_, 0, KEEP_S_MAX>")]
    pub keep: Span,
    #[serde(deserialize_with = "range::waiting")]
    pub notes_waiting_max: usize,
}

/// `[escalation]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct Escalation {
    pub orders: EscalatedOrders,
    #[serde(deserialize_with = "range::span_within::<_, 1, WAIT_MAX>")]
    pub after: Span,
}

/// Which orders are escalated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EscalatedOrders {
    /// Those for which a page has waited.
    Watched,
    /// All.
    All,
    /// None.
    Off,
}

/// `[inquiry]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct Inquiry {
    #[serde(deserialize_with = "span_list")]
    pub after: Vec<Span>,
    #[serde(deserialize_with = "range::within::<_, _, 1, WAIT_MAX>")]
    pub per_s_max: u32,
}

/// `[outbox]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct Outbox {
    #[serde(deserialize_with = "range::within::<_, _, 1, 10_000>")]
    pub batch_max: usize,
    #[serde(deserialize_with = "range::wait")]
    pub interval_ms: u64,
}

/// `[http]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct Http {
    pub listen: SocketAddr,
    pub tls_cert_file: PathBuf,
    pub tls_key_file: PathBuf,
    #[serde(deserialize_with = "range::wait")]
    pub tls_handshake_timeout_s: u64,
    #[serde(deserialize_with = "range::at_least::<_, _, 1>")]
    pub tls_handshakes_max: usize,
    #[serde(deserialize_with = "comma_list")]
    pub allowed_origins: Vec<String>,
    #[serde(deserialize_with = "range::wait")]
    pub header_timeout_s: u64,
    // hyper refuses a smaller buffer.
    #[serde(deserialize_with = "range::at_least::<_, _, 8192>")]
    pub header_bytes_max: usize,
    #[serde(deserialize_with = "range::at_least::<_, _, 16>")]
    pub header_lines_max: usize,
    #[serde(deserialize_with = "range::at_least::<_, _, 1024>")]
    pub body_bytes_max: usize,
    #[serde(deserialize_with = "range::wait")]
    pub body_timeout_s: u64,
    #[serde(deserialize_with = "range::at_least::<_, _, 1>")]
    pub connections_max: usize,
    #[serde(deserialize_with = "range::at_least::<_, _, 1>")]
    pub connections_per_ticket_max: usize,
    #[serde(deserialize_with = "range::at_least::<_, _, 1>")]
    pub connections_per_address_max: usize,
    #[serde(deserialize_with = "range::within::<_, _, 1, WAIT_MAX>")]
    pub requests_per_address_burst_max: u32,
    #[serde(deserialize_with = "range::within::<_, _, 1, WAIT_MAX>")]
    pub requests_per_address_per_s_max: u32,
    #[serde(deserialize_with = "range::at_least::<_, _, 1>")]
    pub addresses_per_ipv6_site_max: usize,
    #[serde(deserialize_with = "network_list")]
    pub unlimited_networks: Vec<IpNet>,
    #[serde(deserialize_with = "network_list")]
    pub trusted_proxies: Vec<IpNet>,
    pub forwarded_header: ForwardedHeader,
    #[serde(deserialize_with = "range::at_least::<_, _, 1>")]
    pub subscriptions_per_connection_max: usize,
    #[serde(deserialize_with = "range::at_least::<_, _, 512>")]
    pub frame_bytes_max: usize,
    #[serde(deserialize_with = "range::at_least::<_, _, 1>")]
    pub frames_burst_max: u32,
    #[serde(deserialize_with = "range::at_least::<_, _, 1>")]
    pub frames_per_s_max: u32,
    #[serde(deserialize_with = "range::wait")]
    pub silent_s: u64,
    #[serde(deserialize_with = "range::wait")]
    pub ticket_wait_s: u64,
    #[serde(deserialize_with = "range::wait")]
    pub ping_s: u64,
    #[serde(deserialize_with = "range::wait")]
    pub heartbeat_s: u64,
    #[serde(deserialize_with = "range::wait")]
    pub write_timeout_s: u64,
    #[serde(deserialize_with = "range::wait")]
    pub wait_s_max: u64,
    #[serde(deserialize_with = "range::within::<_, _, 0, WAIT_MAX>")]
    pub drain_s: u64,
    #[serde(deserialize_with = "range::within::<_, _, 1, WAIT_MAX>")]
    pub reconnect_pages_per_s_max: u32,
}

/// The header in which trusted proxies name the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`
    XForwardedFor,
    /// `Forwarded` (RFC 7239)
    Forwarded,
}

/// `[admin]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct Admin {
    pub listen: SocketAddr,
    pub token: Secrets,
}

/// `[tickets]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct Tickets {
    pub hs256_secret: Secrets,
    pub keys: Vec<TicketKey>,
    pub jwks_file: PathBuf,
    pub jwks_url: Secret,
    #[serde(deserialize_with = "range::wait")]
    pub jwks_max_age_s: u64,
    #[serde(deserialize_with = "range::wait")]
    pub jwks_refetch_min_s: u64,
    pub jwks_stale_max_s: u64,
    pub audience: String,
    #[serde(deserialize_with = "range::within::<_, _, 0, 300>")]
    pub leeway_s: u64,
    #[serde(deserialize_with = "range::wait")]
    pub lifetime_s_max: u64,
    #[serde(deserialize_with = "range::at_least::<_, _, 1>")]
    pub revocations_max: usize,
    pub api_key: Secrets,
    #[serde(deserialize_with = "range::merchant_id_or_none")]
    pub api_key_merchant_id: String,
}

/// One of `[[tickets.keys]]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct TicketKey {
    #[serde(default)]
    pub kid: String,
    pub algorithm: String,
    pub public_key_file: PathBuf,
    #[serde(default, deserialize_with = "range::merchant_id_or_none")]
    pub merchant_id: String,
}

/// `[telemetry]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct Telemetry {
    pub log_format: LogFormat,
    pub log_filter: String,
    pub otlp_endpoint: Secret,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// For collectors.
    Json,
}

/// `[demo]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct Demo {
    pub enabled: bool,
    pub provider_url: String,
}

/// A list in a file, or words with commas in the environment.
fn comma_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a list of strings, or one string with commas")]
    enum Either {
        List(Vec<String>),
        Text(String),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::List(list) => list,
        Either::Text(text) => text.split(',').map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned).collect(),
    })
}

/// Spans in a list as above, or numbers of seconds.
fn span_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Span>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a list of durations, or one string with commas")]
    enum Either {
        List(Vec<Span>),
        Text(String),
    }
    match Either::deserialize(deserializer)? {
        Either::List(list) => Ok(list),
        Either::Text(text) => text
            .split(',')
            .filter(|part| !part.trim().is_empty())
            .map(|part| Span::parse(part).ok_or_else(|| D::Error::custom(format!("{part:?} is not a duration"))))
            .collect(),
    }
}

/// Networks as `192.0.2.0/24` or single addresses, in a list as above.
fn network_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let network = |text: &String| {
        let parsed = text.parse().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
        let parsed = parsed.map_err(|_neither| {
            D::Error::custom(format!("{text:?} is neither an address nor a network such as 192.0.2.0/24"))
        });
        parsed.map(without_mapping)
    };
    comma_list(deserializer)?.iter().map(network).collect()
}

/// IPv4 as IPv4: peers of a socket for both kinds are `::ffff:192.0.2.1` to the system, and plain addresses here.
fn without_mapping(network: IpNet) -> IpNet {
    const MAPPED_BITS: u8 = 96;
    let IpNet::V6(v6) = network else { return network };
    let plain = v6.network().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(MAPPED_BITS));
    plain.and_then(|(address, bits)| ipnet::Ipv4Net::new(address, bits).ok()).map_or(network, IpNet::V4)
}
