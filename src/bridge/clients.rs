//! Which client a connection and a request belong to, and whether it may have one more.
//!
//! A direct connection is counted when it is accepted. One from a trusted proxy is counted for the client of the request
//! that it carries: a socket, an event stream or a long poll keeps it, and the next request may be another client's.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::context::Context;
use super::error::Problem;
use super::forwarded::Forwarding;
use super::limits::{AddressLimiter, AddressPlace, TooMany};
use crate::config::Http;

/// What proxies add, whichever of them is read.
const FORWARDING_HEADERS: [&str; 3] = ["x-forwarded-for", "forwarded", "x-real-ip"];

/// The limits, and whom to believe. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Clients {
    limiter: AddressLimiter,
    forwarding: Arc<Forwarding>,
    /// A proxy that nobody trusts was told of.
    warned: Arc<AtomicBool>,
}

/// Where a connection comes from.
#[derive(Clone, Debug)]
pub(super) enum Peer {
    /// The client itself, counted already.
    Direct(IpAddr),
    /// A trusted proxy, with the place of the client whose request it carries.
    Proxy(IpAddr, Arc<Mutex<Option<AddressPlace>>>),
}

/// What a connection keeps for as long as it is open.
pub(super) type Kept = (Option<AddressPlace>, Option<Arc<Mutex<Option<AddressPlace>>>>);

/// The client of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client(IpAddr);

impl Clients {
    pub(super) fn new(http: &Http) -> Self {
        let forwarding = Forwarding::new(&http.trusted_proxies, http.forwarded_header);
        Self { limiter: AddressLimiter::new(http), forwarding: Arc::new(forwarding), warned: Arc::default() }
    }

    /// One more connection.
    pub(super) fn accept(&self, address: IpAddr) -> Result<(Peer, Kept), TooMany> {
        if self.forwarding.is_trusted(address) {
            let place = Arc::default();
            return Ok((Peer::Proxy(address, Arc::clone(&place)), (None, Some(place))));
        }
        Ok((Peer::Direct(address), (self.limiter.connect(address)?, None)))
    }

    /// One more request or subscription.
    pub(super) fn request(&self, client: Client) -> Result<(), TooMany> {
        self.limiter.request(client.0)
    }

    fn admit(&self, peer: &Peer, request: &Request) -> Result<Client, Problem> {
        let client = match peer {
            Peer::Direct(address) => {
                self.warn_of_proxy(*address, request.headers());
                *address
            }
            Peer::Proxy(address, place) => {
                let client = self.forwarding.client(*address, request.headers());
                let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
                if !place.as_ref().is_some_and(|place| place.is_of(client)) {
                    *place = None;
                    *place = self.limiter.connect(client).map_err(|TooMany| too_many_connections())?;
                }
                client
            }
        };
        self.request(Client(client)).map_err(|TooMany| Problem::rate_limited("too many requests from this address"))?;
        Ok(Client(client))
    }
}

impl Clients {
    /// Behind a proxy of a network without limits that is not trusted either, no client of it is counted. Told once: anybody
    /// in such a network can send such a header.
    fn warn_of_proxy(&self, address: IpAddr, headers: &HeaderMap) {
        let Some(name) = FORWARDING_HEADERS.iter().find(|name| headers.contains_key(**name)) else { return };
        let Some(network) = self.limiter.unlimited_network(address) else { return };
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                header = name,
                %network,
                "a request with a forwarding header came from a network in \
                 http.unlimited_networks that is not in http.trusted_proxies: \
                 if this is a proxy, no client behind it is limited by address"
            );
        }
    }
}

fn too_many_connections() -> Problem {
    Problem::rate_limited("too many connections from this address")
}

/// Lets a request through, with its [`Client`] known, if that may have one more.
pub(super) async fn admit(State(context): State<Context>, mut request: Request, next: Next) -> Response {
    if let Some(peer) = request.extensions_mut().remove::<Peer>() {
        match context.clients().admit(&peer, &request) {
            Ok(client) => {
                request.extensions_mut().insert(client);
            }
            Err(problem) => return problem.into_response(),
        }
    }
    next.run(request).await
}
