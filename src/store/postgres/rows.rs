//! The payments that one transaction touches: locked and read in one round trip, merged in memory, written back in another.
//!
//! Rows that are not there yet are made, empty, in the order of their keys; then all are locked in that order. Who makes
//! rows waits only for others that make rows or hold locks, who locks waits only for others that lock: no two wait for
//! each other.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use futures_util::future::{OptionFuture, join, join4};
use tokio_postgres::Row as SqlRow;
use tokio_postgres::types::ToSql;

use super::changed::Changed;
use super::fault::Fault;
use super::keys::{Keys, key, unsigned};
use super::pool::Session;
use super::told::Told;
use super::unanswered::{Did, Unanswered};
use crate::payment::{Change, EventId, Key, Merged, Payment, State};
use crate::store::entries;
use crate::store::escalating::Finality;
use crate::store::kept::{self, damaged};
use crate::store::outgoing::Envelope;
use crate::store::{Acknowledgement, Applied, Arrival, Error, EscalatedOrders, Outcome, PageRef};

const MAKE: &str = "
    INSERT INTO payments (merchant_id, order_id, version, status, final, created_ms, changed_ms, state)
    SELECT merchant_id, order_id, 0, '', false, $3, $3, ''
    FROM unnest($1::text[], $2::text[]) AS wanted (merchant_id, order_id)
    ON CONFLICT (merchant_id, order_id) DO NOTHING";

const LOCK: &str = "
    SELECT payments.merchant_id, payments.order_id, version, acked_version, settled_version, settled_ms, escalate_ms,
        escalated, state
    FROM unnest($1::text[], $2::text[]) AS wanted (merchant_id, order_id)
    JOIN payments ON payments.merchant_id = wanted.merchant_id AND payments.order_id = wanted.order_id
    ORDER BY payments.merchant_id, payments.order_id
    FOR UPDATE OF payments";

/// Takes what is due and waits for nobody: what another transaction holds, another node is about to decide.
const LOCK_DUE: &str = "
    SELECT merchant_id, order_id, version, acked_version, settled_version, settled_ms, escalate_ms, escalated, state
    FROM payments WHERE escalate_ms <= $1 AND (escalate_ms, merchant_id, order_id) > ($3, $4, $5)
    ORDER BY escalate_ms, merchant_id, order_id LIMIT $2
    FOR UPDATE SKIP LOCKED";

/// A place among rows: a time, merchant, order.
pub(super) type Place = (i64, String, String);

const WATCHED: &str = "
    SELECT watched.merchant_id, watched.order_id
    FROM unnest($1::text[], $2::text[]) AS wanted (merchant_id, order_id)
    JOIN watched ON watched.merchant_id = wanted.merchant_id AND watched.order_id = wanted.order_id";

/// One payment within the transaction.
pub(super) struct Row {
    /// Not there where the row was made by this transaction and no event was merged yet.
    pub(super) known: Option<(State, Arc<Payment>)>,
    pub(super) acked_version: u64,
    pub(super) settled: Finality,
    pub(super) changed: bool,
}

/// The payments of one transaction, locked until it ends.
pub(super) struct Rows {
    rows: BTreeMap<Key, Row>,
    /// Those that cannot be understood, and why.
    pub(super) damaged: BTreeMap<Key, Error>,
    /// Rows that name no order.
    pub(super) nameless: usize,
    /// Those for which a page has waited, where that matters.
    watched: HashSet<Key>,
    /// Events that an attempt before has stored, as far as it is told once.
    repeated: HashSet<(Key, EventId)>,
}

impl Rows {
    /// Begins the transaction, makes the rows that are missing, and locks all.
    pub(super) async fn make(session: &Session, keys: &Keys<'_>, told: &Told<'_>) -> Result<Self, Fault> {
        let client = session.client()?;
        let (make, lock) = (session.prepare(MAKE).await?, session.prepare(LOCK).await?);
        let watches = told.settings.escalation.orders == EscalatedOrders::Watched;
        let watched = session.prepare(WATCHED).await?;
        let Keys { merchant_ids, order_ids } = keys;
        let columns: [&(dyn ToSql + Sync); 2] = [merchant_ids, order_ids];
        // In this order: what is read of the watched is read after the locks were had.
        let (begun, made, locked, watched) = join4(
            session.begin(),
            client.execute(&make, &[merchant_ids, order_ids, &told.now_ms]),
            client.query(&lock, &columns),
            OptionFuture::from(watches.then(|| client.query(&watched, &columns))),
        )
        .await;
        begun?;
        made?;
        let mut rows = Self::decode(&locked?)?;
        for row in watched.transpose()?.unwrap_or_default() {
            rows.watched.insert(key(row.try_get(0)?, row.try_get(1)?)?);
        }
        // Removed between the two statements for its age: it is made in the next attempt.
        if rows.len() < merchant_ids.len() { Err(Fault::Overtaken) } else { Ok(rows) }
    }

