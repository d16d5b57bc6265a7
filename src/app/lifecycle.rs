//! When the service can be used and when it begins to end: for readiness, and for the service manager if there is one.

use std::sync::Arc;
use std::time::Duration;

use crate::runtime::{Component, Health, ServiceManager, Tasks};

/// Between two looks at the health, for the status that a service manager shows.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// How often the watchdog is told in the time after which it would end the process.
const ALIVE_TIMES: u32 = 3;

/// A service that listens.
pub(super) struct Lifecycle {
    health: Health,
    manager: Option<Arc<ServiceManager>>,
}

impl Lifecycle {
    /// The service listens.
    pub(super) fn listening(health: &Health, background: &Tasks) -> Self {
        Self::told_to(ServiceManager::of_process(), health, background)
    }

    fn told_to(manager: Option<ServiceManager>, health: &Health, background: &Tasks) -> Self {
        health.ok(Component::Node);
        let manager = manager.map(Arc::new);
        if let Some(manager) = &manager {
            background.spawn(keep_informed(Arc::clone(manager), health.clone(), background.clone()));
        }
        Self { health: health.clone(), manager }
    }

    /// The service begins to end.
    pub(super) fn draining(&self) {
        self.health.fault(Component::Node, "draining");
        if let Some(manager) = &self.manager {
            manager.stopping();
        }
    }
}

/// The watchdog is told from a task, so a runtime that stands still does not tell it, nor does one whose task for pages,
/// operators or deliveries has ended. That the broker or the store is away is no reason: a restart brings neither back.
async fn keep_informed(manager: Arc<ServiceManager>, health: Health, background: Tasks) {
    let interval = manager.watchdog().map_or(LOOK_INTERVAL, |limit| LOOK_INTERVAL.min(limit / ALIVE_TIMES));
    let (mut told_ready, mut shown) = (false, String::new());
    while !background.is_stopping() {
        told_ready = told_ready || manager.ready();
        if health.ended().is_empty() {
            manager.alive();
        }
        let status = status(&health);
        if status != shown && manager.status(&status) {
            shown = status;
        }
        background.rest(interval).await;
    }
}

fn status(health: &Health) -> String {
    let faults = health.faults();
    if faults.is_empty() {
        return "ready".to_owned();
    }
    let faults: Vec<_> = faults.iter().map(|(part, reason)| format!("{}: {reason}", part.as_str())).collect();
    format!("not ready: {}", faults.join("; "))
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixDatagram;

    use super::*;

    /// Waits for a message, and answers those before it.
    async fn until(socket: &UnixDatagram, is_awaited: impl Fn(&str) -> bool) -> Vec<String> {
        let (mut before, mut bytes) = (Vec::new(), [0; 4096]);
        loop {
            let received = tokio::time::timeout(Duration::from_secs(30), socket.recv(&mut bytes)).await;
            let message = String::from_utf8(bytes[..received.unwrap().unwrap()].to_vec()).unwrap();
            if is_awaited(&message) {
                return before;
            }
            before.push(message);
        }
    }

    #[tokio::test]
    async fn the_watchdog_hears_of_a_process_without_its_broker_and_not_of_one_that_has_lost_a_task() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let manager = ServiceManager::open(path.as_os_str(), Some(Duration::from_millis(60))).unwrap();
        let (health, tasks) = (Health::starting(), Tasks::new());
        Component::ALL.into_iter().for_each(|component| health.ok(component));
        let lifecycle = Lifecycle::told_to(Some(manager), &health, &tasks);
        assert!(until(&socket, |message| message == "READY=1").await.is_empty());
        assert_eq!(until(&socket, |message| message == "STATUS=ready").await, ["WATCHDOG=1"]);

        health.fault(Component::Broker, "away");
        until(&socket, |message| message == "STATUS=not ready: broker: away").await;
        for _ in 0..3 {
            assert!(until(&socket, |message| message == "WATCHDOG=1").await.is_empty());
        }

        health.keep("consumer", Component::Consumer, &tasks, async {});
        until(&socket, |message| message.contains("the task consumer has ended")).await;
        health.fault(Component::Broker, "still away");
        let before = until(&socket, |message| message.contains("still away")).await;
        assert!(before.is_empty(), "{before:?}");

        lifecycle.draining();
        until(&socket, |message| message == "STOPPING=1").await;
        tasks.stop();
        tasks.join(Duration::from_secs(30)).await.unwrap();
    }
}
