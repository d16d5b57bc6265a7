//! Which client a connection and a request belong to, and whether it may have one more.
//!
//! A direct connection is counted when it is accepted. One from a trusted proxy is counted for the client of the request
//! that it carries: a socket, an event stream or a long poll keeps it, and the next request may be another client's.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::address_limit::{AddressLimiter, AddressSlot, TooMany};
use super::forwarded::Forwarding;
use super::problem::Problem;
use crate::config::Http;

/// What proxies add, whichever of them is read.
const FORWARDING_HEADERS: [&str; 3] = ["x-forwarded-for", "forwarded", "x-real-ip"];

/// The limits, and whom to believe. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Clients(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limiter: AddressLimiter,
    forwarding: Forwarding,
    /// The warning about a proxy that nobody trusts was logged.
    warned: AtomicBool,
}

/// Where a connection comes from.
#[derive(Clone, Debug)]
pub(super) enum Peer {
    /// The client itself, counted already.
    Direct(IpAddr),
    /// A trusted proxy, with the slot of the client whose request it carries.
    Proxy(IpAddr, Arc<Mutex<Option<AddressSlot>>>),
}

/// What a connection keeps for as long as it is open. Boxed, since few have a slot of their own.
pub(super) type Kept = (Option<Box<AddressSlot>>, Option<Arc<Mutex<Option<AddressSlot>>>>);

/// The client of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client(IpAddr);

impl Clients {
    /// As the settings say.
    #[must_use]
    pub fn new(http: &Http) -> Self {
        let forwarding = Forwarding::new(&http.trusted_proxies, http.forwarded_header);
        let limiter = AddressLimiter::new(http);
        Self(Arc::new(Inner { limiter, forwarding, warned: AtomicBool::default() }))
    }

    /// One more connection.
    pub(super) fn accept(&self, address: IpAddr) -> Result<(Peer, Kept), TooMany> {
        if self.0.forwarding.is_trusted(address) {
            let slot = Arc::default();
            return Ok((Peer::Proxy(address, Arc::clone(&slot)), (None, Some(slot))));
        }
        Ok((Peer::Direct(address), (self.0.limiter.connect(address)?.map(Box::new), None)))
    }

    /// One more request or subscription.
    pub(crate) fn request(&self, client: Client) -> Result<(), TooMany> {
        self.0.limiter.request(client.0)
    }

    fn admit(&self, peer: &Peer, request: &Request) -> Result<Client, Problem> {
        let client = match peer {
            Peer::Direct(address) => {
                self.warn_of_proxy(*address, request.headers());
                *address
            }
            Peer::Proxy(address, slot) => {
                let client = self.0.forwarding.client(*address, request.headers());
                let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
                if !slot.as_ref().is_some_and(|slot| slot.is_of(client)) {
                    *slot = None;
                    *slot = self.0.limiter.connect(client).map_err(|TooMany| too_many_connections())?;
                }
                client
            }
        };
        self.request(Client(client)).map_err(|TooMany| Problem::rate_limited("too many requests from this address"))?;
        Ok(Client(client))
    }

    /// Behind a proxy of a network without limits that is not trusted either, no client of it is counted. Logged once: anybody
    /// in such a network can send such a header.
    fn warn_of_proxy(&self, address: IpAddr, headers: &HeaderMap) {
        let Some(name) = FORWARDING_HEADERS.iter().find(|name| headers.contains_key(**name)) else { return };
        let Some(network) = self.0.limiter.unlimited_network(address) else { return };
        if !self.0.warned.swap(true, Ordering::Relaxed) {
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

/// [`admit`] for what is answered before it: the questions of browsers, which anybody may send.
pub(crate) async fn admit_options(clients: State<Clients>, request: Request, next: Next) -> Response {
    if request.method() == Method::OPTIONS { admit(clients, request, next).await } else { next.run(request).await }
}

/// Lets a request through, with its [`Client`] known, if that may have one more.
pub(crate) async fn admit(State(clients): State<Clients>, mut request: Request, next: Next) -> Response {
    if let Some(peer) = request.extensions_mut().remove::<Peer>() {
        match clients.admit(&peer, &request) {
            Ok(client) => {
                request.extensions_mut().insert(client);
            }
            Err(problem) => return problem.into_response(),
        }
    }
    next.run(request).await
}
