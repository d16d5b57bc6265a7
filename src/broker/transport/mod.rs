//! The bytes between this service and RabbitMQ: TCP, TLS where the address asks for it, and above both a reader of frames
//! that mends what RabbitMQ carries and lapin cannot read. One such message would else end the connection, and with it the
//! turn of every message that was delivered beside it.
//!
//! It never changes a body, and nothing that lapin can read by itself.

pub mod frames;
pub(super) mod gate;
mod mend;
mod stream;
#[cfg(test)]
mod tests;
mod tls;
pub mod witness;

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_rs::traits::Reactor;
use async_rs::util::RuntimeParts;
use async_rs::{Runtime, Tokio};
use futures_util::{AsyncRead, AsyncWrite, Stream as Values};
use lapin::uri::{AMQPScheme, AMQPUri};
use tokio::net::TcpStream;

pub(super) use mend::is_mended;
pub(super) use stream::Stream;

use stream::Socket;
use witness::Witness;

/// Bytes. RabbitMQ's own default, and what its headers have to fit; lapin keeps room for 64 frames a connection.
const FRAME_MAX: u32 = 131_072;

/// What lapin runs on: tokio, but for the connections.
pub(super) type Kit = RuntimeParts<Tokio, Transport>;

/// Makes the connections of one address.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    tokio: Tokio,
    /// Whose certificate is asked for. Not set without TLS.
    server: Option<String>,
    frame_max: u32,
    witness: Arc<Witness>,
}

/// What lapin is given in place of an address: one without TLS, which is this module's, and with the largest frame. Has to
/// be called within a tokio runtime.
pub(super) fn under(uri: &AMQPUri) -> (AMQPUri, Runtime<Kit>, Arc<Witness>) {
    let mut plain = uri.clone();
    let is_tls = matches!(plain.scheme, AMQPScheme::AMQPS);
    plain.scheme = AMQPScheme::AMQP;
    let frame_max = plain.query.frame_max.map_or(FRAME_MAX, |bytes| bytes.min(FRAME_MAX));
    plain.query.frame_max = Some(frame_max);
    let witness = Arc::new(Witness::default());
    let server = is_tls.then(|| plain.authority.host.clone());
    let tokio = Tokio::current();
    let transport = Transport { tokio: tokio.clone(), server, frame_max, witness: Arc::clone(&witness) };
    (plain, Runtime::new(RuntimeParts::new(tokio, transport)), witness)
}

impl Transport {
    async fn connect(self, to: SocketAddr) -> io::Result<Stream> {
        let tcp = TcpStream::connect(to).await?;
        tcp.set_nodelay(true)?;
        let socket = match &self.server {
            None => Socket::Plain(tcp),
            Some(server) => Socket::Tls(Box::new(tls::handshake(server, tcp).await?)),
        };
        Ok(Stream::new(socket, self.frame_max, self.witness))
    }
}

impl Reactor for Transport {
    type TcpStream = Stream;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: Read + Write + AsFd + AsRawFd + Send + 'static>(
        &self,
        socket: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        self.tokio.register(socket)
    }

    fn sleep(&self, span: Duration) -> Self::Sleep {
        tokio::time::sleep(span)
    }

    fn interval(&self, span: Duration) -> impl Values<Item = Instant> + Send + 'static {
        self.tokio.interval(span)
    }

    fn tcp_connect_addr(&self, to: SocketAddr) -> impl Future<Output = io::Result<Stream>> + Send + 'static {
        self.clone().connect(to)
    }
}
