//! A TCP proxy before RabbitMQ, for faults that no broker shows on command: a peer that says nothing any more, and
//! acknowledgements that never arrive.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::broker::Broker;

/// In a body: the frame is not ended as frames are.
pub(crate) const BREAKS: &[u8] = b"breaks-the-wire";
const FRAME_END: u8 = 0xce;

/// `connection.blocked` with an empty reason, and `connection.unblocked`: a client may not write in between.
const BLOCKED: [u8; 13] = [1, 0, 0, 0, 0, 0, 5, 0, 10, 0, 60, 0, FRAME_END];
const UNBLOCKED: [u8; 12] = [1, 0, 0, 0, 0, 0, 4, 0, 10, 0, 61, FRAME_END];

/// A method frame of 13 bytes that is `basic.ack`, from its length on.
const ACK: [u8; 8] = [0, 0, 0, 13, 0, 60, 0, 80];

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Pass,
    /// Accepts, and says nothing in either direction.
    Silent,
    /// What the client sends is lost; what the broker sends arrives.
    DeafBroker,
    /// What the broker sends is kept back, and passed on later.
    HeldBroker,
    /// The first acknowledgement of a connection is lost, and all that its client sends after it.
    LoseAcks,
    /// Ends each connection as it comes.
    Refuse,
    Closed,
}

struct State {
    mode: Mutex<Mode>,
    sockets: Mutex<Vec<TcpStream>>,
    /// Whoever writes to clients holds it: the broker's frames are not to be mixed with the proxy's own.
    clients: Mutex<Vec<TcpStream>>,
    has_lost_an_ack: AtomicBool,
    target: String,
}

/// Listens for as long as it lives.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

impl Proxy {
    /// A proxy that passes everything.
    pub(crate) fn start() -> Self {
        Self::start_at("127.0.0.1:0")
    }

    /// The same on an address of the caller's choice.
    pub(crate) fn start_at(address: &str) -> Self {
        let listener = TcpListener::bind(address).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let target = Broker::from_env().amqp_authority().to_owned();
        let state = Arc::new(State {
            mode: Mutex::new(Mode::Pass),
            sockets: Mutex::default(),
            clients: Mutex::default(),
            has_lost_an_ack: AtomicBool::new(false),
            target,
        });
        let accepting = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                match accepting.mode() {
                    Mode::Closed => return,
                    Mode::Refuse => drop(client),
                    Mode::Silent => accepting.keep(&client),
                    Mode::Pass | Mode::DeafBroker | Mode::HeldBroker | Mode::LoseAcks => accepting.join(client),
                }
            }
        });
        Self { address, state }
    }

    /// From now on nothing comes through, on old connections and on new ones, and none is closed.
    pub(crate) fn silence(&self) {
        self.state.set(Mode::Silent);
    }

    /// From now on what the client sends is lost.
    pub(crate) fn deafen_broker(&self) {
        self.state.set(Mode::DeafBroker);
    }

    /// From now on the broker hears its client, and the client does not hear the broker.
    #[allow(dead_code, reason = "only the fault tests hold it back")]
    pub(crate) fn hold_broker(&self) {
        self.state.set(Mode::HeldBroker);
    }

    /// From now on everything passes, on old connections too. What was lost stays lost; what was held back arrives.
    #[allow(dead_code, reason = "only the fault tests hold it back")]
    pub(crate) fn pass(&self) {
        self.state.set(Mode::Pass);
    }

    /// From now on acknowledgements are lost, with all that follows them on their connection; what was published before
    /// on another arrives.
    pub(crate) fn lose_acks(&self) {
        self.state.set(Mode::LoseAcks);
    }

    /// Tells every client to write no more, as a broker does that is short of memory. Nothing may be on its way to them.
    #[allow(dead_code, reason = "only the fault tests hold clients back")]
    pub(crate) fn block_clients(&self) {
        self.state.tell_clients(&BLOCKED);
    }

    /// Tells them that they may write again.
    #[allow(dead_code, reason = "only the fault tests hold clients back")]
    pub(crate) fn unblock_clients(&self) {
        self.state.tell_clients(&UNBLOCKED);
    }

    pub(crate) fn has_lost_an_ack(&self) -> bool {
        self.state.has_lost_an_ack.load(Ordering::Acquire)
    }

    /// Cuts all connections, and each that is tried from here on.
    #[allow(dead_code, reason = "only the fault tests keep a broker away")]
    pub(crate) fn refuse(&self) {
        self.state.set(Mode::Refuse);
        self.state.cut();
    }

    /// Cuts all connections, and lets new ones pass.
    pub(crate) fn cut_and_pass(&self) {
        self.state.set(Mode::Pass);
        self.state.cut();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.set(Mode::Closed);
        self.state.cut();
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
    }
}

