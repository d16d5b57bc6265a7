//! What has to be remembered of all events so that a conflict is found whichever event of it comes first.

use serde::{Deserialize, Serialize};

use super::{Claim, Conflict, Conflicts, Event, Money, Status, Timestamp};

/// Claims of one payment that are told apart by their attempts, at most. The texts of each are bounded by
/// [`super::limits`].
pub const CLAIMS_MAX: usize = 32;

/// The evidence of one payment. Each part of it only ever moves one way, so that what is found is the same for every order
/// of arrival, and only grows.
///
/// The four times are of all attempts together: version 0.1.0 knows no others, and its nodes may share a database with this
/// one. `claims` tells attempts apart. It is empty where it would say no more than the payment's head and the times do,
/// which is so for nearly every payment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Evidence {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failed_last: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    canceled_last: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expired_last: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    succeeded_first: Option<Timestamp>,
    /// No two of them like each other; by precedence, the greatest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    claims: Vec<Claim>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    beyond: Option<Beyond>,
}

/// Of a payment that had more than [`CLAIMS_MAX`] claims: what differed among all that succeeded, as the least and the
/// greatest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Beyond {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    transactions: Option<(Box<str>, Box<str>)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    amounts: Option<(Money, Money)>,
}

/// What an event brought to light.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) conflicts: Conflicts,
    pub(super) claims: Vec<Claim>,
}

impl Evidence {
    /// The evidence of a payment's first event.
    pub(super) fn first(event: &Event) -> Self {
        let mut evidence = Self::default();
        evidence.note_time(event.status, &event.occurred_at);
        evidence
    }

    /// Adds what `event` claims. `head` is the event that decides the payment's status so far, `event` not counted.
    pub(super) fn add(&mut self, head: &Event, event: &Event) -> Found {
        let Some(claim) = Claim::of(event) else { return Found::default() };
        if !self.has_any() {
            // It becomes the head, which says it all.
            self.note_time(event.status, &event.occurred_at);
            return Found::default();
        }
        self.unfold(head);
        let (before, told_apart) = (self.conflicts_of_claims(), self.beyond.is_none());
        let known = self.claims.clone();
        self.note_time(event.status, &event.occurred_at);
        self.insert(claim.clone());
        let mut conflicts = self.conflicts_of_claims().without(before);
        if told_apart {
            conflicts = conflicts.with(told_again(&known, &claim));
        }
        if conflicts.is_empty() {
            return Found::default();
        }
        let by_attempt = self.beyond.is_none();
        let contradicts = |other: &Claim| !Conflict::between(other, &claim, by_attempt).common(conflicts).is_empty();
        let mut claims: Vec<Claim> = known.into_iter().filter(contradicts).collect();
        claims.push(claim);
        claims.sort_by(|one, other| {
            one.occurred_at.cmp(&other.occurred_at).then_with(|| one.event_id.cmp(&other.event_id))
        });
        Found { conflicts, claims }
    }

    /// Forgets what `head`, which decides the payment's status, says too. To be called after each [`Evidence::add`].
    pub(super) fn fold(&mut self, head: &Event) {
        if !self.claims.is_empty() && self.beyond.is_none() && self.claims == self.implied(head) {
            self.claims = Vec::new();
        }
    }

    /// All conflicts among the payment's events.
    pub(super) fn conflicts(&self, head: &Event) -> Conflicts {
        let mut whole = self.clone();
        whole.unfold(head);
        whole.conflicts_of_claims()
    }

    /// The claims that are told apart, but for what `head` says.
    pub(super) fn claims(&self) -> &[Claim] {
        &self.claims
    }

    fn has_any(&self) -> bool {
        let times = [&self.failed_last, &self.canceled_last, &self.expired_last, &self.succeeded_first];
        times.into_iter().any(Option::is_some)
    }

    fn note_time(&mut self, status: Status, at: &Timestamp) {
        let (time, is_earliest) = match status {
            Status::Failed => (&mut self.failed_last, false),
            Status::Canceled => (&mut self.canceled_last, false),
            Status::Expired => (&mut self.expired_last, false),
            Status::Succeeded => (&mut self.succeeded_first, true),
            Status::Pending | Status::RequiresAction | Status::Processing | Status::Authorized => return,
        };
        let moves = time.as_ref().is_none_or(|known| if is_earliest { at < known } else { at > known });
        if moves {
            *time = Some(at.clone());
        }
    }

