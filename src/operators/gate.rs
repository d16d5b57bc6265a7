//! Who may use the operators' listener.
//!
//! Three checks, in this order. **Host**: without a token everybody on this machine is let in, his browser too; a web site
//! whose name is made to point here would be of one origin with us and read everything. Such a request carries that name, so
//! only names that cannot be pointed elsewhere are answered. With a token the name does not matter: a browser keeps a
//! login for the origin that it was given for. **Token**. **Origin**: a browser sends what it is logged in with on behalf of
//! any site, so what changes something, or costs something (a look at the dead letters), has to come from our own pages.
//! Programs send no `Origin` and are let through.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::pages;
use crate::config::Secrets;
use crate::http::{Bucket, OperatorAddress, Problem, bearer};

/// Wrong tokens of one address: at once, and again each second after.
const WRONG_BURST_MAX: u32 = 10;
const WRONG_PER_S_MAX: u32 = 1;
/// Addresses of which that is remembered. All others share one.
const ADDRESSES_MAX: usize = 1024;
const OTHERS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
/// The browser's own dialogue comes with the first, and programs know the second.
const CHALLENGES: [&str; 2] = [r#"Basic realm="payment-notifier", charset="UTF-8""#, "Bearer"];
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What is asked of who comes.
#[derive(Clone)]
pub(super) struct Gate {
    tokens: Arc<Secrets>,
    wrong: Arc<Mutex<HashMap<IpAddr, Bucket>>>,
}

impl Gate {
    pub(super) fn new(tokens: &Secrets) -> Self {
        Self { tokens: Arc::new(tokens.clone()), wrong: Arc::default() }
    }

    fn check(&self, request: &Request) -> Result<(), Problem> {
        let headers = request.headers();
        if !self.tokens.is_set() && headers.get(header::HOST).is_some_and(|host| !is_unmovable(host)) {
            let detail = "without admin.token this listener answers only to localhost and to IP addresses";
            return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "unknown_host", detail));
        }
        if self.tokens.is_set() {
            self.check_token(headers, request.extensions().get::<OperatorAddress>().map(|address| address.0))?;
        }
        if is_guarded_by_origin(request.method(), request.uri().path()) && is_from_elsewhere(headers) {
            let detail = "this request came from another website; make it from the operators' page itself";
            return Err(Problem::new(StatusCode::FORBIDDEN, "cross_site", detail));
        }
        Ok(())
    }

    fn check_token(&self, headers: &HeaderMap, address: Option<IpAddr>) -> Result<(), Problem> {
        let unauthorized =
            || Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "the operators' token is missing or wrong");
        let too_many = || Problem::rate_limited("too many wrong tokens from this address");
        // A browser asks once without, before it asks its person.
        let Some(value) = headers.get(header::AUTHORIZATION) else { return Err(unauthorized()) };
        let address = household(address.unwrap_or(OTHERS));
        let now = Instant::now();
        // Before the token is looked at, or the limit would limit nothing.
        if self.lock().get(&address).is_some_and(|bucket| bucket.is_empty(now)) {
            return Err(too_many());
        }
        let given = bearer(headers).map(|token| token.as_bytes().to_vec()).or_else(|| password(value));
        if given.is_some_and(|given| self.tokens.contains(&given)) {
            return Ok(());
        }
        tracing::debug!(%address, "an operator's token is wrong");
        let mut wrong = self.lock();
        if wrong.len() >= ADDRESSES_MAX && !wrong.contains_key(&address) {
            wrong.retain(|_, bucket| !bucket.is_full(now));
        }
        let counted = if wrong.len() >= ADDRESSES_MAX && !wrong.contains_key(&address) { OTHERS } else { address };
        let bucket = wrong.entry(counted).or_insert_with(|| Bucket::new(WRONG_BURST_MAX, WRONG_PER_S_MAX, now));
        if bucket.take(now) { Err(unauthorized()) } else { Err(too_many()) }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Bucket>> {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets in who may come in.
pub(super) async fn admit(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let Err(problem) = gate.check(&request) else {
        return next.run(request).await;
    };
    let status = problem.status();
    let mut response = if pages::is_page(request.uri().path()) {
        pages::refused(&problem, request.uri().path(), request.headers())
    } else {
        problem.into_response()
    };
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().remove(header::WWW_AUTHENTICATE);
        for challenge in CHALLENGES {
            response.headers_mut().append(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
    }
    response
}

/// What every answer of this listener asks of a browser: keep nothing, load nothing of others, show it in no frame.
pub(super) async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    };
    set(header::CACHE_CONTROL, "no-store");
    set(header::CONTENT_SECURITY_POLICY, CSP);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    // Not `no-referrer`: forms would then be sent with `Origin: null`.
    set(header::REFERRER_POLICY, "same-origin");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    response
}

