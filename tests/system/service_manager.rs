//! What systemd is told by the program that it started: that it listens, that it lives, and that it ends.

use tempfile::TempDir;
use tokio::net::UnixDatagram;

use crate::support::{Proxy, Service, Setup, within};

/// A service manager's socket, and the folder that it lies in.
struct Manager {
    socket: UnixDatagram,
    folder: TempDir,
}

impl Manager {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        Self { socket, folder }
    }

    /// Starts the program as systemd does where the unit has a watchdog of three seconds.
    async fn start_service(&self, setup: Setup) -> Service {
        let socket = format!("NOTIFY_SOCKET={}", self.folder.path().join("notify").display());
        setup.wrapped_by(&["env", &socket, "WATCHDOG_USEC=3000000"]).start().await
    }

    async fn next(&self) -> String {
        let mut message = [0; 4096];
        let bytes = within("a message to the service manager", self.socket.recv(&mut message)).await.unwrap();
        String::from_utf8(message[..bytes].to_vec()).unwrap()
    }

    /// Waits for a message, and answers what came before it.
    async fn until(&self, is_awaited: impl Fn(&str) -> bool) -> Vec<String> {
        let mut before = Vec::new();
        within("the awaited message to the service manager", async {
            loop {
                let message = self.next().await;
                if is_awaited(&message) {
                    return;
                }
                before.push(message);
            }
        })
        .await;
        before
    }
}

#[tokio::test]
async fn systemd_is_told_of_the_start_the_end_and_life_between_with_a_broker_or_without() {
    let (manager, proxy) = (Manager::start(), Proxy::start());
    let mut service = manager.start_service(Setup::new().await.through(&proxy)).await;
    assert_eq!(manager.next().await, "READY=1");
    let before = manager.until(|message| message == "STATUS=ready").await;
    assert!(before.iter().any(|message| message == "WATCHDOG=1"), "{before:?}");

    proxy.refuse();
    manager.until(|message| message.starts_with("STATUS=not ready: broker: ")).await;
    // Of a node without its broker the watchdog hears as often as of any.
    for _ in 0..5 {
        manager.until(|message| message == "WATCHDOG=1").await;
    }
    service.terminate();
    let before = manager.until(|message| message == "STOPPING=1").await;
    assert!(!before.iter().any(|message| message == "READY=1"), "{before:?}");
    assert!(service.wait_end().await.success(), "{}", service.logs().text());
}
