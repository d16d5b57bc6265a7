//! Two nodes in the midst of transactions of the same order. The test holds a lock that one of them comes upon at the step
//! where it is to stand still, and lets go when the other has done its work or waits as well.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_postgres::{Client, NoTls};

use super::*;
use crate::payment::Change;
use crate::store::NoteKind;
use crate::telemetry::Transport;

const DEADLINE: Duration = Duration::from_secs(60);
const PAGE: PageRef = PageRef { transport: Transport::Sse, connection: 7 };
const LATE_MS: i64 = 600_000;

/// Where a transaction stands still: reading these tables goes on, writing them does not.
const BEHIND_ITS_ROWS: &str = "entries";
const BEFORE_IT_WATCHES: &str = "watched";

struct Nodes {
    database: Database,
    one: Arc<Postgres>,
    other: Arc<Postgres>,
    holding: Client,
    looking: Client,
}

#[allow(clippy::disallowed_methods, reason = "a connection of the test's own, which ends with it")]
async fn connect(database: &Database) -> Client {
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

impl Nodes {
    async fn new() -> Self {
        let database = Database::create().await;
        let (one, other) = (node(&database, 1), node(&database, 2));
        one.check().await.unwrap();
        other.check().await.unwrap();
        let (holding, looking) = (connect(&database).await, connect(&database).await);
        Self { database, one, other, holding, looking }
    }

    /// `first` is begun on node 1 and stands still at `table`; then `second` is begun on node 2.
    async fn interleave<A, B>(
        &self,
        table: &str,
        first: impl Future<Output = A>,
        second: impl Future<Output = B>,
    ) -> (A, B) {
        let hold = format!("BEGIN; LOCK TABLE {table} IN SHARE MODE");
        self.holding.batch_execute(&hold).await.unwrap();
        let (begin, is_done) = (Notify::new(), AtomicBool::new(false));
        let second = async {
            begin.notified().await;
            let answer = second.await;
            is_done.store(true, Ordering::Release);
            answer
        };
        let leading = async {
            self.until(async || self.waits("node-1").await).await;
            begin.notify_one();
            self.until(async || is_done.load(Ordering::Acquire) || self.waits("node-2").await || self.looks().await)
                .await;
            self.holding.batch_execute("ROLLBACK").await.unwrap();
        };
        let (first, second, ()) = tokio::join!(first, second, leading);
        (first, second)
    }

    /// Whether a transaction of that node waits for a lock.
    async fn waits(&self, instance: &str) -> bool {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND application_name = $2
                   AND wait_event_type = 'Lock'";
        let name = format!("payment-notifier {instance}");
        let row = self.looking.query_one(sql, &[&self.database.name(), &name]).await.unwrap();
        row.get::<_, i64>(0) > 0
    }

    /// Whether a node has noted a page and looks which transactions are under way.
    async fn looks(&self) -> bool {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND query LIKE '%pg_snapshot_xip(%'
                   AND pid <> pg_backend_pid()";
        self.looking.query_one(sql, &[&self.database.name()]).await.unwrap().get::<_, i64>(0) > 0
    }

    async fn until(&self, condition: impl AsyncFn() -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !condition().await {
            assert!(Instant::now() < deadline, "it did not come to that");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// How many results count as undelivered, long after.
    async fn undelivered(&self) -> usize {
        self.one.escalate(unix_ms() + LATE_MS, 100).await.unwrap().messages
    }
}

fn watched(order: &str) -> Vec<Note> {
    vec![Note { key: key(order), at_ms: unix_ms(), what: NoteKind::Watched(PAGE) }]
}

fn before(payments_ms: i64) -> PurgeBefore {
    PurgeBefore { payments_ms, entries_ms: 0, unknown_ms: 0 }
}

fn paid(order: &str) -> Vec<Event> {
    vec![event(order, "e1", Status::Succeeded, 1)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_begins_to_wait_while_the_first_event_is_stored_counts_as_waiting() {
    let nodes = Nodes::new().await;
    let (noted, applied) =
        nodes.interleave(BEFORE_IT_WATCHES, nodes.one.record(watched("a")), nodes.other.apply_events(paid("a"))).await;
    noted.unwrap();
    assert_eq!(applied.unwrap()[0].change, Change::Applied);
    assert_eq!(nodes.undelivered().await, 1, "the page first");

    let (applied, noted) =
        nodes.interleave(BEHIND_ITS_ROWS, nodes.one.apply_events(paid("b")), nodes.other.record(watched("b"))).await;
    noted.unwrap();
    assert_eq!(applied.unwrap()[0].change, Change::Applied);
    assert_eq!(nodes.undelivered().await, 1, "the event first");
}

/// The page's transaction has the lower number, so that no snapshot names the event's before some other has ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_began_after_its_page_was_noted_and_before_that_was_committed_knows_of_it() {
    let nodes = Nodes::new().await;
    nodes
        .database
        .execute(
            "CREATE FUNCTION page_held() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 PERFORM pg_advisory_xact_lock(42); RETURN new; END $$;
             CREATE TRIGGER held AFTER INSERT ON watched FOR EACH ROW EXECUTE FUNCTION page_held();
             CREATE FUNCTION event_held() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 PERFORM pg_advisory_xact_lock(43); RETURN new; END $$;
             CREATE TRIGGER held AFTER INSERT ON entries FOR EACH ROW
                 WHEN (new.node = 'node-2') EXECUTE FUNCTION event_held()",
        )
        .await;
    nodes.holding.batch_execute("SELECT pg_advisory_lock(42)").await.unwrap();
    let behind = connect(&nodes.database).await;
    let is_done = AtomicBool::new(false);
    let note = async {
        nodes.one.record(watched("a")).await.unwrap();
        is_done.store(true, Ordering::Release);
    };
    let apply = async {
        nodes.until(async || nodes.waits("node-1").await).await;
        behind.batch_execute("SELECT pg_advisory_lock(43)").await.unwrap();
        nodes.other.apply_events(paid("a")).await.unwrap();
    };
    let leading = async {
        nodes.until(async || nodes.waits("node-2").await).await;
        nodes.holding.batch_execute("SELECT pg_advisory_unlock(42)").await.unwrap();
        nodes.until(async || is_done.load(Ordering::Acquire) || nodes.looks().await).await;
        behind.batch_execute("SELECT pg_advisory_unlock(43)").await.unwrap();
    };
    tokio::join!(note, apply, leading);
    assert_eq!(nodes.undelivered().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_who_writes_for_long_is_waited_for_once() {
    let nodes = Nodes::new().await;
    nodes.holding.batch_execute("BEGIN").await.unwrap();
    let number = nodes.holding.query_one("SELECT pg_current_xact_id()::text::bigint", &[]).await.unwrap();
    let number: i64 = number.get(0);
    let times = async |order| {
        nodes.one.record(watched(order)).await.unwrap();
        nodes.one.settings.leftover.long_writers().iter().filter(|long| **long == number).count()
    };
    // Waited for again, it would be there twice.
    assert_eq!([times("a").await, times("b").await], [1, 1]);
    nodes.holding.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(times("c").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_was_not_looked_at_is_looked_at_with_the_next_notes() {
    let nodes = Nodes::new().await;
    nodes.other.apply_events(paid("a")).await.unwrap();
    nodes.one.settings.leftover.keep(vec![(key("a"), unix_ms())]);
    nodes.one.record(watched("b")).await.unwrap();
    assert_eq!(nodes.undelivered().await, 1);
    assert!(nodes.one.settings.leftover.take().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_store_the_first_events_of_an_order_hand_out_each_version_once() {
    let nodes = Nodes::new().await;
    let open = vec![event("a", "e0", Status::Processing, 0)];
    let (one, other) =
        nodes.interleave(BEHIND_ITS_ROWS, nodes.one.apply_events(open), nodes.other.apply_events(paid("a"))).await;
    assert_eq!([one.unwrap()[0].payment.version, other.unwrap()[0].payment.version], [1, 2]);
    let read = nodes.one.read(&key("a")).await.unwrap().unwrap();
    assert_eq!((read.version, read.status), (2, Status::Succeeded));
    let (one, other) =
        nodes.interleave(BEHIND_ITS_ROWS, nodes.one.apply_events(paid("b")), nodes.other.apply_events(paid("b"))).await;
    assert_eq!([one.unwrap()[0].change, other.unwrap()[0].change], [Change::Applied, Change::Duplicate]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledgement_beside_an_event_is_of_a_version_that_was_stored() {
    let nodes = Nodes::new().await;
    let (a, b) = (key("a"), key("b"));
    let (applied, early) = nodes
        .interleave(BEHIND_ITS_ROWS, nodes.one.apply_events(paid("a")), nodes.other.acknowledge(&a, 1, PAGE))
        .await;
    assert_eq!((applied.unwrap()[0].payment.version, early.unwrap()), (1, Acknowledgement::NoSuchVersion));
    assert_eq!(nodes.other.acknowledge(&a, 1, PAGE).await.unwrap(), Acknowledgement::First);
    assert_eq!(nodes.one.outbox_len().await.unwrap(), 1, "delivered");

    nodes.one.apply_events(vec![event("b", "e0", Status::Processing, 0)]).await.unwrap();
    let (shown, applied) = nodes
        .interleave(BEHIND_ITS_ROWS, nodes.one.acknowledge(&b, 1, PAGE), nodes.other.apply_events(paid("b")))
        .await;
    assert_eq!((shown.unwrap(), applied.unwrap()[0].payment.version), (Acknowledgement::First, 2));
    assert_eq!(nodes.one.outbox_len().await.unwrap(), 1, "what was shown is not the result");
    assert_eq!(nodes.other.acknowledge(&b, 2, PAGE).await.unwrap(), Acknowledgement::First);
    assert_eq!(nodes.one.outbox_len().await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_comes_while_its_result_is_escalated_changes_nothing() {
    let nodes = Nodes::new().await;
    let late_ms = unix_ms() + LATE_MS;
    nodes.one.record([watched("a"), watched("b")].concat()).await.unwrap();
    nodes.one.apply_events(paid("a")).await.unwrap();
    let (escalated, noted) =
        nodes.interleave(BEHIND_ITS_ROWS, nodes.one.escalate(late_ms, 10), nodes.other.record(watched("a"))).await;
    assert_eq!(
        (escalated.unwrap().messages, noted.is_ok(), nodes.undelivered().await),
        (1, true, 0),
        "the escalation first"
    );

    nodes.one.apply_events(paid("b")).await.unwrap();
    let (noted, escalated) =
        nodes.interleave(BEFORE_IT_WATCHES, nodes.one.record(watched("b")), nodes.other.escalate(late_ms, 10)).await;
    assert!(noted.is_ok());
    assert_eq!(escalated.unwrap().messages + nodes.undelivered().await, 1, "the page first");
    assert_eq!((nodes.undelivered().await, nodes.one.outbox_len().await.unwrap()), (0, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_of_an_order_that_is_being_removed_begins_it_anew_and_one_before_keeps_it() {
    let nodes = Nodes::new().await;
    let late_ms = unix_ms() + LATE_MS;
    nodes.one.apply_events(vec![event("a", "e0", Status::Processing, 0)]).await.unwrap();
    let (purged, applied) = nodes
        .interleave(BEHIND_ITS_ROWS, nodes.one.purge(before(late_ms), 10), nodes.other.apply_events(paid("a")))
        .await;
    assert_eq!((purged.unwrap().payments, applied.unwrap()[0].payment.version), (1, 1), "the removal first");
    let timeline = nodes.one.timeline(&key("a")).await.unwrap();
    assert_eq!((timeline.payment.unwrap().version, timeline.entries.len()), (1, 1));

    // By the times of the rows alone both are old.
    nodes.database.execute("UPDATE payments SET changed_ms = 0, created_ms = 0").await;
    let more = vec![event("a", "e2", Status::Succeeded, 0)];
    let (applied, purged) =
        nodes.interleave(BEHIND_ITS_ROWS, nodes.one.apply_events(more), nodes.other.purge(before(1), 10)).await;
    assert_eq!((applied.unwrap()[0].payment.version, purged.unwrap().payments), (2, 0), "the event first");
    let timeline = nodes.one.timeline(&key("a")).await.unwrap();
    assert_eq!((timeline.payment.unwrap().version, timeline.entries.len()), (2, 2));
}
