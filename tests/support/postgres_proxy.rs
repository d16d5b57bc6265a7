//! A TCP proxy before PostgreSQL, for a fault that no server shows on command: a COMMIT that is done and whose answer never
//! arrives.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Type, length (with its own four bytes), tag.
const COMMIT_COMPLETE: &[u8] = b"C\0\0\0\x0bCOMMIT\0";

/// What is lost with the answer.
#[allow(dead_code, reason = "who includes this file needs a part of it")]
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Loss {
    /// The connection, as with a failover.
    Cut,
    /// All that follows on the connection, and nobody is told, as with a balancer that forgets it.
    Silence,
}

/// Listens for as long as it lives.
pub(crate) struct PostgresProxy {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    target: String,
    /// The answer to lose next: of the first commit on a connection whose client has sent these bytes.
    armed: Mutex<Option<(Vec<u8>, Loss)>>,
    lost: AtomicUsize,
    closed: AtomicBool,
}

/// One connection, from both sides.
struct Link {
    state: Arc<State>,
    /// The client has sent what is waited for, since it was armed.
    marked: AtomicBool,
    client: TcpStream,
    server: TcpStream,
}

#[allow(dead_code, reason = "who includes this file needs a part of it")]
impl PostgresProxy {
    /// Before the server of this address, which has to be an address of TCP.
    pub(crate) fn start(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let target = authority(url).to_owned();
        let (lost, closed) = (AtomicUsize::new(0), AtomicBool::new(false));
        let state = Arc::new(State { target, armed: Mutex::default(), lost, closed });
        let accepting = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if accepting.closed.load(Ordering::Acquire) {
                    return;
                }
                accepting.join(client);
            }
        });
        Self { address, state }
    }

    /// `url` by way of this proxy. Without TLS, which it could not look into.
    pub(crate) fn url(&self, url: &str) -> String {
        format!("{}?sslmode=disable", url.replace(authority(url), &self.address.to_string()))
    }

    /// Loses the answer of exactly one COMMIT: the next on a connection whose client sends `text` before it.
    pub(crate) fn lose_commit_after(&self, text: &str, loss: Loss) {
        *self.state.armed.lock().expect("no panic while locked") = Some((text.as_bytes().to_vec(), loss));
    }

    /// Answers that were lost.
    pub(crate) fn lost(&self) -> usize {
        self.state.lost.load(Ordering::Acquire)
    }
}

impl Drop for PostgresProxy {
    fn drop(&mut self) {
        self.state.closed.store(true, Ordering::Release);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
    }
}

fn authority(url: &str) -> &str {
    let host = url.rsplit_once('@').expect("the address names a user").1;
    host.split(['/', '?']).next().unwrap_or(host)
}

impl State {
    fn join(self: &Arc<Self>, client: TcpStream) {
        let Ok(server) = TcpStream::connect(&self.target) else { return };
        // Small messages, each waited for.
        drop((client.set_nodelay(true), server.set_nodelay(true)));
        let link = Arc::new(Link { state: Arc::clone(self), marked: AtomicBool::new(false), client, server });
        let other = Arc::clone(&link);
        std::thread::spawn(move || link.up());
        std::thread::spawn(move || other.down());
    }
}

impl Link {
    fn up(&self) {
        let (mut buffer, mut sent) = ([0; 8192], Vec::new());
        while let Ok(length @ 1..) = (&self.client).read(&mut buffer) {
            if let Some((text, _)) = &*self.state.armed.lock().expect("no panic while locked") {
                // What is looked for may be in two reads.
                sent.extend_from_slice(&buffer[..length]);
                if sent.windows(text.len()).any(|bytes| bytes == text) {
                    self.marked.store(true, Ordering::Release);
                }
                sent.drain(..sent.len().saturating_sub(text.len()));
            }
            if (&self.server).write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        self.cut();
    }

    /// Message by message, so that what is lost is lost whole.
    fn down(&self) {
        while let Ok(message) = self.message() {
            match self.loss_of(&message) {
                None if (&self.client).write_all(&message).is_ok() => {}
                None | Some(Loss::Cut) => break,
                Some(Loss::Silence) => {
                    drop(std::io::copy(&mut &self.server, &mut std::io::sink()));
                    break;
                }
            }
        }
        self.cut();
    }

    fn message(&self) -> std::io::Result<Vec<u8>> {
        let mut head = [0; 5];
        (&self.server).read_exact(&mut head)?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let mut message = head.to_vec();
        message.resize(1 + usize::try_from(length).expect("64 bits"), 0);
        (&self.server).read_exact(&mut message[head.len()..])?;
        Ok(message)
    }

    fn loss_of(&self, message: &[u8]) -> Option<Loss> {
        if message != COMMIT_COMPLETE || !self.marked.load(Ordering::Acquire) {
            return None;
        }
        let (_, loss) = self.state.armed.lock().expect("no panic while locked").take()?;
        self.state.lost.fetch_add(1, Ordering::AcqRel);
        Some(loss)
    }

    fn cut(&self) {
        // The other side may have closed it.
        drop((self.client.shutdown(Shutdown::Both), self.server.shutdown(Shutdown::Both)));
    }
}