    /// The claims that the head and the times imply, by precedence. A time that is not the head's is of an attempt that is
    /// not known.
    fn implied(&self, head: &Event) -> Vec<Claim> {
        let mut implied = Self::default();
        if let Some(claim) = Claim::of(head) {
            implied.insert(claim);
        }
        let closed = [
            (Status::Failed, &self.failed_last),
            (Status::Canceled, &self.canceled_last),
            (Status::Expired, &self.expired_last),
        ];
        for (status, last) in closed {
            if let Some(at) = last
                && !(head.status == status && head.occurred_at == *at)
            {
                implied.insert(Claim::bare(status, at.clone()));
            }
        }
        implied.claims
    }

    fn unfold(&mut self, head: &Event) {
        if self.claims.is_empty() {
            self.claims = self.implied(head);
        }
    }

    fn insert(&mut self, claim: Claim) {
        if let Some(beyond) = &mut self.beyond {
            beyond.note(&claim);
        }
        if let Some(place) = self.claims.iter().position(|known| known.is_like(&claim)) {
            if claim.precedence(&self.claims[place]).is_le() {
                return;
            }
            self.claims.remove(place);
        }
        let place = self.claims.partition_point(|known| known.precedence(&claim).is_ge());
        self.claims.insert(place, claim);
        if self.claims.len() > CLAIMS_MAX {
            if self.beyond.is_none() {
                let mut beyond = Beyond::default();
                self.claims.iter().for_each(|claim| beyond.note(claim));
                self.beyond = Some(beyond);
            }
            self.claims.truncate(CLAIMS_MAX);
        }
    }

    fn conflicts_of_claims(&self) -> Conflicts {
        let Some(beyond) = &self.beyond else {
            let pairs =
                self.claims.iter().enumerate().flat_map(|(n, one)| {
                    self.claims[n + 1..].iter().map(move |other| Conflict::between(one, other, true))
                });
            return pairs.fold(Conflicts::NONE, Conflicts::with);
        };
        let mut found = self.conflicts_of_times();
        found.insert_if(Conflict::AttemptsExceeded, true);
        found.insert_if(Conflict::PaidTwice, beyond.transactions.as_ref().is_some_and(|(least, most)| least != most));
        found.insert_if(Conflict::AmountDiffers, beyond.amounts.is_some_and(|(least, most)| least != most));
        found
    }

    /// As if all were one attempt.
    fn conflicts_of_times(&self) -> Conflicts {
        let times = [
            (Status::Failed, &self.failed_last),
            (Status::Canceled, &self.canceled_last),
            (Status::Expired, &self.expired_last),
            (Status::Succeeded, &self.succeeded_first),
        ];
        let claims: Vec<Claim> =
            times.into_iter().filter_map(|(status, at)| Some(Claim::bare(status, at.clone()?))).collect();
        let pairs = claims.iter().flat_map(|one| claims.iter().map(|other| Conflict::between(one, other, false)));
        pairs.fold(Conflicts::NONE, Conflicts::with)
    }
}

impl Beyond {
    fn note(&mut self, claim: &Claim) {
        if !claim.has_succeeded() {
            return;
        }
        if let Some(id) = claim.transaction() {
            let (least, most) = self.transactions.get_or_insert_with(|| (id.into(), id.into()));
            if id < &**least {
                *least = id.into();
            } else if id > &**most {
                *most = id.into();
            }
        }
        if let Some(amount) = claim.amount {
            let (least, most) = self.amounts.get_or_insert((amount, amount));
            (*least, *most) = (amount.min(*least), amount.max(*most));
        }
    }
}

/// What is told of every further attempt that succeeded, and of every further amount, beside what was `known`.
fn told_again(known: &[Claim], claim: &Claim) -> Conflicts {
    let mut again = Conflicts::NONE;
    if !claim.has_succeeded() || known.iter().any(|known| known.is_like(claim)) {
        return again;
    }
    let found = known.iter().map(|known| Conflict::between(known, claim, true)).fold(Conflicts::NONE, Conflicts::with);
    let is_known = known.iter().any(|known| known.has_succeeded() && known.transaction() == claim.transaction());
    for conflict in found.iter() {
        match conflict {
            Conflict::PaidTwice => again.insert_if(conflict, !is_known),
            Conflict::AmountDiffers => again.insert_if(conflict, true),
            _ => {}
        }
    }
    again
}
