use std::io::ErrorKind;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion, version};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::TlsConnector;

use super::*;

type Client = tokio_rustls::client::TlsStream<DuplexStream>;
type Server = TlsStream<DuplexStream>;

struct Identity {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Identity {
    fn new(version: &'static SupportedProtocolVersion) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let certificate = CertificateDer::from(made.cert.der().to_vec());
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let server = server.with_protocol_versions(&[&version::TLS13, &version::TLS12]).unwrap();
        let mut server = server.with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
        server.ticketer = ring::Ticketer::new().unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let client = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
        let client = client.with_root_certificates(roots).with_no_client_auth();
        Self { server: Arc::new(server), client: Arc::new(client) }
    }

    /// Both ends, over a socket that has room for so many bytes.
    async fn connect(&self, room: usize) -> (Server, Client) {
        let (ours, theirs) = duplex(room);
        let mut server = TlsStream::new(ours, Arc::clone(&self.server)).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut connecting = Box::pin(TlsConnector::from(Arc::clone(&self.client)).connect(name, theirs));
        let mut client: Option<Client> = None;
        loop {
            // A client that is done goes on reading, since the server's session tickets are still to come.
            let connected = async {
                match &mut client {
                    Some(client) => panic!("{:?}", client.read(&mut [0]).await),
                    None => connecting.as_mut().await,
                }
            };
            tokio::select! {
                accepted = std::future::poll_fn(|context| server.poll_handshake(context)) => {
                    accepted.unwrap();
                    break;
                }
                connected = connected => client = Some(connected.unwrap()),
            }
        }
        match client {
            Some(client) => (server, client),
            None => (server, connecting.await.unwrap()),
        }
    }
}

fn holds_nothing(server: &Server) -> bool {
    server.incoming.capacity() + server.text.capacity() + server.outgoing.capacity() == 0
}

fn text(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

#[tokio::test]
async fn whatever_is_written_arrives_and_nothing_is_held_between() {
    for version in [&version::TLS13, &version::TLS12] {
        for room in [16, 1024, 64 * 1024] {
            let (mut server, mut client) = Identity::new(version).connect(room).await;
            for bytes in [1, 1000, 16 * 1024, 40_000] {
                let sent = text(bytes);
                let (mut there, mut back) = (vec![0; bytes], vec![0; bytes]);
                let (written, read) = tokio::join!(
                    async {
                        client.write_all(&sent).await?;
                        client.flush().await
                    },
                    server.read_exact(&mut there)
                );
                written.unwrap();
                read.unwrap();
                let (written, read) = tokio::join!(
                    async {
                        server.write_all(&sent).await?;
                        server.flush().await
                    },
                    client.read_exact(&mut back)
                );
                written.unwrap();
                read.unwrap();
                assert!(there == sent && back == sent, "{version:?}, {room}, {bytes}");
                assert!(holds_nothing(&server), "{version:?}, {room}, {bytes}");
            }
        }
    }
}

#[tokio::test]
async fn a_session_is_resumed() {
    for version in [&version::TLS13, &version::TLS12] {
        let identity = Identity::new(version);
        let (mut server, mut client) = identity.connect(4096).await;
        server.write_all(b"x").await.unwrap();
        client.read_exact(&mut [0]).await.unwrap();
        let (_server, client) = identity.connect(4096).await;
        assert_eq!(client.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed), "{version:?}");
    }
}

#[tokio::test]
async fn new_keys_of_the_peer_are_taken() {
    let (mut server, mut client) = Identity::new(&version::TLS13).connect(4096).await;
    for _ in 0..3 {
        client.get_mut().1.refresh_traffic_keys().unwrap();
        client.write_all(b"there").await.unwrap();
        client.flush().await.unwrap();
        let mut there = [0; 5];
        server.read_exact(&mut there).await.unwrap();
        server.write_all(b"back").await.unwrap();
        let mut back = [0; 4];
        client.read_exact(&mut back).await.unwrap();
        assert_eq!((&there, &back), (b"there", b"back"));
    }
    assert!(holds_nothing(&server));
}

#[tokio::test]
async fn an_end_that_was_said_differs_from_one_that_was_not() {
    for version in [&version::TLS13, &version::TLS12] {
        let (mut server, mut client) = Identity::new(version).connect(4096).await;
        client.shutdown().await.unwrap();
        assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
        assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
        server.shutdown().await.unwrap();
        assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);

        let (mut server, client) = Identity::new(version).connect(4096).await;
        drop(client);
        assert_eq!(server.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}

#[tokio::test]
async fn a_peer_that_violates_the_protocol_is_told_so_and_given_up() {
    let (mut server, client) = Identity::new(&version::TLS13).connect(4096).await;
    let (mut socket, mut connection) = client.into_inner();
    socket.write_all(&[23, 3, 3, 0, 20]).await.unwrap();
    socket.write_all(&[7; 20]).await.unwrap();
    assert_eq!(server.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::InvalidData);
    assert_eq!(server.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::InvalidData);
    assert!(server.write(b"x").await.is_err());
    drop(server);
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    connection.read_tls(&mut answer.as_slice()).unwrap();
    let error = connection.process_new_packets().unwrap_err();
    assert_eq!(error, rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac));
}

#[tokio::test]
async fn a_record_that_does_not_end_and_a_peer_that_does_not_read_hold_little() {
    let (mut server, client) = Identity::new(&version::TLS13).connect(1 << 20).await;
    let (mut socket, _connection) = client.into_inner();
    socket.write_all(&[23, 3, 3, 0xff, 0xff]).await.unwrap();
    socket.write_all(&text(100_000)).await.unwrap();
    assert_eq!(server.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::InvalidData);

    let (mut server, _client) = Identity::new(&version::TLS13).connect(1024).await;
    let writing = server.write_all(&[0; 100_000]);
    assert!(tokio::time::timeout(Duration::from_millis(50), writing).await.is_err());
    assert!(server.outgoing.len() <= TEXT_BYTES_MAX + OVERHEAD_BYTES, "{}", server.outgoing.len());
}
