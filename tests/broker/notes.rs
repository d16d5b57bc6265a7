//! Notes wait within their bound, are written behind what matters more, and outlive a store that is away.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use payment_notifier::runtime::Tasks;
use payment_notifier::store::{NoteKind, PageRef, TimelineOptions, TimelineRecorder};
use payment_notifier::telemetry::{Metrics, Transport};

use crate::harness::{key, until};
use crate::memory::Memory;

const PAGE: PageRef = PageRef { transport: Transport::Sse, connection: 7 };
const ALL: TimelineOptions = TimelineOptions { waiting_max: 1000, timeline: true, watched: true };

fn dropped(metrics: &Metrics) -> u64 {
    let text = metrics.render();
    let value = text.lines().find_map(|line| line.strip_prefix("payment_notifier_notes_dropped_total "));
    value.unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_a_store_refuses_for_a_while_is_written_once_and_the_rest_when_the_service_stops() {
    let (store, tasks, metrics) = (Memory::new(), Tasks::new(), Metrics::new().unwrap());
    let (notes, writer) = TimelineRecorder::new(ALL, metrics.clone());
    store.refusing.store(3, Ordering::SeqCst);
    tasks.spawn(writer.run(Arc::<Memory>::clone(&store), tasks.clone()));
    notes.watched(&key("a"), PAGE);
    notes.pushed(&key("a"), PAGE, 2, Some(Duration::from_millis(41)));
    notes.dead_lettered(&key("b"), "e-1".into(), "id_reused");
    let written = || store.notes.lock().unwrap().len();
    until("they are written", async || written() == 3).await;
    // More than a batch, of which most still waits.
    (0..900).for_each(|_| notes.watched(&key("c"), PAGE));
    tasks.stop();
    tasks.join(Duration::from_secs(20)).await.unwrap();
    assert_eq!((written(), dropped(&metrics)), (903, 0));
    let written = store.notes.lock().unwrap();
    assert!(matches!(&written[0].what, NoteKind::Watched(page) if *page == PAGE) && written[0].key == key("a"));
    assert!(matches!(written[1].what, NoteKind::Pushed { page: PAGE, version: 2, after_ms: Some(41) }));
    assert!(matches!(&written[2].what, NoteKind::DeadLettered { event_id, reason: "id_reused" } if event_id == "e-1"));
    assert!(written.windows(2).all(|pair| pair[0].at_ms <= pair[1].at_ms) && written[0].at_ms > 0);
}

#[tokio::test]
async fn a_note_that_cannot_be_written_takes_no_other_with_it_though_the_store_fails_for_a_while_meanwhile() {
    let (store, tasks, metrics) = (Memory::new(), Tasks::new(), Metrics::new().unwrap());
    let (notes, writer) = TimelineRecorder::new(ALL, metrics.clone());
    *store.refused.lock().unwrap() = Some(key("bad"));
    tasks.spawn(writer.run(Arc::<Memory>::clone(&store), tasks.clone()));
    ["a", "bad", "b", "c"].iter().for_each(|order| notes.watched(&key(order), PAGE));
    until("the others are written", async || store.notes.lock().unwrap().len() == 3).await;
    tasks.stop();
    tasks.join(Duration::from_secs(20)).await.unwrap();
    let written: Vec<_> = store.notes.lock().unwrap().iter().map(|note| note.key.clone()).collect();
    assert_eq!((written, dropped(&metrics)), (["a", "b", "c"].map(key).to_vec(), 1));
}

#[test]
fn what_does_not_fit_is_counted_and_pushes_leave_room_for_who_watches() {
    let metrics = Metrics::new().unwrap();
    let (notes, _writer) = TimelineRecorder::new(TimelineOptions { waiting_max: 100, ..ALL }, metrics.clone());
    (0..100).for_each(|_| notes.pushed(&key("a"), PAGE, 1, None));
    assert_eq!(dropped(&metrics), 24);
    (0..25).for_each(|_| notes.watched(&key("a"), PAGE));
    assert_eq!(dropped(&metrics), 25);
}

#[tokio::test]
async fn without_stories_only_who_watches_is_noted_and_only_where_that_matters() {
    for (watched, expected) in [(true, 1), (false, 0)] {
        let (store, tasks, metrics) = (Memory::new(), Tasks::new(), Metrics::new().unwrap());
        let (notes, writer) =
            TimelineRecorder::new(TimelineOptions { timeline: false, watched, ..ALL }, metrics.clone());
        notes.watched(&key("a"), PAGE);
        notes.pushed(&key("a"), PAGE, 1, None);
        notes.dead_lettered(&key("a"), "e-1".into(), "id_reused");
        tasks.stop();
        writer.run(Arc::<Memory>::clone(&store), tasks).await;
        assert_eq!((store.notes.lock().unwrap().len(), dropped(&metrics)), (expected, 0));
    }
}

#[tokio::test]
async fn a_store_that_hangs_holds_up_the_end_for_a_bounded_time() {
    let (store, tasks, metrics) = (Memory::new(), Tasks::new(), Metrics::new().unwrap());
    let (notes, writer) = TimelineRecorder::new(ALL, metrics.clone());
    let _hangs = store.gate.write().await;
    (0..300).for_each(|_| notes.watched(&key("a"), PAGE));
    tasks.stop();
    tokio::time::timeout(Duration::from_secs(60), writer.run(Arc::<Memory>::clone(&store), tasks)).await.unwrap();
    assert_eq!(store.notes.lock().unwrap().len(), 0);
    assert!(dropped(&metrics) > 0);
}
