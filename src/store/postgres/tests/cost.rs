//! By hand, since nothing can be asserted of times on a busy machine: `cargo test --lib -- --ignored --nocapture a_batch_costs`.

use std::time::Instant;

use super::*;
use crate::store::NoteKind;
use crate::telemetry::Transport;

const ORDERS: usize = 10_000;
const EVENTS_AT_ONCE: usize = 300;
const NOTES_AT_ONCE: usize = 256;
const ROUNDS: usize = 3;

fn a_second(began: Instant) -> f64 {
    f64::from(u32::try_from(ORDERS).unwrap()) / began.elapsed().as_secs_f64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, which nothing can be asserted of on a busy machine"]
async fn what_a_batch_costs() {
    for _ in 0..ROUNDS {
        let database = Database::create().await;
        let store = node(&database, 1);
        store.check().await.unwrap();
        let orders: Vec<_> = (0..ORDERS).map(|n| format!("o{n}")).collect();
        let page = PageRef { transport: Transport::Sse, connection: 7 };
        let mut speeds = Vec::new();
        let unknown: Vec<_> = (0..ORDERS).map(|n| format!("unknown{n}")).collect();
        for orders in [&unknown, &unknown] {
            let began = Instant::now();
            for some in orders.chunks(NOTES_AT_ONCE) {
                let note = |order: &String| Note { key: key(order), at_ms: unix_ms(), what: NoteKind::Watched(page) };
                store.record(some.iter().map(note).collect()).await.unwrap();
            }
            speeds.push(a_second(began));
        }
        for (id, status) in [("e1", Status::Processing), ("e2", Status::Succeeded)] {
            let began = Instant::now();
            for some in orders.chunks(EVENTS_AT_ONCE) {
                store.apply_events(some.iter().map(|order| event(order, id, status, 1)).collect()).await.unwrap();
            }
            speeds.push(a_second(began));
        }
        let [unknown, again, first, second] = speeds[..] else { return };
        println!(
            "a second: {unknown:.0} pages of unknown orders, {again:.0} again, {first:.0} first events, {second:.0} \
             second events"
        );
    }
}
