//! The merge rule: a payment is the greatest of its events under one total order, so that any order and any repetition
//! of the same events ends in the same state.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::evidence::{Evidence, Found};
use super::refund::RefundMark;
use super::{Claim, Conflicts, Display, Event, EventId, Key, Money, Rank, Reason, Refund, Status, Timestamp};

/// How many event ids of one payment are remembered. Past that the oldest is forgotten, and a repetition of it is then
/// `Stale` instead of `Duplicate`: the merge itself needs no memory.
const SEEN_EVENTS_MAX: usize = 128;

/// What an event did to its payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// The state grew, and the version with it.
    Applied,
    /// The event id is known, with the same content.
    Duplicate,
    /// A greater event is known already.
    Stale,
    /// The event id is known with another status, amount, refund or (of a final event) provider's number. Nothing was
    /// changed: the publisher has given two events one id, and must learn of it.
    IdReused,
}

impl Change {
    /// Each of them, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::Applied, Self::Duplicate, Self::Stale, Self::IdReused];

    /// The label in metrics, traces and timelines.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Duplicate => "duplicate",
            Self::Stale => "stale",
            Self::IdReused => "id_reused",
        }
    }
}

/// The answer of [`State::merge`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// What became of the event.
    pub change: Change,
    /// Conflicts that were not known before this event. `paid_twice` counts as not known for each further attempt that
    /// succeeded, `amount_differs` for each further amount.
    pub conflicts: Conflicts,
    /// What contradicts each other by those, the event's own claim among it, in order of time. Empty where nothing does.
    pub claims: Vec<Claim>,
}

impl Merged {
    /// Of a payment's first event, which contradicts nothing.
    pub const FIRST: Self = Self::without_conflict(Change::Applied);

    const fn without_conflict(change: Change) -> Self {
        Self { change, conflicts: Conflicts::NONE, claims: Vec::new() }
    }
}

/// A payment as pages see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Whose, and which.
    pub key: Key,
    /// 1 for the first accepted event, one more for each accepted change.
    pub version: u64,
    /// The status.
    pub status: Status,
    /// When the event that decides the status happened.
    pub occurred_at: Timestamp,
    /// The amount.
    pub amount: Option<Money>,
    /// The payment provider.
    pub provider: Option<Box<str>>,
    /// The refund.
    pub refund: Option<Refund>,
    /// The reason for the status.
    pub reason: Option<Reason>,
    /// The publisher's own words for the page.
    pub display: Option<Display>,
}

impl Payment {
    /// True where a page may stop waiting.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.status.is_final()
    }
}

/// Everything that has to be kept of a payment's events. A store keeps it as it is and never looks inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    version: u64,
    head: Event,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refund: Option<RefundMark>,
    evidence: Evidence,
    seen: Vec<Fingerprint>,
}

/// Of an event id, and of what must not differ between two events of that id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Fingerprint {
    id: u64,
    content: u32,
    /// Of the provider's number of a final event that does not decide the status: its claim may have gone into that of
    /// another event, and nothing else knows the number by this id then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    transaction: Option<u32>,
}

impl Fingerprint {
    fn of(event: &Event) -> Self {
        let mut content = Sha256::new();
        content.update(event.status.as_str());
        for amount in [event.amount, event.refund.and_then(|r| r.amount)] {
            content.update(amount.map_or(-1, |m| m.value()).to_be_bytes());
            content.update(amount.map_or_else(String::new, |m| m.currency().into()));
            content.update([0]);
        }
        content.update(event.refund.map_or("", |r| r.status.as_str()));
        Self { id: event.event_id.digest(), content: first_four(&content.finalize()), transaction: None }
    }
}

fn transaction_of(event: &Event) -> Option<u32> {
    let transaction = event.provider_transaction_id.as_deref()?;
    (event.status.is_final() && !transaction.is_empty()).then(|| first_four(&Sha256::digest(transaction.as_bytes())))
}

fn first_four(digest: &[u8]) -> u32 {
    u32::from_be_bytes(std::array::from_fn(|i| digest[i]))
}

impl State {
    /// The state after a payment's first event: version 1.
    #[must_use]
    pub fn first(event: Event) -> Self {
        let (evidence, seen) = (Evidence::first(&event), vec![Fingerprint::of(&event)]);
        Self { version: 1, refund: mark(&event), head: event, evidence, seen }
    }