/// What changes something; and what looks at the dead letters, since each look counts as a delivery of each of them.
fn is_guarded_by_origin(method: &Method, path: &str) -> bool {
    !(method == Method::GET || method == Method::HEAD)
        || path.starts_with("/v1/dead-letters")
        || path.starts_with("/dead-letters")
}

/// Whether a browser asks on behalf of another origin than ours. Older browsers, and those that came by plain HTTP to
/// another machine, send no `Sec-Fetch-Site`, but they send `Origin` with a POST.
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site != "same-origin" && site != "none";
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    let ours = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let theirs = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    !theirs.zip(ours).is_some_and(|(theirs, ours)| theirs.eq_ignore_ascii_case(ours))
}

/// A host that no name server can point at another machine: an address, or this machine.
fn is_unmovable(host: &HeaderValue) -> bool {
    let Ok(host) = host.to_str() else { return false };
    let (name, port) = match host.strip_prefix('[') {
        Some(literal) => literal.split_once(']').unwrap_or((literal, "")),
        None => host.split_once(':').map_or((host, ""), |(name, port)| (name, port)),
    };
    let is_port = port.trim_start_matches(':').bytes().all(|byte| byte.is_ascii_digit());
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    is_port && (name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok())
}

/// The password of `Authorization: Basic`.
fn password(value: &HeaderValue) -> Option<Vec<u8>> {
    let (scheme, login) = value.to_str().ok()?.split_once(' ')?;
    let login = scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(login.trim()).ok()).flatten()?;
    let colon = login.iter().position(|byte| *byte == b':')?;
    Some(login[colon + 1..].to_vec())
}

/// Whoever has one IPv6 address has the 2^64 beside it too.
fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), value.parse().unwrap());
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn only_hosts_that_cannot_be_pointed_elsewhere_need_no_token() {
        for ours in [
            "localhost",
            "LocalHost:9090",
            "localhost.:9090",
            "a.localhost:1",
            "127.0.0.1:9090",
            "[::1]:9090",
            "[::1]",
            "10.1.2.3",
        ] {
            assert!(is_unmovable(&HeaderValue::from_static(ours)), "{ours}");
        }
        for foreign in [
            "evil.example",
            "evil.example:9090",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
            "localhost:9090@evil.example",
            "notlocalhost",
            "[::1].evil.example",
            "0x7f.1",
        ] {
            assert!(!is_unmovable(&HeaderValue::from_static(foreign)), "{foreign}");
        }
    }

    #[test]
    fn a_browser_that_asks_for_another_site_is_told_from_our_own_pages_and_from_programs() {
        let host = ("host", "ops.example:9090");
        for ours in [
            vec![host],
            vec![host, ("origin", "http://ops.example:9090")],
            vec![host, ("origin", "https://OPS.example:9090")],
            vec![host, ("sec-fetch-site", "same-origin"), ("origin", "null")],
            vec![host, ("sec-fetch-site", "none")],
        ] {
            assert!(!is_from_elsewhere(&headers(&ours)), "{ours:?}");
        }
        for foreign in [
            vec![host, ("origin", "https://evil.example")],
            vec![host, ("origin", "http://ops.example")],
            vec![host, ("origin", "null")],
            vec![("origin", "http://ops.example:9090")],
            vec![host, ("sec-fetch-site", "same-site"), ("origin", "http://ops.example:9090")],
            vec![host, ("sec-fetch-site", "cross-site")],
        ] {
            assert!(is_from_elsewhere(&headers(&foreign)), "{foreign:?}");
        }
    }

    #[test]
    fn wrong_tokens_of_one_address_are_bounded_and_no_other_address_pays_for_them() {
        let token = crate::config::Secret::new("correct horse battery");
        let gate = Gate::new(&Secrets::new(vec![token]));
        let (attacker, operator) = (Some(IpAddr::from([192, 0, 2, 1])), Some(IpAddr::from([192, 0, 2, 2])));
        let (wrong, right) = (
            headers(&[("authorization", "Bearer wrong")]),
            headers(&[("authorization", "Bearer correct horse battery")]),
        );
        let status = |headers: &HeaderMap, address| gate.check_token(headers, address).map_err(|p| p.status().as_u16());
        assert_eq!((0..10).filter(|_| status(&wrong, attacker) == Err(401)).count(), 10);
        assert_eq!(status(&wrong, attacker), Err(429));
        // Not even the right one: a limit that the right one passes limits no guess.
        assert_eq!(status(&right, attacker), Err(429));
        assert_eq!(status(&right, operator), Ok(()));
        for n in 0..u32::try_from(2 * ADDRESSES_MAX).unwrap() {
            assert!(status(&wrong, Some(IpAddr::from(n.to_be_bytes()))).is_err());
        }
        assert!(gate.lock().len() <= ADDRESSES_MAX + 1);
        assert_eq!(status(&right, operator), Ok(()));
    }
}
