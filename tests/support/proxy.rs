//! A TCP proxy before RabbitMQ, for faults that no broker shows on command: a peer that says nothing any more, and
//! acknowledgements that never arrive.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::broker::Broker;

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

    fn join(self: &Arc<Self>, client: TcpStream) {
        let Ok(broker) = TcpStream::connect(&self.target) else { return };
        self.keep(&client);
        self.keep(&broker);
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
            if !lost && to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        drop((from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both)));
    }
}
