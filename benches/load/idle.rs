//! Pages that wait and get nothing.

use futures_util::StreamExt;

use super::page::Page;
use super::rig::support::{Setup, ticket};
use super::rig::{order, resident_kib};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Pages that wait, one order each
    #[arg(long, default_value_t = 10_000)]
    pages: usize,
}

impl Default for Args {
    fn default() -> Self {
        Self { pages: 10_000 }
    }
}

const CONNECTING_AT_ONCE: usize = 64;

pub(crate) async fn run(args: &Args) {
    let service = Setup::new().await.set("TELEMETRY__LOG_FILTER", "warn,payment_notifier::app=info").start().await;
    let before_kib = resident_kib(service.pid());
    let address = service.http;
    let pages: Vec<Page> = futures_util::stream::iter(0..args.pages)
        .map(|n| async move { Page::subscribe(address, &ticket::ticket(order(n))).await })
        .buffer_unordered(CONNECTING_AT_ONCE)
        .collect()
        .await;
    let after_kib = resident_kib(service.pid());
    let each = (after_kib - before_kib) as f64 / pages.len() as f64;
    println!(
        "idle: {} pages wait; resident {:.1} MiB, {:.1} MiB before the first; {each:.2} KiB a page",
        pages.len(),
        after_kib as f64 / 1024.0,
        before_kib as f64 / 1024.0
    );
}
