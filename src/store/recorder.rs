//! Notes for the timelines of orders, beside their events: taken without waiting, and written behind the events.
//!
//! A page and an event never wait for a note. What does not fit into the queue is left out and counted, pushes before what
//! an escalation depends on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::pieces::Pieces;
use super::{Error, Note, NoteKind, PageRef, PaymentStore};
use crate::payment::Key;
use crate::runtime::{Backoff, Tasks, unix_ms};
use crate::telemetry::Metrics;

/// How long the first of a batch waits for others.
const GATHER: Duration = Duration::from_millis(500);
/// With more events than this being committed, notes yield to them.
const BUSY_EVENTS_PER_S: f64 = 200.0;
/// How many notes one transaction takes, and times as long as it took until the next one. An event that comes meanwhile
/// waits for it, so there are few while there are events, and more the fuller the queue is: many at once cost less each.
const CALM: Step = Step { notes_max: 256, pause: 1 };
const BUSY: [Step; 4] = [
    Step { notes_max: 48, pause: 19 },
    Step { notes_max: 48, pause: 9 },
    Step { notes_max: 256, pause: 4 },
    Step { notes_max: 256, pause: 4 },
];
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Attempts to write one batch, and the waits between them: over four minutes in all.
const ATTEMPTS_MAX: u32 = 24;
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_LONGEST: Duration = Duration::from_secs(15);
/// For what waits when the service stops.
const STOP_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy)]
struct Step {
    notes_max: usize,
    pause: u32,
}

/// Which notes are taken, and how many may wait.
#[derive(Debug, Clone, Copy)]
pub struct TimelineOptions {
    /// `timeline.notes_waiting_max`
    pub waiting_max: usize,
    /// Timelines are kept: `timeline.enabled`.
    pub timeline: bool,
    /// It matters for which orders a page has waited: `escalation.orders = "watched"`.
    pub watched: bool,
}

/// Takes notes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TimelineRecorder {
    inner: Option<Arc<Inner>>,
}

#[derive(Debug)]
struct Inner {
    queue: mpsc::Sender<Note>,
    options: TimelineOptions,
    committed_events: AtomicU64,
    metrics: Metrics,
}

impl TimelineRecorder {
    /// A queue for notes and the task that writes them.
    pub fn new(options: TimelineOptions, metrics: Metrics) -> (Self, TimelineWriter) {
        let (queue, waiting) = mpsc::channel(options.waiting_max.max(1));
        let inner = Arc::new(Inner { queue, options, committed_events: AtomicU64::new(0), metrics });
        let writer = TimelineWriter {
            inner: Arc::clone(&inner),
            waiting,
            under_way: 0,
            looked_at: Instant::now(),
            seen_events: 0,
        };
        (Self { inner: Some(inner) }, writer)
    }

    /// Takes none.
    #[must_use]
    pub fn off() -> Self {
        Self { inner: None }
    }

    /// A page began to wait for an order.
    pub fn watched(&self, key: &Key, page: PageRef) {
        if let Some(inner) = self.wanted(|options| options.timeline || options.watched) {
            inner.take(key, NoteKind::Watched(page));
        }
    }

    /// A version was written to a page's socket, so long after this node received its event. Not set for a snapshot.
    pub fn pushed(&self, key: &Key, page: PageRef, version: u64, after: Option<Duration>) {
        let Some(inner) = self.wanted(|options| options.timeline) else {
            return;
        };
        // The last quarter is kept for what escalations depend on.
        if inner.queue.capacity() < inner.options.waiting_max / 4 {
            inner.metrics.notes_dropped(1);
            return;
        }
        let after_ms = after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
        inner.take(key, NoteKind::Pushed { page, version, after_ms });
    }

    /// A message of an order is in the dead letters.
    pub fn dead_lettered(&self, key: &Key, event_id: String, reason: &'static str) {
        if let Some(inner) = self.wanted(|options| options.timeline) {
            inner.take(key, NoteKind::DeadLettered { event_id, reason });
        }
    }

    /// So many events were committed: notes yield to them.
    pub fn committed(&self, events: usize) {
        if let Some(inner) = &self.inner {
            inner.committed_events.fetch_add(u64::try_from(events).unwrap_or(0), Ordering::Relaxed);
        }
    }

    fn wanted(&self, by: impl FnOnce(&TimelineOptions) -> bool) -> Option<&Inner> {
        self.inner.as_deref().filter(|inner| by(&inner.options))
    }
}

impl Inner {
    fn take(&self, key: &Key, what: NoteKind) {
        let note = Note { key: key.clone(), at_ms: unix_ms(), what };
        if self.queue.try_send(note).is_err() {
            self.metrics.notes_dropped(1);
        }
    }
}

/// Writes the notes that wait.
#[derive(Debug)]
#[must_use = "unless this runs, nobody writes the notes and their queue fills"]
pub struct TimelineWriter {
    inner: Arc<Inner>,
    waiting: mpsc::Receiver<Note>,
    /// Notes that the store has been given.
    under_way: usize,
    looked_at: Instant,
    seen_events: u64,
}

