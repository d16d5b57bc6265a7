//! The numbers of `config/nginx` agree with the service's own, as their comments say.

use crate::nginx::file;
use crate::support::repository;

/// The value of the one line that begins with the directive, without its unit.
fn directive(text: &str, name: &str) -> u64 {
    let lines = text.lines().map(str::trim).filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let values: Vec<u64> = lines
        .map(|value| {
            let digits: String = value.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().unwrap_or_else(|_| panic!("{name} {value}"))
        })
        .collect();
    assert_eq!(values.len(), 1, "{name}");
    values[0]
}

#[test]
fn time_limits_and_sizes_fit_the_services_defaults() {
    let defaults = std::fs::read_to_string(repository().join("config/default.toml")).unwrap();
    let defaults: toml::Table = defaults.parse().unwrap();
    let http = |key: &str| u64::try_from(defaults["http"][key].as_integer().unwrap()).unwrap();
    let site = file("payment-notifier.conf");

    for longest in ["wait_s_max", "silent_s", "ping_s", "heartbeat_s"] {
        assert!(directive(&site, "proxy_read_timeout") > http(longest), "{longest}");
    }
    let (_, server) = site.split_once("server {").unwrap();
    let (upstream, _) = site.split_once("server {").unwrap();
    assert!(directive(upstream, "keepalive_timeout") < http("header_timeout_s"));
    assert!(directive(server, "keepalive_timeout") > http("wait_s_max"));
    assert_eq!(directive(server, "client_header_timeout"), http("header_timeout_s"));
    assert_eq!(directive(server, "client_body_timeout"), http("body_timeout_s"));
    assert_eq!(directive(server, "client_max_body_size") * 1024, http("body_bytes_max"));
    assert!(server.contains("large_client_header_buffers 4 16k;") && http("header_bytes_max") == 16 * 1024);
    assert_eq!(directive(server, "proxy_send_timeout"), http("write_timeout_s"));
    assert!(!site.lines().any(|line| !line.trim_start().starts_with('#') && line.contains("non_idempotent")));
}
