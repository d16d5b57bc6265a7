//! What a service manager is told of this process, as systemd has it (sd_notify(3)). Where the process was not started by one,
//! nothing is sent.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Of a status: more is cut off. systemd shows one line.
const STATUS_CHARS_MAX: usize = 400;

/// The socket on which a service manager listens.
#[derive(Debug)]
pub struct ServiceManager {
    socket: UnixDatagram,
    address: SocketAddr,
    /// The longest time between two calls of [`ServiceManager::alive`] that it accepts.
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// The one that `NOTIFY_SOCKET` names, if it does. `WATCHDOG_USEC` counts where `WATCHDOG_PID` is this process or is not set.
    #[must_use]
    pub fn of_process() -> Option<Self> {
        let name = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty())?;
        let variable = |name: &str| std::env::var(name).ok();
        let watchdog = watchdog(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"), std::process::id());
        let opened = Self::open(&name, watchdog);
        opened.inspect_err(|error| tracing::warn!(%error, "NOTIFY_SOCKET cannot be used")).ok()
    }

    /// The one that listens at `name`, a path, or `@` and an abstract name.
    ///
    /// # Errors
    /// For a name that cannot be one of a socket, or where the process may not open more files.
    pub fn open(name: &OsStr, watchdog: Option<Duration>) -> std::io::Result<Self> {
        let address = match name.as_bytes().strip_prefix(b"@") {
            Some(abstract_name) => SocketAddr::from_abstract_name(abstract_name)?,
            None => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        // What a manager does not read in time is not worth a wait.
        socket.set_nonblocking(true)?;
        Ok(Self { socket, address, watchdog })
    }

    /// The longest time between two calls of [`ServiceManager::alive`] before the manager ends this process, if it does that.
    #[must_use]
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// The service can be used. False if the manager could not be told, as for each of these.
    pub fn ready(&self) -> bool {
        self.send("READY=1")
    }

    /// The service begins to end.
    pub fn stopping(&self) -> bool {
        self.send("STOPPING=1")
    }

    /// The process works.
    pub fn alive(&self) -> bool {
        self.send("WATCHDOG=1")
    }

    /// What operators see in `systemctl status`: one line, no secrets.
    pub fn status(&self, text: &str) -> bool {
        let line = text.chars().take(STATUS_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c });
        self.send(&format!("STATUS={}", line.collect::<String>()))
    }

    fn send(&self, message: &str) -> bool {
        // The address each time, and no connection: the manager may have been started anew.
        let sent = self.socket.send_to_addr(message.as_bytes(), &self.address);
        sent.inspect_err(|error| tracing::debug!(%error, message, "the service manager was not told")).is_ok()
    }
}

fn watchdog(usec: Option<String>, of_pid: Option<String>, pid: u32) -> Option<Duration> {
    let is_ours = of_pid.is_none_or(|of_pid| of_pid.parse() == Ok(pid));
    let usec = usec?.parse().ok().filter(|usec| *usec > 0 && is_ours)?;
    Some(Duration::from_micros(usec))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_listens_at_a_path_or_at_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let abstract_name = format!("payment-notifier-{}", std::process::id());
        let abstract_address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        for (name, listening) in [
            (path.clone().into_os_string(), UnixDatagram::bind(&path).unwrap()),
            (format!("@{abstract_name}").into(), UnixDatagram::bind_addr(&abstract_address).unwrap()),
        ] {
            let manager = ServiceManager::open(&name, None).unwrap();
            let mut received = [0; 4096];
            let mut message_of = |tell: &dyn Fn() -> bool| {
                assert!(tell());
                let bytes = listening.recv(&mut received).unwrap();
                String::from_utf8(received[..bytes].to_vec()).unwrap()
            };
            assert_eq!(message_of(&|| manager.ready()), "READY=1");
            assert_eq!(message_of(&|| manager.alive()), "WATCHDOG=1");
            assert_eq!(message_of(&|| manager.stopping()), "STOPPING=1");
            // Of two lines the second would be a message of its own.
            assert_eq!(message_of(&|| manager.status("away\nREADY=1")), "STATUS=away READY=1");
            assert_eq!(message_of(&|| manager.status(&"长".repeat(500))).chars().count(), 7 + STATUS_CHARS_MAX);
        }
    }

    #[test]
    fn a_manager_that_is_gone_or_reads_nothing_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = ServiceManager::open(path.as_os_str(), None).unwrap();
        assert!(!manager.ready());
        let _listening = UnixDatagram::bind(&path).unwrap();
        assert!(manager.ready());
        while manager.alive() {}
        assert!(ServiceManager::open(OsStr::new(&"long/".repeat(100)), None).is_err());
    }

    #[test]
    fn a_watchdog_is_that_of_this_process() {
        let usec = |text: &str| Some(text.to_owned());
        assert_eq!(watchdog(usec("30000000"), None, 7), Some(Duration::from_secs(30)));
        assert_eq!(watchdog(usec("30000000"), Some("7".to_owned()), 7), Some(Duration::from_secs(30)));
        assert_eq!(watchdog(usec("30000000"), Some("8".to_owned()), 7), None);
        for not_set in [None, usec(""), usec("0"), usec("soon")] {
            assert_eq!(watchdog(not_set, None, 7), None);
        }
    }
}
