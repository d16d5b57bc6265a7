//! Calls of a running service's operators' listener.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;

use super::failure::Failure;
use crate::config::{Secret, Settings};
use crate::runtime::last_cause;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A listener and what it asks of who calls it.
pub(super) struct Operators {
    url: String,
    token: Option<Secret>,
    client: reqwest::Client,
}

impl Operators {
    /// The listener at `url`, else the one of the settings.
    pub(super) fn new(settings: &Settings, url: Option<String>) -> Result<Self, Failure> {
        let url = url.unwrap_or_else(|| local_url(settings.admin.listen));
        let url = url.trim_end_matches('/').to_owned();
        let client = client(&url).connect_timeout(CONNECT_TIMEOUT).timeout(ANSWER_TIMEOUT).build()?;
        let token = settings.admin.token.first().cloned();
        Ok(Self { url, token, client })
    }

    /// A call with the first token, if one is set.
    pub(super) fn call(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        }
    }

    /// The answer as JSON, or one line that says why there is none.
    pub(super) async fn answer(&self, request: RequestBuilder) -> Result<Value, Failure> {
        let response = request.send().await.map_err(|error| self.unreached(&error))?;
        let status = response.status();
        let text = response.text().await.map_err(|error| self.unreached(&error))?;
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        if status.is_success() && answer.is_object() {
            return Ok(answer);
        }
        if status == StatusCode::UNAUTHORIZED {
            return Err(format!("{} refuses this admin.token", self.url).into());
        }
        match (answer["code"].as_str(), answer["detail"].as_str()) {
            (Some(code), Some(detail)) => Err(format!("{code}: {detail}").into()),
            _ => Err(format!("{} answers {status}, not as an operators' listener would", self.url).into()),
        }
    }

    fn unreached(&self, error: &reqwest::Error) -> Failure {
        format!("the operators' listener at {} cannot be reached: {}", self.url, last_cause(error)).into()
    }
}

/// Whoever the environment names as a proxy passes on what is encrypted, and sees no token or ticket in clear.
pub(super) fn client(url: &str) -> reqwest::ClientBuilder {
    let client = reqwest::Client::builder();
    let is_encrypted = url.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"));
    if is_encrypted { client } else { client.no_proxy() }
}

/// Where a listener of this machine is reached. "Every address" is no address to connect to.
pub(super) fn local_url(listen: SocketAddr) -> String {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, listen.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_address_is_reached_by_loopback() {
        for (listen, url) in [
            ("127.0.0.1:9090", "http://127.0.0.1:9090"),
            ("0.0.0.0:9091", "http://127.0.0.1:9091"),
            ("[::]:9090", "http://[::1]:9090"),
            ("10.1.2.3:80", "http://10.1.2.3:80"),
        ] {
            assert_eq!(local_url(listen.parse().unwrap()), url);
        }
    }
}
