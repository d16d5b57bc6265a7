//! A disk that is full, as a small file system of the test's own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde_json::json;

use crate::ledger::row;
use crate::support::{Page, Publisher, Setup, event, ticket, wait_for};

/// Room for the tables and some hundred payments.
const DISK: &str = "size=1m";
const DISPLAY_BYTES: usize = 1900;
const RUNS: usize = 3;

/// Mounted for as long as it lives.
struct Disk(PathBuf);

impl Disk {
    /// Not set where mounting is not allowed.
    fn mount(folder: &Path) -> Option<Self> {
        let disk = folder.join("disk");
        std::fs::create_dir(&disk).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", DISK, "tmpfs"]).arg(&disk).output();
        mounted.is_ok_and(|mounted| mounted.status.success()).then(|| Self(disk))
    }

    /// Fills what is left.
    fn fill(&self) {
        // The file takes what there is before the write fails.
        drop(std::fs::write(self.ballast(), vec![0; 1 << 20]));
    }

    fn free(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The service may still have files open there.
        drop(Command::new("umount").arg("--lazy").arg(&self.0).status());
    }
}

#[tokio::test]
async fn a_full_disk_acks_nothing_reads_on_and_recovers_by_itself() {
    let place = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(place.path()) else {
        row("disk-full left out: a file system cannot be mounted here (not root, or no CAP_SYS_ADMIN)");
        return;
    };
    let store = format!("sqlite://{}", disk.0.join("payments.db").display());
    let mut service = Setup::new().await.set("STORE__URL", store).start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    publisher.publish(&event("full-known", "succeeded")).await;
    let known = ticket("full-known");
    service.payment_with_status("full-known", &known, "succeeded").await;
    let mut pause_ms = 0;
    let mut published = 0;
    for run in 0..RUNS {
        disk.fill();
        let waiting = format!("full-waiting-{run}");
        let (mut page, _) = Page::subscribed(&service, &ticket(waiting.as_str())).await;
        let orders: Vec<String> = (0..5).map(|n| format!("full-{run}-{n}")).collect();
        for order in orders.iter().chain([&waiting]) {
            let mut large = event(order, "succeeded");
            large["display"] = json!("x".repeat(DISPLAY_BYTES));
            publisher.publish(&large).await;
            published += 1;
        }
        service.wait_unready_for(&["store", "full"]).await;
        assert_eq!(service.payment("full-known", &known, "").await.json["status"], "succeeded", "reads go on");
        page.ping_pong().await;
        let unacknowledged = wait_for("the console counts what is not acknowledged", async || {
            let queue = service.vhost().get("queues", "payment-notifier.results").await;
            queue["messages"].as_u64().filter(|messages| *messages > 0)
        })
        .await;
        assert!(unacknowledged > 0);
        if run == RUNS - 1 {
            // A program that ends while the disk is full leaves no more behind than one that waits.
            service.kill9().await;
        }
        let began = Instant::now();
        disk.free();
        if run == RUNS - 1 {
            service.start_again().await;
        } else {
            assert_eq!(page.payment().await["status"], "succeeded");
            pause_ms = pause_ms.max(began.elapsed().as_millis());
            service.wait_ready().await;
        }
        for order in orders.iter().chain([&waiting]) {
            service.payment_with_status(order, &ticket(order.as_str()), "succeeded").await;
        }
        let letters = service.vhost().get("queues", "payment-notifier.dead-letters").await;
        assert_eq!(letters["messages"].as_u64().unwrap_or(0), 0, "{letters}");
    }
    row(&format!("disk-full runs={RUNS} lost=0 pause_ms={pause_ms} published={published}"));
}
