//! One bit of the database file is another than was written. Whatever bit that is: never a wrong answer.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::join_all;
use payment_notifier::payment::{
    Currency, Display, Event, EventId, Key, MerchantId, Money, OrderId, Payment, Status, Timestamp,
};
use payment_notifier::store::{Error, EscalatedOrders, Escalation, Options, PaymentStore, Sqlite};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::value::RawValue;

use crate::ledger::row;

const PAYMENTS: usize = 1000;
const PAGE_BYTES: usize = 4096;

/// Bits of each page: one in its header, where the structure is, and some anywhere.
const FLIPS_A_PAGE: usize = 2;

/// A page cache of almost nothing, so that what is read comes from the file.
const OPTIONS: Options = Options {
    batch_events_max: 512,
    readers: 1,
    reads_waiting_max: 2048,
    cache_kib: 8,
    instance: String::new(),
    timeline: true,
    escalation: Escalation { after_ms: 60_000, orders: EscalatedOrders::All },
};

#[derive(Debug, Default)]
struct Tally {
    flips: usize,
    refused: usize,
    detected: usize,
    harmless: usize,
    /// Not found: what is not promised, see [`is_index_bookkeeping`].
    unseen: usize,
    wrong: Vec<String>,
}

impl Tally {
    fn print(&self, name: &str) {
        let Self { flips, refused, detected, harmless, unseen, wrong } = self;
        let wrong = wrong.len();
        row(&format!(
            "{name} runs={flips} lost=0 refused_at_start={refused} detected_on_read={detected} harmless={harmless} \
             not_promised={unseen} wrong={wrong}"
        ));
    }
}

/// A file as the service leaves it, and what it holds.
struct Truth {
    folder: tempfile::TempDir,
    bytes: Vec<u8>,
    payments: Vec<Arc<Payment>>,
}

impl Truth {
    async fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("truth.db");
        let store = open(&path).unwrap();
        let mut payments = Vec::new();
        // Several commits, and orders that do not come in the order of their names.
        for batch in 0..4 {
            let events = (0..PAYMENTS / 4).map(|n| event(n * 7919 % PAYMENTS * 4 + batch)).collect();
            let outcomes = store.apply_events(events).await.unwrap();
            payments.extend(outcomes.into_iter().map(|outcome| outcome.payment));
        }
        store.close().await;
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes.len() % PAGE_BYTES, 0);
        Self { folder, bytes, payments }
    }

    fn copy(&self, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join("damaged.db");
        fs::write(&path, bytes).unwrap();
        path
    }

    async fn open_and_read(&self, bytes: &[u8], what: &str, tally: &mut Tally) {
        tally.flips += 1;
        match open(&self.copy(bytes)) {
            Ok(store) => {
                self.read_all(&store, what, tally).await;
                store.close().await;
            }
            Err(_) => tally.refused += 1,
        }
    }

    /// Reads every payment. What is wrong and was not found to be damaged is noted.
    async fn read_all(&self, store: &Sqlite, what: &str, tally: &mut Tally) {
        let (mut damaged, mut wrong) = (0, String::new());
        let answers = join_all(self.payments.iter().map(|payment| store.read(&payment.key))).await;
        for (expected, answer) in self.payments.iter().zip(answers) {
            match answer {
                Ok(Some(payment)) if payment == *expected => {}
                Ok(other) => {
                    let other = other.map(|payment| (payment.version, payment.status, payment.amount));
                    write!(wrong, " {}: {other:?}", expected.key.order_id).unwrap();
                }
                Err(_) => damaged += 1,
            }
        }
        match (wrong.is_empty(), damaged) {
            (false, _) => tally.wrong.push(format!("{what}, {damaged} damaged, wrong:{wrong:.300}")),
            (true, 0) => tally.harmless += 1,
            (true, _) => tally.detected += 1,
        }
    }
}

fn open(path: &Path) -> Result<Sqlite, Error> {
    Sqlite::open(&format!("sqlite://{}", path.display()), OPTIONS)
}

