//! Accepts connections and serves HTTP/1.1 on them, with a bound on everything a peer can hold.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures_util::future::{Either, Ready, ready};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::clients::{Clients, Peer};
use super::host;
use super::reconnect_pacing::ReconnectPacing;
use super::refuse::{Refusals, Why};
use super::tls::Tls;
use super::write_deadline::WriteDeadline;
use crate::config::Http;
use crate::runtime::{Backoff, Tasks};
use crate::telemetry::Metrics;

/// A connection that was accepted shortly before the node stops is closed only when its request had time to come: a close
/// without an answer is a fault to its client.
const REQUEST_ON_ITS_WAY: Duration = Duration::from_millis(500);
/// After this much silence on an unacknowledged write the kernel gives a peer up.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);

/// Whose connection to the operators' listener a request came by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OperatorAddress(pub(crate) IpAddr);

/// Who is at the other end.
enum Caller {
    Page(Peer),
    Operator(OperatorAddress),
}

/// What a [`Server`] allows.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// For a request's header to arrive whole, and for a connection between two requests.
    pub header_timeout: Duration,
    /// Of a request's header block.
    pub header_bytes_max: usize,
    /// Of a request's header block.
    pub header_lines_max: usize,
    /// For a write to make progress.
    pub write_timeout: Duration,
    /// Open at once.
    pub connections_max: usize,
}

impl ServerOptions {
    /// As the settings say.
    #[must_use]
    pub fn new(http: &Http) -> Self {
        Self {
            header_timeout: Duration::from_secs(http.header_timeout_s),
            header_bytes_max: http.header_bytes_max,
            header_lines_max: http.header_lines_max,
            write_timeout: Duration::from_secs(http.write_timeout_s),
            connections_max: http.connections_max,
        }
    }
}

/// A bound listener and what it serves.
pub struct Server {
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    pages: Option<(Clients, ReconnectPacing)>,
    slots: Arc<Semaphore>,
    refusals: Refusals,
    metrics: Option<Metrics>,
    tasks: Tasks,
    serving: Arc<Serving>,
}

/// What a connection needs once it is accepted.
struct Serving {
    router: Router,
    options: ServerOptions,
    metrics: Option<Metrics>,
    tasks: Tasks,
}

impl Server {
    /// Binds. Connections are counted in `metrics`, if any is given.
    ///
    /// # Errors
    /// Where the address cannot be bound.
    pub async fn bind(
        address: SocketAddr,
        router: Router,
        options: ServerOptions,
        metrics: Option<Metrics>,
        tasks: Tasks,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let slots = Arc::new(Semaphore::new(options.connections_max.min(Semaphore::MAX_PERMITS)));
        let serving = Arc::new(Serving { router, options, metrics: metrics.clone(), tasks: tasks.clone() });
        let refusals = Refusals::new();
        Ok(Self { listener, tls: None, pages: None, slots, refusals, metrics, tasks, serving })
    }

    /// Serves pages: each address has its limits, those who are refused learn when to come back, and TLS is used
    /// where it is set.
    #[must_use]
    pub fn for_pages(mut self, clients: Clients, pacing: ReconnectPacing, tls: Option<Arc<Tls>>) -> Self {
        self.pages = Some((clients, pacing));
        self.tls = tls;
        self
    }