impl TimelineWriter {
    /// Writes until `tasks` are told to stop, and then what waits, within 5 s.
    pub async fn run(mut self, store: Arc<dyn PaymentStore>, tasks: Tasks) {
        // From the first: a store that hangs would hold a batch that was begun before.
        let late = async {
            tasks.stopping().await;
            sleep(STOP_LIMIT).await;
        };
        tokio::select! {
            () = self.work(&*store, &tasks) => return,
            () = late => {}
        }
        self.lose(self.under_way + self.waiting.len(), "the store did not accept them in time");
    }

    async fn work(&mut self, store: &dyn PaymentStore, tasks: &Tasks) {
        let mut batch = Vec::new();
        while !tasks.is_stopping() {
            let first = tokio::select! {
                () = tasks.stopping() => break,
                first = self.waiting.recv() => first,
            };
            tasks.rest(GATHER).await;
            let Step { notes_max, .. } = self.step();
            batch = self.fill(first, notes_max);
            while !batch.is_empty() && !tasks.is_stopping() {
                let began = Instant::now();
                self.write(batch, store, tasks).await;
                let step = self.step();
                tasks.rest((began.elapsed() * step.pause).min(PAUSE_MAX)).await;
                batch = self.fill(None, step.notes_max);
            }
        }
        self.finish(batch, store, tasks).await;
    }

    async fn finish(&mut self, mut batch: Vec<Note>, store: &dyn PaymentStore, tasks: &Tasks) {
        if batch.is_empty() {
            batch = self.fill(None, CALM.notes_max);
        }
        while !batch.is_empty() {
            self.write(batch, store, tasks).await;
            batch = self.fill(None, CALM.notes_max);
        }
    }

    fn fill(&mut self, first: Option<Note>, notes_max: usize) -> Vec<Note> {
        let mut batch = Vec::from_iter(first);
        while batch.len() < notes_max
            && let Ok(note) = self.waiting.try_recv()
        {
            batch.push(note);
        }
        batch
    }

    async fn write(&mut self, batch: Vec<Note>, store: &dyn PaymentStore, tasks: &Tasks) {
        self.under_way = batch.len();
        self.try_to_write(batch, store, tasks).await;
    }

    /// In parts where one note may be in the way: the notes of one order that cannot be written must not take those of
    /// others with them.
    async fn try_to_write(&mut self, batch: Vec<Note>, store: &dyn PaymentStore, tasks: &Tasks) {
        let (mut pieces, mut retries) = (Pieces::of(batch), Retries::default());
        while let Some(piece) = pieces.take_next() {
            match retries.record(&piece, store, tasks).await {
                Ok(()) => self.under_way -= piece.len(),
                Err(error) if error.may_be_of_one_row() => {
                    let Some(note) = pieces.divide(piece) else { continue };
                    let Key { merchant_id, order_id } = &note.key;
                    warn!(%merchant_id, %order_id, %error, "a note of this order cannot be written");
                    self.inner.metrics.notes_dropped(1);
                    self.under_way -= 1;
                }
                Err(error) => {
                    let left = std::mem::take(&mut self.under_way);
                    return self.lose(left, &error.to_string());
                }
            }
        }
    }

    fn lose(&self, notes: usize, reason: &str) {
        self.inner.metrics.notes_dropped(u64::try_from(notes).unwrap_or(0));
        warn!(notes, reason, "notes are lost");
    }

    /// By the quarters of the queue that are full.
    fn step(&mut self) -> Step {
        if !self.is_busy() {
            return CALM;
        }
        let quarters = self.waiting.len().saturating_mul(BUSY.len()) / self.inner.options.waiting_max.max(1);
        BUSY[quarters.min(BUSY.len() - 1)]
    }

    /// Whether many events were committed since the last look.
    fn is_busy(&mut self) -> bool {
        let (now, events) = (Instant::now(), self.inner.committed_events.load(Ordering::Relaxed));
        let seconds = now.duration_since(self.looked_at).as_secs_f64().max(0.001);
        let since = u32::try_from(events.saturating_sub(self.seen_events)).unwrap_or(u32::MAX);
        (self.looked_at, self.seen_events) = (now, events);
        f64::from(since) / seconds > BUSY_EVENTS_PER_S
    }
}

/// Of one batch, whatever its parts.
#[derive(Debug)]
struct Retries {
    failures: u32,
    backoff: Backoff,
}

impl Default for Retries {
    fn default() -> Self {
        Self { failures: 0, backoff: Backoff::new(RETRY_FIRST, RETRY_LONGEST) }
    }
}

impl Retries {
    /// Gives the store these notes, and again while it is a fault of the store as a whole that may pass.
    async fn record(&mut self, notes: &[Note], store: &dyn PaymentStore, tasks: &Tasks) -> Result<(), Error> {
        let mut is_repeated = false;
        loop {
            let error = match store.record(notes.to_vec()).await {
                Ok(()) => {
                    if is_repeated {
                        info!("notes are written again");
                    }
                    return Ok(());
                }
                Err(error) if error.may_be_of_one_row() || matches!(error, Error::Closed) => return Err(error),
                Err(error) => error,
            };
            self.failures += 1;
            if self.failures >= ATTEMPTS_MAX || (tasks.is_stopping() && self.failures > 1) {
                return Err(error);
            }
            if self.failures == 1 {
                warn!(%error, "notes cannot be written, retrying");
            }
            is_repeated = true;
            tasks.rest(self.backoff.wait()).await;
        }
    }
}