    /// Merges one more event of the same payment.
    pub fn merge(&mut self, event: Event) -> Merged {
        let fingerprint = Fingerprint::of(&event);
        if let Some(known) = self.seen.iter().find(|seen| seen.id == fingerprint.id) {
            let is_repeated = known.content == fingerprint.content && !self.has_other_transaction(&event, *known);
            let change = if is_repeated { Change::Duplicate } else { Change::IdReused };
            return Merged::without_conflict(change);
        }
        if self.seen.len() >= SEEN_EVENTS_MAX {
            self.seen.remove(0);
        }
        self.seen.push(fingerprint);

        let is_final = event.status.is_final();
        let Found { conflicts, claims } = self.evidence.add(&self.head, &event);
        let mut grew = false;
        if let Some(refund) = mark(&event)
            && self.refund.as_ref().is_none_or(|current| refund.beats(current))
        {
            self.refund = Some(refund);
            grew = true;
        }
        let beaten = match beats(&event, &self.head) {
            true => {
                grew = true;
                std::mem::replace(&mut self.head, event)
            }
            false => event,
        };
        self.keep_transaction(&beaten);
        if grew {
            self.version += 1;
        }
        if is_final {
            self.evidence.fold(&self.head);
        }
        Merged { change: if grew { Change::Applied } else { Change::Stale }, conflicts, claims }
    }

    fn keep_transaction(&mut self, beaten: &Event) {
        let Some(transaction) = transaction_of(beaten) else { return };
        let id = beaten.event_id.digest();
        if let Some(seen) = self.seen.iter_mut().find(|seen| seen.id == id) {
            seen.transaction = Some(transaction);
        }
    }

    /// True where the same event id, `known`, is remembered with another provider's number.
    fn has_other_transaction(&self, event: &Event, known: Fingerprint) -> bool {
        let Some(transaction) = event.provider_transaction_id.as_deref() else { return false };
        let differs = |known: Option<&str>| known.is_some_and(|known| known != transaction);
        let mut claims = self.evidence.claims().iter();
        let is_head = event.status.is_final() && event.event_id == self.head.event_id;
        (is_head && differs(self.head.provider_transaction_id.as_deref()))
            || known.transaction.is_some_and(|known| transaction_of(event).is_some_and(|other| other != known))
            || claims.any(|claim| claim.event_id.as_ref() == Some(&event.event_id) && differs(claim.transaction()))
    }

    /// Whose payment, and which.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.head.key
    }

    /// The number of accepted changes.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The number of events that are remembered.
    #[must_use]
    pub fn events(&self) -> usize {
        self.seen.len()
    }

    /// The event that decides the status.
    #[must_use]
    pub fn head_event_id(&self) -> &EventId {
        &self.head.event_id
    }

    /// True where a page may stop waiting.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.head.status.is_final()
    }

    /// The provider's own number, as in that event.
    #[must_use]
    pub fn provider_transaction_id(&self) -> Option<&str> {
        self.head.provider_transaction_id.as_deref()
    }

    /// Every provider's number that is remembered, each once: first that of the event that decides the status.
    pub fn transactions(&self) -> impl Iterator<Item = &str> {
        let claims = self.evidence.claims();
        let claimed = claims.iter().enumerate().filter_map(move |(n, claim)| {
            let transaction = claim.transaction()?;
            let is_repeated = claims[..n].iter().any(|before| before.transaction() == Some(transaction));
            (!is_repeated && self.provider_transaction_id() != Some(transaction)).then_some(transaction)
        });
        self.provider_transaction_id().filter(|id| !id.is_empty()).into_iter().chain(claimed)
    }

    /// All conflicts among the payment's events.
    #[must_use]
    pub fn conflicts(&self) -> Conflicts {
        self.evidence.conflicts(&self.head)
    }

    /// The payment as pages see it.
    #[must_use]
    pub fn payment(&self) -> Payment {
        let head = &self.head;
        Payment {
            key: head.key.clone(),
            version: self.version,
            status: head.status,
            occurred_at: head.occurred_at.clone(),
            amount: head.amount,
            provider: head.provider.clone(),
            refund: self.refund.as_ref().map(|mark| mark.refund),
            reason: head.reason.clone(),
            display: head.display.clone(),
        }
    }
}

fn mark(event: &Event) -> Option<RefundMark> {
    event.refund.map(|refund| RefundMark {
        refund,
        occurred_at: event.occurred_at.clone(),
        event_id: event.event_id.clone(),
    })
}

/// The total order: rank first; among open events the later wins, among final ones the earlier; then the greater id.
fn beats(event: &Event, head: &Event) -> bool {
    let by_time = match event.status.rank() {
        Rank::Open => event.occurred_at.cmp(&head.occurred_at),
        Rank::Closed | Rank::Succeeded => head.occurred_at.cmp(&event.occurred_at),
    };
    let order = event.status.rank().cmp(&head.status.rank()).then(by_time);
    order.then_with(|| event.event_id.cmp(&head.event_id)).is_gt()
}