    /// Begins the transaction and locks those that are there.
    pub(super) async fn lock(session: &Session, keys: &Keys<'_>) -> Result<Self, Fault> {
        let client = session.client()?;
        let lock = session.prepare(LOCK).await?;
        let (begun, locked) = join(session.begin(), client.query(&lock, &[&keys.merchant_ids, &keys.order_ids])).await;
        begun?;
        Self::decode(&locked?)
    }

    /// Begins the transaction and locks at most `rows_max` of those behind `after` that count as undelivered at `now_ms`.
    /// Answers the last of them too.
    pub(super) async fn lock_due(
        session: &Session,
        now_ms: i64,
        rows_max: i64,
        after: Option<Place>,
    ) -> Result<(Self, Option<Place>), Fault> {
        let client = session.client()?;
        let lock = session.prepare(LOCK_DUE).await?;
        let (after_ms, merchant_id, order_id) = after.unwrap_or((i64::MIN, String::new(), String::new()));
        let columns: [&(dyn ToSql + Sync); 5] = [&now_ms, &rows_max, &after_ms, &merchant_id, &order_id];
        let (begun, locked) = join(session.begin(), client.query(&lock, &columns)).await;
        begun?;
        let locked = locked?;
        let place = |row: &SqlRow| -> Result<Place, Fault> { Ok((row.try_get(6)?, row.try_get(0)?, row.try_get(1)?)) };
        Ok((Self::decode(&locked)?, locked.last().map(place).transpose()?))
    }

    /// Rows that were come upon.
    pub(super) fn len(&self) -> usize {
        self.rows.len() + self.damaged.len() + self.nameless
    }

    fn decode(found: &[SqlRow]) -> Result<Self, Fault> {
        let (mut rows, mut damaged, mut nameless) = (BTreeMap::new(), BTreeMap::new(), 0);
        for row in found {
            let Ok(key) = key(row.try_get(0)?, row.try_get(1)?) else {
                nameless += 1;
                continue;
            };
            match decode(&key, row) {
                Ok(row) => drop(rows.insert(key, row)),
                Err(Fault::Store(error)) => drop(damaged.insert(key, error)),
                Err(fault) => return Err(fault),
            }
        }
        Ok(Self { rows, damaged, nameless, watched: HashSet::new(), repeated: HashSet::new() })
    }

    /// Merges one event, unless its payment cannot be understood. What it did, if an attempt before has stored it whose
    /// answer was lost, is in `lost`.
    pub(super) fn apply(
        &mut self,
        arrival: &Arrival,
        lost: &Unanswered<(Key, EventId), Did>,
        told: &mut Told<'_>,
    ) -> Result<Applied, Fault> {
        let event = &arrival.event;
        if let Some(damage) = self.damaged.get(&event.key) {
            return Ok(Err(damage.clone()));
        }
        let row = self.rows.get_mut(&event.key).ok_or(Fault::Overtaken)?;
        let before = row.known.as_ref().map(|(_, payment)| payment.status);
        let (change, conflicts) = if let Some((state, payment)) = &mut row.known {
            let Merged { change, conflicts } = state.merge(event.clone());
            if change == Change::Applied {
                *payment = Arc::new(state.payment());
            }
            (change, conflicts)
        } else {
            let state = State::first(event.clone());
            let (conflicts, payment) = (state.conflicts(), Arc::new(state.payment()));
            row.known = Some((state, payment));
            (Change::Applied, conflicts)
        };
        let Some((_, payment)) = &row.known else { return Err(Fault::Overtaken) };
        // What was seen of a stale one has to be remembered.
        row.changed |= matches!(change, Change::Applied | Change::Stale);
        if change == Change::Applied {
            let watched = || Ok::<_, Fault>(arrival.watched || self.watched.contains(&event.key));
            row.settled.applied(before, payment, arrival.received_ms, told.settings.escalation, watched)?;
        }
        let at_ms = arrival.received_ms;
        if !conflicts.is_empty() {
            let envelope = Envelope { now_ms: at_ms, ..told.envelope() };
            told.message(envelope.conflict(payment, conflicts, &event.event_id)?);
        }
        let mut did = Did { change, conflicts, version: payment.version };
        if change == Change::Duplicate && !lost.is_empty() {
            let name = (event.key.clone(), event.event_id.clone());
            if let Some(before) = lost.get(&name)
                && self.repeated.insert(name)
            {
                did = before;
                told.again();
            }
        }
        let Did { change, conflicts, version } = did;
        told.entry(&event.key, at_ms, &entries::Told::arrived(event, arrival.redelivered, change, version))?;
        if !conflicts.is_empty() {
            told.entry(&event.key, at_ms, &entries::Told::conflict(event, conflicts))?;
        }
        Ok(Ok(Outcome { change, conflicts, payment: Arc::clone(payment) }))
    }