fn event(n: usize) -> Event {
    let key = Key::new(MerchantId::new("shop").unwrap(), OrderId::new(&format!("order-{n:06}")).unwrap());
    let at = Timestamp::parse("2026-01-31T08:30:00.125+08:00").unwrap();
    let mut event = Event::new(key, EventId::new(&format!("event-{n}")).unwrap(), Status::Succeeded, at);
    let cny = Currency::new("CNY").unwrap();
    event.amount = Some(Money::new(1999 + i64::try_from(n).unwrap(), cny).unwrap());
    let display = format!("{{\"note\":\"{}\"}}", "x".repeat(n % 700));
    event.display = Some(Display::new(&serde_json::from_str::<Box<RawValue>>(&display).unwrap()));
    event
}

/// Places of the file, each page among them, with the bit that is flipped there.
fn places(bytes: &[u8]) -> Vec<(usize, u8)> {
    let mut random = StdRng::seed_from_u64(7);
    let mut places = Vec::new();
    for page in (0..bytes.len()).step_by(PAGE_BYTES) {
        for flip in 0..FLIPS_A_PAGE {
            let within = if flip == 0 { random.random_range(0..48) } else { random.random_range(0..PAGE_BYTES) };
            places.push((page + within, 1 << random.random_range(0..8)));
        }
    }
    places
}

/// Where a page of the index says how many entries it has, where they stand and which page comes next
/// (<https://sqlite.org/fileformat2.html#b_tree_pages>). Only a look through the whole file finds a fault there: entries are
/// gone as if they had never been.
fn is_index_bookkeeping(bytes: &[u8], place: usize) -> bool {
    let page = place / PAGE_BYTES * PAGE_BYTES;
    match bytes[page] {
        0x02 => true,
        0x0a => place - page < 8 + 2 * usize::from(u16::from_be_bytes([bytes[page + 3], bytes[page + 4]])),
        _ => false,
    }
}

fn named(place: usize, bit: u8) -> String {
    format!("page {} byte {} bit {bit:#04x}", place / PAGE_BYTES + 1, place % PAGE_BYTES)
}

#[tokio::test]
async fn a_bit_that_was_flipped_while_the_service_was_down_is_never_a_wrong_answer() {
    let truth = Truth::make().await;
    let mut tally = Tally::default();
    for (place, bit) in places(&truth.bytes) {
        let mut bytes = truth.bytes.clone();
        bytes[place] ^= bit;
        truth.open_and_read(&bytes, &named(place, bit), &mut tally).await;
    }
    // SQLite takes what is missing of the last page as zeros.
    for missing in [1, 2, 30, 500, 4000] {
        let bytes = &truth.bytes[..truth.bytes.len() - missing];
        truth.open_and_read(bytes, &format!("{missing} bytes cut off"), &mut tally).await;
    }
    tally.print("bit-flipped-while-down");
    assert!(tally.wrong.is_empty(), "{}", tally.wrong.join("\n"));
    assert!(tally.refused > 0 && tally.detected > 0, "{tally:?}");
}

#[tokio::test]
async fn a_bit_that_was_flipped_under_a_running_service_is_never_a_wrong_answer() {
    let truth = Truth::make().await;
    let mut tally = Tally::default();
    for (place, bit) in places(&truth.bytes) {
        let path = truth.copy(&truth.bytes);
        let store = open(&path).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.write_all_at(&[truth.bytes[place] ^ bit], u64::try_from(place).unwrap()).unwrap();
        tally.flips += 1;
        let before = tally.wrong.len();
        truth.read_all(&store, &named(place, bit), &mut tally).await;
        if is_index_bookkeeping(&truth.bytes, place) {
            tally.unseen += tally.wrong.len() - before;
            tally.wrong.truncate(before);
        }
        store.close().await;
    }
    tally.print("bit-flipped-while-up");
    assert!(tally.wrong.is_empty(), "{}", tally.wrong.join("\n"));
    assert!(tally.detected > 0, "{tally:?}");
}
