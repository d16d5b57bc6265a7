//! `store.url` as what a connection needs. No error repeats any part of the address, since a password is one.

use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use super::options::Options;
use super::tls::{Connector, Trust};
use crate::store::Error;

/// After this long without a word from the server it is asked whether it is still there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
/// What the server keeps of an application's name.
const NAME_BYTES_MAX: usize = 63;

/// Where the database is and how it is spoken to.
pub(super) struct Address {
    pub(super) config: Config,
    pub(super) tls: Connector,
    /// SQL that makes a session's settings.
    pub(super) settings: String,
    /// Host and database, for people.
    pub(super) shown: String,
}

/// The part of the address after `?`.
#[derive(Default)]
struct Query<'a> {
    mode: Option<&'a str>,
    root_cert: Option<PathBuf>,
}

impl Address {
    /// Takes `postgres://USER:PASSWORD@HOST[:PORT][,HOST[:PORT]]/DATABASE[?sslmode=MODE][&sslrootcert=FILE]`.
    ///
    /// # Errors
    /// What is wrong with it, in words that name no value.
    pub(super) fn new(url: &str, options: &Options) -> Result<Self, Error> {
        let (place, query) = divide(url);
        let query = parse(query.unwrap_or_default())?;
        let mut config: Config =
            place.parse().map_err(|_names_values| refused("is not postgres://USER:PASSWORD@HOST[:PORT]/DATABASE"))?;
        if config.get_hosts().is_empty() || config.get_user().is_none() || config.get_dbname().is_none() {
            return Err(refused("must name a user, a host and a database"));
        }
        let shown = shown(&config);
        let (mode, trust) = security(&query)?;
        let timeout = Duration::from_secs(options.timeout_s);
        config
            .ssl_mode(mode)
            .application_name(name(&options.instance))
            .connect_timeout(timeout)
            .tcp_user_timeout(timeout)
            .keepalives_idle(KEEPALIVE_IDLE)
            // Of several hosts the one that takes writes; after a failover another than before.
            .target_session_attrs(TargetSessionAttrs::ReadWrite);
        Ok(Self { config, tls: Connector::new(trust)?, settings: settings(timeout), shown })
    }
}

/// A password may hold `?`, so that what follows the last `@` is looked at alone.
fn divide(url: &str) -> (&str, Option<&str>) {
    let host = url.rfind('@').map_or(0, |at| at + 1);
    match url[host..].split_once('?') {
        Some((before, query)) => (&url[..host + before.len()], Some(query)),
        None => (url, None),
    }
}

fn parse(query: &str) -> Result<Query<'_>, Error> {
    let mut parsed = Query::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode", mode)) => parsed.mode = Some(mode),
            Some(("sslrootcert", file)) => {
                let file = percent_encoding::percent_decode_str(file).decode_utf8_lossy().into_owned();
                parsed.root_cert = Some(PathBuf::from(file));
            }
            _ => return Err(refused("may have no parameters but sslmode and sslrootcert")),
        }
    }
    Ok(parsed)
}

fn security(query: &Query<'_>) -> Result<(SslMode, Trust), Error> {
    let file = query.root_cert.clone();
    match query.mode {
        Some("verify-full") => Ok((SslMode::Require, file.map_or(Trust::System, Trust::File))),
        _ if file.is_some() => Err(refused("sslrootcert needs sslmode=verify-full")),
        Some("disable") => Ok((SslMode::Disable, Trust::Anybody)),
        None | Some("prefer") => Ok((SslMode::Prefer, Trust::Anybody)),
        Some("require") => Ok((SslMode::Require, Trust::Anybody)),
        Some(_) => Err(refused("sslmode must be disable, prefer, require or verify-full")),
    }
}

/// What holds for each session, whatever the server's own settings are. Every statement looks rows up by an index: a plan
/// that was made while the tables were small must not read them whole once they have grown. By SQL, since poolers refuse
/// parameters of a connection's start that they do not know.
fn settings(timeout: Duration) -> String {
    let ms = timeout.as_millis();
    format!(
        "SET statement_timeout = {ms}; SET idle_in_transaction_session_timeout = {ms}; SET client_min_messages = warning; \
         SET jit = off; SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off"
    )
}

fn name(instance: &str) -> String {
    let mut name: String = format!("payment-notifier {instance}");
    while name.len() > NAME_BYTES_MAX {
        name.pop();
    }
    name
}

fn shown(config: &Config) -> String {
    let hosts: Vec<_> = config
        .get_hosts()
        .iter()
        .map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        })
        .collect();
    format!("database {} on {}", config.get_dbname().unwrap_or_default(), hosts.join(","))
}

fn refused(what: &str) -> Error {
    Error::Unavailable(format!("store.url {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::postgres::tests::OPTIONS;

    fn open(url: &str) -> Result<Address, Error> {
        Address::new(url, &OPTIONS.clone())
    }

    #[test]
    fn an_address_is_taken_apart() {
        let address = open("postgres://u:p%40%2Fss@db-1:6432,db-2/payments?sslmode=require").unwrap();
        assert_eq!(address.config.get_user(), Some("u"));
        assert_eq!(address.config.get_password(), Some("p@/ss".as_bytes()));
        assert_eq!(address.config.get_ports(), [6432, 5432]);
        assert_eq!(address.config.get_ssl_mode(), SslMode::Require);
        assert_eq!(address.shown, "database payments on db-1,db-2");
        let address = open("postgresql://u:who?@h/d").unwrap();
        assert_eq!(address.config.get_password(), Some("who?".as_bytes()));
        assert_eq!(address.config.get_ssl_mode(), SslMode::Prefer);
    }

    #[test]
    fn what_cannot_be_done_is_refused_and_names_no_password() {
        for (url, why) in [
            ("postgres://u:hunter2@h/d?sslmode=verify-ca", "sslmode must be"),
            ("postgres://u:hunter2@h/d?sslmode=allow", "sslmode must be"),
            ("postgres://u:hunter2@h/d?sslmode=require&sslrootcert=/x", "needs sslmode=verify-full"),
            ("postgres://u:hunter2@h/d?password=hunter2", "no parameters but"),
            ("postgres://u:hunter2@h/d?options=-c%20synchronous_commit=off", "no parameters but"),
            ("postgres://u:hunter2@h:hunter2/d", "is not postgres://"),
            ("postgres://u:hunter2@/d", "must name"),
            ("postgres://u:hunter2@h", "must name"),
            ("postgres://h/d", "must name"),
            ("postgres://u:hunter2@h/d?sslmode=verify-full&sslrootcert=/no/such/file", "/no/such/file"),
        ] {
            let text = open(url).err().unwrap().to_string();
            assert!(text.contains(why) && !text.contains("hunter2"), "{url}: {text}");
        }
    }

    #[test]
    fn a_long_name_is_cut_to_what_the_server_keeps() {
        assert_eq!(name("node-1"), "payment-notifier node-1");
        assert!(name(&"节".repeat(40)).len() <= NAME_BYTES_MAX);
    }
}