    /// Notes that a page has shown `version`, unless the payment cannot be understood.
    pub(super) fn acknowledge(
        &mut self,
        key: &Key,
        version: u64,
        by: PageRef,
        told: &mut Told<'_>,
    ) -> Result<Result<Acknowledgement, Error>, Fault> {
        if let Some(damage) = self.damaged.get(key) {
            return Ok(Err(damage.clone()));
        }
        let Some(row) = self.rows.get_mut(key) else { return Ok(Ok(Acknowledgement::NoSuchVersion)) };
        let Some((_, payment)) = &row.known else { return Ok(Ok(Acknowledgement::NoSuchVersion)) };
        if !(1..=payment.version).contains(&version) {
            return Ok(Ok(Acknowledgement::NoSuchVersion));
        }
        if version <= row.acked_version {
            return Ok(Ok(Acknowledgement::Known));
        }
        let settled = &mut row.settled;
        let of_result = settled.version > 0 && version >= settled.version;
        let ms = of_result.then(|| told.now_ms.saturating_sub(settled.at_ms).max(0));
        if settled.acknowledged(row.acked_version, version) {
            told.message(told.envelope().delivered(payment, version, by, settled.at_ms)?);
        }
        told.entry(key, told.now_ms, &entries::Told::acknowledged(by, version, ms))?;
        row.acked_version = version;
        row.changed = true;
        Ok(Ok(Acknowledgement::First))
    }

    /// Whether it has a row.
    pub(super) fn has(&self, key: &Key) -> bool {
        self.rows.contains_key(key) || self.damaged.contains_key(key)
    }

    /// A page began to wait.
    pub(super) fn watch(&mut self, key: &Key, at_ms: i64, told: &Told<'_>) {
        if let Some(row) = self.rows.get_mut(key) {
            row.changed |= row.settled.watched(row.acked_version, at_ms, told.settings.escalation);
        }
    }

    /// Puts `payment.undelivered` where it is due, and answers for which.
    pub(super) fn escalate(&mut self, now_ms: i64, told: &mut Told<'_>) -> Result<Vec<Key>, Fault> {
        let mut undelivered = Vec::new();
        for (key, row) in &mut self.rows {
            let Some((_, payment)) = &row.known else { continue };
            if row.settled.escalate(now_ms) {
                row.changed = true;
                told.message(told.envelope().undelivered(payment, row.settled.at_ms)?);
                told.entry(key, told.now_ms, &entries::Told::Undelivered { version: payment.version })?;
                undelivered.push(key.clone());
            }
        }
        Ok(undelivered)
    }

    /// Writes what changed and what is told of it, and commits.
    pub(super) async fn commit(self, session: &Session, told: &Told<'_>) -> Result<(), Fault> {
        let (changed, save) = (self.changed()?, session.prepare(super::changed::SAVE).await?);
        let statements = told.prepare(session).await?;
        let last = async {
            let saving = changed.save(session, &save, told.now_ms);
            let (saved, told) = join(saving, told.save(session, &statements)).await;
            saved.and(told)
        };
        session.commit(Box::pin(last)).await
    }

    fn changed(&self) -> Result<Changed<'_>, Fault> {
        let mut changed = Changed::default();
        for (key, row) in self.rows.iter().filter(|(_, row)| row.changed) {
            changed.push(key, row)?;
        }
        Ok(changed)
    }
}

fn decode(key: &Key, row: &SqlRow) -> Result<Row, Fault> {
    let known = match (row.try_get::<_, i64>(2)?, row.try_get(8)?) {
        (0, "") => None,
        (version, text) => {
            let state = kept::state(key, text)?;
            if state.version() != unsigned(version) {
                return Err(damaged(key, "two versions stand in its row").into());
            }
            let payment = Arc::new(state.payment());
            Some((state, payment))
        }
    };
    let settled = Finality {
        version: unsigned(row.try_get(4)?),
        at_ms: row.try_get(5)?,
        escalate_ms: row.try_get(6)?,
        escalated: row.try_get(7)?,
    };
    Ok(Row { known, acked_version: unsigned(row.try_get(3)?), settled, changed: false })
}
