//! Events at a steady rate, spread over waiting pages.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;

use super::page::Page;
use super::rig::support::{Setup, ticket};
use super::rig::{MERCHANT, Publisher, cpu_ms, order, quantile};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Pages that wait, one order each
    #[arg(long, default_value_t = 5_000)]
    pages: usize,
    /// Events a second
    #[arg(long, default_value_t = 1_000)]
    rate: u64,
    /// How long
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

impl Default for Args {
    fn default() -> Self {
        Self { pages: 5_000, rate: 1_000, seconds: 20 }
    }
}

const CONNECTING_AT_ONCE: usize = 64;
const UNCONFIRMED_MAX: usize = 1_000;

pub(crate) async fn run(args: &Args) {
    let service = Setup::new().await.set("TELEMETRY__LOG_FILTER", "warn,payment_notifier::app=info").start().await;
    let publisher = Publisher::connect(&service.vhost().amqp_url()).await;
    let total = usize::try_from(args.rate * args.seconds).unwrap();
    let sent_ns: Arc<Vec<AtomicU64>> = Arc::new((0..total).map(|_| AtomicU64::new(0)).collect());
    let started_at = Instant::now();
    let (latencies, mut arrived) = mpsc::channel(10_000);
    let address = service.http;
    let mut connecting = futures_util::stream::iter(0..args.pages)
        .map(|n| async move { (n, Page::subscribe(address, &ticket::ticket(order(n))).await) })
        .buffer_unordered(CONNECTING_AT_ONCE);
    while let Some((_, mut page)) = connecting.next().await {
        let (latencies, sent_ns) = (latencies.clone(), Arc::clone(&sent_ns));
        tokio::spawn(async move {
            while let Some(frame) = page.frame().await {
                let event: usize = frame.split_once("\"n\":").unwrap().1.split_once('}').unwrap().0.parse().unwrap();
                let took_ns = started_at.elapsed().as_nanos() as u64 - sent_ns[event].load(Ordering::Acquire);
                if latencies.send(took_ns as f64 / 1e6).await.is_err() {
                    return;
                }
            }
        });
    }
    drop(latencies);
    println!("paced: {} pages wait, {} events/s for {} s", args.pages, args.rate, args.seconds);
    let cpu_before = cpu_ms(service.pid());
    let collecting = tokio::spawn(async move {
        let mut all = Vec::with_capacity(total);
        while all.len() < total {
            match tokio::time::timeout(Duration::from_secs(20), arrived.recv()).await {
                Ok(Some(latency)) => all.push(latency),
                _ => break,
            }
        }
        all
    });
    let mut confirms = FuturesUnordered::new();
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    let begin = Instant::now();
    let mut n = 0;
    while n < total {
        ticks.tick().await;
        let due = (begin.elapsed().as_secs_f64() * args.rate as f64) as usize;
        while n < due.min(total) {
            let body = body(n, &order(n % args.pages));
            sent_ns[n].store(started_at.elapsed().as_nanos() as u64, Ordering::Release);
            confirms.push(publisher.send(&body).await);
            n += 1;
        }
        while confirms.len() > UNCONFIRMED_MAX {
            confirms.next().await;
        }
    }
    while confirms.next().await.is_some() {}
    let published_s = begin.elapsed().as_secs_f64();
    let mut all = collecting.await.unwrap();
    let cpu_us = (cpu_ms(service.pid()) - cpu_before) as f64 * 1000.0 / total as f64;
    all.sort_by(f64::total_cmp);
    println!(
        "paced: published {total} in {published_s:.1} s, {} reached a page, {} replaced by a newer version or lost",
        all.len(),
        total - all.len()
    );
    println!(
        "paced: publish to page p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, max {:.2} ms; service {cpu_us:.0} us CPU an event",
        quantile(&all, 0.5),
        quantile(&all, 0.99),
        quantile(&all, 0.999),
        quantile(&all, 1.0)
    );
}

/// Each later event of an order is a newer version of it.
fn body(n: usize, order: &str) -> String {
    let second = n / 1_000 % 60;
    let (minute, ms) = (n / 60_000 % 60, n % 1_000);
    format!(
        r#"{{"event_id":"e{n}","merchant_id":"{MERCHANT}","order_id":"{order}","status":"processing","occurred_at":"2026-01-31T00:{minute:02}:{second:02}.{ms:03}Z","amount":{{"value":1999,"currency":"CNY"}},"display":{{"n":{n}}}}}"#
    )
}
