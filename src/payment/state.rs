//! The merge rule: a payment is the greatest of its events under one total order, so that any order and any repetition
//! of the same events ends in the same state.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::conflict::{Conflicts, Evidence};
use super::refund::RefundMark;
use super::{Display, Event, EventId, Key, Money, Rank, Reason, Refund, Status, Timestamp};

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
    /// The event id is known with another status, amount or refund. Nothing was changed: the publisher has given two
    /// events one id, and must learn of it.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merged {
    /// What became of the event.
    pub change: Change,
    /// Conflicts that were not known before this event.
    pub conflicts: Conflicts,
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
}

impl Fingerprint {
    fn of(event: &Event) -> Self {
        let id = Sha256::digest(event.event_id.as_str().as_bytes());
        let mut content = Sha256::new();
        content.update(event.status.as_str());
        for amount in [event.amount, event.refund.and_then(|r| r.amount)] {
            content.update(amount.map_or(-1, |m| m.value()).to_be_bytes());
            content.update(amount.map_or_else(String::new, |m| m.currency().into()));
            content.update([0]);
        }
        content.update(event.refund.map_or("", |r| r.status.as_str()));
        let content = content.finalize();
        Self {
            id: u64::from_be_bytes(std::array::from_fn(|i| id[i])),
            content: u32::from_be_bytes(std::array::from_fn(|i| content[i])),
        }
    }
}

impl State {
    /// The state after a payment's first event: version 1.
    #[must_use]
    pub fn first(event: Event) -> Self {
        let mut evidence = Evidence::default();
        evidence.add(event.status, &event.occurred_at);
        let seen = vec![Fingerprint::of(&event)];
        Self { version: 1, refund: mark(&event), head: event, evidence, seen }
    }

    /// Merges one more event of the same payment.
    pub fn merge(&mut self, event: Event) -> Merged {
        let fingerprint = Fingerprint::of(&event);
        if let Some(known) = self.seen.iter().find(|seen| seen.id == fingerprint.id) {
            let change = if *known == fingerprint { Change::Duplicate } else { Change::IdReused };
            return Merged { change, conflicts: Conflicts::default() };
        }
        if self.seen.len() >= SEEN_EVENTS_MAX {
            self.seen.remove(0);
        }
        self.seen.push(fingerprint);

        let before = self.evidence.conflicts();
        self.evidence.add(event.status, &event.occurred_at);
        let conflicts = self.evidence.conflicts().without(before);

        let mut grew = false;
        if let Some(refund) = mark(&event)
            && self.refund.as_ref().is_none_or(|current| refund.beats(current))
        {
            self.refund = Some(refund);
            grew = true;
        }
        if beats(&event, &self.head) {
            self.head = event;
            grew = true;
        }
        if grew {
            self.version += 1;
        }
        Merged { change: if grew { Change::Applied } else { Change::Stale }, conflicts }
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
        self.head.provider_transaction_id.as_deref().into_iter()
    }

    /// All conflicts among the payment's events.
    #[must_use]
    pub fn conflicts(&self) -> Conflicts {
        self.evidence.conflicts()
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
