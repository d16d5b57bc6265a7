//! What was confirmed, what each page was shown, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Shared by publishers and pages.
pub(crate) struct Book {
    http: Mutex<SocketAddr>,
    stopping: AtomicBool,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    /// Each order with its events, ascending, and when each was confirmed.
    confirmed: BTreeMap<String, Vec<(u64, Instant)>>,
    /// What was published and cannot be understood.
    poison: BTreeSet<String>,
    pages: Vec<Account>,
    violations: Vec<String>,
}

/// What one page was shown.
struct Account {
    what: String,
    pushed: bool,
    order: String,
    version: u64,
    /// The newest event that it was shown, and when it was shown first.
    shown: Vec<(u64, Instant)>,
}

impl Book {
    pub(crate) fn new(http: SocketAddr) -> Self {
        Self { http: Mutex::new(http), stopping: AtomicBool::new(false), entries: Mutex::default() }
    }

    pub(crate) fn http(&self) -> SocketAddr {
        *self.http.lock().expect("no panic while locked")
    }

    pub(crate) fn set_http(&self, http: SocketAddr) {
        *self.http.lock().expect("no panic while locked") = http;
    }

    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(crate) fn event_confirmed(&self, order: &str, n: u64) {
        let now = Instant::now();
        self.with(|entries| entries.confirmed.entry(order.to_owned()).or_default().push((n, now)));
    }

    pub(crate) fn poison_confirmed(&self, id: String) {
        self.with(|entries| entries.poison.insert(id));
    }

    /// A page that is going to wait: its number.
    pub(crate) fn add_page(&self, what: &str, order: &str) -> usize {
        let (pushed, what, order) = (what != "poll", format!("{what} of {order}"), order.to_owned());
        let account = Account { what, pushed, order, version: 0, shown: Vec::new() };
        self.with(|entries| {
            entries.pages.push(account);
            entries.pages.len() - 1
        })
    }

    /// A page was shown a payment. `null` and version 0 stand for an order that was never heard of.
    pub(crate) fn shown(&self, page: usize, payment: &Value) {
        let version = payment["version"].as_u64().unwrap_or(0);
        let n = payment["display"]["n"].as_u64();
        let now = Instant::now();
        self.with(|entries| {
            let Entries { pages, violations, .. } = entries;
            let account = &mut pages[page];
            let newest = account.shown.last().map(|(n, _)| *n);
            if version < account.version {
                violations.push(format!("{}: version {version} after {}", account.what, account.version));
            } else if version == account.version && version > 0 && n != newest {
                violations.push(format!("{}: version {version} is event {n:?} and {newest:?}", account.what));
            } else if version > account.version {
                if n <= newest {
                    violations.push(format!("{}: version {version} is event {n:?} after {newest:?}", account.what));
                }
                account.version = version;
                account.shown.extend(n.map(|n| (n, now)));
            }
        });
    }

    /// The version that a page was shown last.
    pub(crate) fn shown_version(&self, page: usize) -> u64 {
        self.with(|entries| entries.pages[page].version)
    }

    /// A page was refused what it may have, or told nonsense.
    pub(crate) fn violation(&self, page: usize, what: &str) {
        self.with(|entries| {
            let text = format!("{}: {what}", entries.pages[page].what);
            entries.violations.push(text);
        });
    }

    /// Whether each page was shown an event that was confirmed since.
    pub(crate) fn all_pages_shown_since(&self, since: Instant) -> bool {
        self.with(|entries| {
            entries.pages.iter().all(|page| {
                let events = entries.confirmed.get(&page.order).map(Vec::as_slice).unwrap_or_default();
                let first_since = events.get(events.partition_point(|(_, at)| *at <= since)).map(|(n, _)| *n);
                first_since.is_some_and(|n| page.shown.last().is_some_and(|(shown, _)| *shown > n))
            })
        })
    }

    pub(crate) fn all_pages_are_at_the_end(&self) -> bool {
        self.with(|entries| {
            let end = |page: &Account| entries.confirmed.get(&page.order)?.last().map(|(n, _)| *n);
            entries.pages.iter().all(|page| page.shown.last().map(|(n, _)| *n) == end(page))
        })
    }

    /// Events and poison.
    pub(crate) fn confirmed(&self) -> usize {
        self.with(|entries| entries.confirmed.values().map(Vec::len).sum::<usize>() + entries.poison.len())
    }

    /// Each order with its greatest event.
    pub(crate) fn expected(&self) -> BTreeMap<String, u64> {
        self.with(|entries| {
            let greatest = |events: &Vec<(u64, Instant)>| events.iter().map(|(n, _)| *n).max().unwrap_or(0);
            entries.confirmed.iter().map(|(order, events)| (order.clone(), greatest(events))).collect()
        })
    }

    pub(crate) fn poison(&self) -> BTreeSet<String> {
        self.with(|entries| entries.poison.clone())
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        self.with(|entries| entries.violations.clone())
    }

    /// The longest that an event which was confirmed since, or ever, or a newer one, was not shown to a page that waited for
    /// it. Pages that poll wait for their own next look, which says nothing of the service.
    pub(crate) fn pause_ms_since(&self, since: Option<Instant>) -> u128 {
        self.with(|entries| {
            let of_page = |page: &Account| {
                let events = entries.confirmed.get(&page.order).map(Vec::as_slice).unwrap_or_default();
                let mut shown = page.shown.iter().peekable();
                let mut longest = Duration::ZERO;
                let from = since.map_or(0, |since| events.partition_point(|(_, at)| *at <= since));
                for (n, confirmed_at) in &events[from..] {
                    while shown.next_if(|(shown_n, _)| shown_n < n).is_some() {}
                    if let Some((_, shown_at)) = shown.peek() {
                        longest = longest.max(shown_at.saturating_duration_since(*confirmed_at));
                    }
                }
                longest
            };
            entries.pages.iter().filter(|page| page.pushed).map(of_page).max().unwrap_or_default().as_millis()
        })
    }

    /// The longest between two changes that a page was shown, the time in which nothing could be published included.
    pub(crate) fn gap_ms(&self) -> u128 {
        self.with(|entries| {
            let gaps = entries
                .pages
                .iter()
                .filter(|page| page.pushed)
                .flat_map(|page| page.shown.windows(2).map(|two| two[1].1 - two[0].1));
            gaps.max().unwrap_or_default().as_millis()
        })
    }

    fn with<T>(&self, look: impl FnOnce(&mut Entries) -> T) -> T {
        look(&mut self.entries.lock().expect("no panic while locked"))
    }
}
