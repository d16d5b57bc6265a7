//! A page's connection: plain, or TLS.

use std::io::{ErrorKind, Read, Result, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

pub(crate) enum Socket {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// What a read came to.
pub(crate) enum Got {
    Bytes(usize),
    /// Nothing more for the time being.
    Dry,
    Closed,
}

impl Socket {
    /// Connects from the `from`-th loopback address: one address has too few ports for the sessions of a minute.
    pub(crate) fn connect(to: SocketAddr, from: u32, tls: Option<&Arc<ClientConfig>>) -> Self {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM.nonblocking().cloexec(), None).unwrap();
        let [_, _, high, low] = (from % 16_384).to_be_bytes();
        let source = SocketAddr::from((Ipv4Addr::new(127, 1, high, low.max(1)), 0));
        socket.set_reuse_address(true).unwrap();
        socket.bind(&source.into()).unwrap();
        socket.set_tcp_nodelay(true).unwrap();
        match socket.connect(&to.into()) {
            Ok(()) => {}
            Err(e) if e.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
            Err(e) => panic!("connect to {to}: {e}"),
        }
        let stream = TcpStream::from_std(socket.into());
        match tls {
            None => Self::Plain(stream),
            Some(config) => {
                let name = ServerName::IpAddress(to.ip().into());
                let connection = ClientConnection::new(Arc::clone(config), name).unwrap();
                Self::Tls(Box::new(StreamOwned::new(connection, stream)))
            }
        }
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) {
        let stream = match self {
            Self::Plain(stream) => stream,
            Self::Tls(tls) => &mut tls.sock,
        };
        registry.register(stream, token, Interest::READABLE | Interest::WRITABLE).unwrap();
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Got {
        let read = match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
        };
        match read {
            Ok(0) => Got::Closed,
            Ok(bytes) => Got::Bytes(bytes),
            Err(e) if e.kind() == ErrorKind::WouldBlock => Got::Dry,
            Err(e) if matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof) => Got::Closed,
            Err(e) => panic!("a page's read: {e}"),
        }
    }

    /// Whether a read that did not fill its buffer has taken all there was.
    pub(crate) fn short_read_is_all(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// Writes what it can and leaves the rest.
    pub(crate) fn write(&mut self, bytes: &mut Vec<u8>) {
        while !bytes.is_empty() {
            let written: Result<usize> = match self {
                Self::Plain(stream) => stream.write(bytes),
                Self::Tls(tls) => tls.write(bytes),
            };
            match written {
                Ok(count) => drop(bytes.drain(..count)),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => return,
                // The read side says it.
                Err(e) if matches!(e.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                    return bytes.clear();
                }
                Err(e) => panic!("a page's write: {e}"),
            }
        }
        if let Self::Tls(tls) = self {
            match tls.flush() {
                Err(e) if !matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::BrokenPipe) => panic!("flush: {e}"),
                _ => {}
            }
        }
    }
}

/// Trusts the one certificate in the PEM file.
pub(crate) fn trusting(certificate_file: &std::path::Path) -> Arc<ClientConfig> {
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_file(certificate_file).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}