impl State {
    fn mode(&self) -> Mode {
        *self.mode.lock().expect("no panic while locked")
    }

    fn set(&self, mode: Mode) {
        *self.mode.lock().expect("no panic while locked") = mode;
    }

    fn keep(&self, socket: &TcpStream) {
        let clone = socket.try_clone().expect("a socket can be cloned");
        self.sockets.lock().expect("no panic while locked").push(clone);
    }

    fn cut(&self) {
        for socket in self.sockets.lock().expect("no panic while locked").drain(..) {
            // The other side may have closed it.
            drop(socket.shutdown(Shutdown::Both));
        }
    }

    fn tell_clients(&self, frame: &[u8]) {
        for mut client in self.clients.lock().expect("no panic while locked").iter() {
            // Some have closed their connection.
            drop(client.write_all(frame));
        }
    }

    fn join(self: &Arc<Self>, client: TcpStream) {
        let Ok(broker) = TcpStream::connect(&self.target) else { return };
        self.keep(&client);
        self.keep(&broker);
        self.clients.lock().expect("no panic while locked").push(client.try_clone().expect("a socket can be cloned"));
        let clone = |socket: &TcpStream| socket.try_clone().expect("a socket can be cloned");
        let (from_client, to_client) = (clone(&client), client);
        let (from_broker, to_broker) = (clone(&broker), broker);
        let (up, down) = (Arc::clone(self), Arc::clone(self));
        let (losing_up, losing_down) = ([Mode::Silent, Mode::DeafBroker], [Mode::Silent]);
        std::thread::spawn(move || up.copy(from_client, to_broker, &losing_up, None));
        std::thread::spawn(move || down.copy(from_broker, to_client, &losing_down, Some(Mode::HeldBroker)));
    }

    /// A direction that has once lost bytes loses all that follow: half a frame is of no use to anybody.
    fn copy(&self, mut from: TcpStream, mut to: TcpStream, losing: &[Mode], holding: Option<Mode>) {
        let mut buffer = [0; 8192];
        let mut lost = false;
        let mut breaking = Breaking::default();
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            while holding == Some(self.mode()) {
                std::thread::sleep(Duration::from_millis(1));
            }
            let mode = self.mode();
            lost |= losing.contains(&mode);
            if mode == Mode::LoseAcks && losing.contains(&Mode::DeafBroker) && !lost {
                lost = buffer[..length].windows(ACK.len()).any(|bytes| bytes == ACK);
                self.has_lost_an_ack.fetch_or(lost, Ordering::AcqRel);
            }
            let is_from_broker = holding.is_some();
            if is_from_broker {
                breaking.pass(&mut buffer[..length]);
            }
            let alone = is_from_broker.then(|| self.clients.lock().expect("no panic while locked"));
            if !lost && to.write_all(&buffer[..length]).is_err() {
                break;
            }
            drop(alone);
        }
        drop((from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both)));
    }
}

/// Breaks the frames whose bodies ask for it, wherever the bytes are cut.
#[derive(Default)]
struct Breaking {
    matched: usize,
}

impl Breaking {
    fn pass(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            if self.matched == BREAKS.len() {
                if *byte == FRAME_END {
                    (*byte, self.matched) = (0, 0);
                }
            } else if *byte == BREAKS[self.matched] {
                self.matched += 1;
            } else {
                self.matched = usize::from(*byte == BREAKS[0]);
            }
        }
    }
}