    /// The address that was bound: the port, where 0 was asked for.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves connections until their tasks are told to stop; they end by themselves after that. Refuses from then on,
    /// until `refusing` is told to stop.
    pub async fn run(self, refusing: Tasks) {
        let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_secs(1));
        loop {
            let accepted = tokio::select! {
                biased;
                () = refusing.stopping() => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) if self.tasks.is_stopping() => self.refuse(&refusing, stream, Why::Draining),
                Ok((stream, peer)) => {
                    backoff.reset();
                    self.accepted(stream, peer.ip());
                }
                Err(error) => {
                    // Out of files, most likely: some must be closed before the next can be opened.
                    tracing::warn!(%error, "connection not accepted");
                    tokio::time::sleep(backoff.wait()).await;
                }
            }
        }
    }

    fn refuse(&self, tasks: &Tasks, stream: TcpStream, why: Why) {
        if let Some(metrics) = &self.metrics {
            metrics.refused(why.code());
        }
        // Before its handshake a TLS client understands nothing but the close.
        if self.tls.is_none() {
            let after_s = self.pages.as_ref().map_or(1, |(_, pacing)| pacing.after_s());
            self.refusals.refuse(tasks, stream, why, after_s);
        }
    }

    fn accepted(&self, stream: TcpStream, address: IpAddr) {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            return self.refuse(&self.tasks, stream, Why::Full);
        };
        let (caller, of_address) = match self.pages.as_ref().map(|(clients, _)| clients.accept(address)) {
            Some(Ok((peer, kept))) => (Caller::Page(peer), Some(kept)),
            Some(Err(_too_many)) => return self.refuse(&self.tasks, stream, Why::Address),
            None => (Caller::Operator(OperatorAddress(address)), None),
        };
        let socket = SockRef::from(&stream);
        if let Err(error) =
            socket.set_tcp_nodelay(true).and_then(|()| socket.set_tcp_user_timeout(Some(TCP_USER_TIMEOUT)))
        {
            tracing::debug!(%error, "socket option not set");
        }
        // Not set for a proxy, and in a network without limits.
        let limited = of_address.as_ref().and_then(|(own, _)| own.as_ref()).map(|_| address);
        // What counts a connection goes along with its stream, into an upgrade too.
        let counted = (slot, of_address, self.metrics.as_ref().map(Metrics::connection));
        let Some(tls) = &self.tls else {
            self.tasks.spawn(self.serving.serve(stream, caller, counted));
            return;
        };
        let Some(handshake) = tls.begin(limited) else { return };
        let (tls, serving) = (Arc::clone(tls), Arc::clone(&self.serving));
        self.tasks.spawn(async move {
            // Boxed, so that the connection does not carry its handshake for ever.
            let stream = tokio::select! {
                biased;
                () = serving.tasks.stopping() => None,
                stream = Box::pin(tls.handshake(stream, handshake)) => stream,
            };
            if let Some(stream) = stream {
                Box::pin(serving.serve(stream, caller, counted)).await;
            }
        });
    }
}

impl Serving {
    /// One connection, from its first request to its end or its upgrade.
    fn serve<T, K>(&self, stream: T, caller: Caller, counted: K) -> impl Future<Output = ()> + Send + use<T, K>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        K: Unpin + Send + 'static,
    {
        let io = TokioIo::new(WriteDeadline::new(stream, self.options.write_timeout, counted));
        let router = TowerToHyperService::new(self.router.clone());
        let service = WithCaller { router, caller, metrics: self.metrics.clone() };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.options.header_timeout)
            .max_buf_size(self.options.header_bytes_max)
            .max_headers(self.options.header_lines_max)
            .serve_connection(io, service)
            .with_upgrades();
        let tasks = self.tasks.clone();
        async move {
            let mut connection = std::pin::pin!(connection);
            // Asked first: a peer that sends without end leaves nothing of what this task may do in one turn.
            let served = tokio::select! {
                biased;
                () = about_to_stop(&tasks) => None,
                served = connection.as_mut() => Some(served),
            };
            let served = match served {
                Some(served) => served,
                None => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = served {
                tracing::debug!(%error, "connection ended");
            }
        }
    }
}

/// Boxed, so that a connection does not carry the timer.
async fn about_to_stop(tasks: &Tasks) {
    tasks.stopping().await;
    Box::pin(tokio::time::sleep(REQUEST_ON_ITS_WAY)).await;
}

/// The router, told where its requests come from.
struct WithCaller {
    router: TowerToHyperService<Router>,
    caller: Caller,
    metrics: Option<Metrics>,
}

impl Service<Request<Incoming>> for WithCaller {
    type Response = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Response;
    type Error = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Error;
    type Future = Either<
        Ready<Result<Self::Response, Self::Error>>,
        <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future,
    >;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        if let Some(refusal) = host::refusal(request.version(), request.headers()) {
            if let Some(metrics) = &self.metrics {
                metrics.refused("bad_request");
            }
            return Either::Left(ready(Ok(refusal)));
        }
        match &self.caller {
            Caller::Page(peer) => drop(request.extensions_mut().insert(peer.clone())),
            Caller::Operator(address) => drop(request.extensions_mut().insert(*address)),
        }
        Either::Right(self.router.call(request))
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("options", &self.serving.options).finish_non_exhaustive()
    }
}
