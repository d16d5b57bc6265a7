//! What changes payments: batches of events, and what pages have shown.

use std::collections::HashSet;

use tokio::sync::oneshot;

use super::Settings;
use super::fault::Fault;
use super::keys::Keys;
use super::pool::{Pool, Session, Work};
use super::rows::Rows;
use super::told::Told;
use super::unanswered::{Did, Lost};
use crate::payment::{Change, EventId, Key};
use crate::runtime::unix_ms;
use crate::store::pieces::Pieces;
use crate::store::{Acknowledgement, Applied, Arrival, Error, Outcome, PageRef};

/// Where an answer goes.
pub(super) type Answer<T> = oneshot::Sender<Result<T, Error>>;

/// One batch of events.
struct Apply<'a> {
    settings: &'a Settings,
    lost: &'a Lost,
    batch: Vec<Arrival>,
}

impl Work for Apply<'_> {
    type Answer = Vec<Applied>;

    async fn attempt(&self, session: &Session) -> Result<Vec<Applied>, Fault> {
        let mut told = Told::new(self.settings, unix_ms());
        let keys = Keys::new(self.batch.iter().map(|arrival| &arrival.event.key));
        let mut rows = Rows::make(session, &keys, &told).await?;
        let mut outcomes = Vec::with_capacity(self.batch.len());
        for arrival in &self.batch {
            outcomes.push(rows.apply(arrival, &self.lost.events, &mut told)?);
        }
        let commit = rows.commit(session, &told);
        self.lost.events.during(|| self.did(&outcomes), commit).await?;
        Ok(outcomes)
    }
}

/// Applies a batch as one transaction, or as more where one row stands in the way of the others.
pub(super) async fn apply(
    pool: &Pool,
    settings: &Settings,
    lost: &Lost,
    batch: Vec<Arrival>,
) -> Result<Vec<Applied>, Error> {
    let mut applied = Vec::with_capacity(batch.len());
    let (mut pieces, mut did) = (Pieces::of(batch), Vec::new());
    while let Some(batch) = pieces.take_next() {
        let apply = Apply { settings, lost, batch };
        match pool.run(&apply).await {
            Ok(of_piece) => {
                if !pieces.is_empty() {
                    did.extend(apply.did(&of_piece));
                }
                applied.extend(of_piece);
            }
            Err(error) if error.may_be_of_one_row() => {
                if pieces.divide(apply.batch).is_some() {
                    applied.push(Err(error));
                }
            }
            // What the pieces before did is not answered.
            Err(error) => {
                lost.events.keep(did);
                return Err(error);
            }
        }
    }
    Ok(applied)
}

impl Apply<'_> {
    /// What is told of no event again once it is stored. Of an event that is there more than once, the first.
    fn did(&self, applied: &[Applied]) -> Vec<((Key, EventId), Did)> {
        let mut did = Vec::new();
        for (arrival, applied) in self.batch.iter().zip(applied) {
            if let Ok(Outcome { change: change @ (Change::Applied | Change::Stale), conflicts, payment }) = applied {
                let name = (arrival.event.key.clone(), arrival.event.event_id.clone());
                let this = Did { change: *change, conflicts: *conflicts, version: payment.version };
                let before = self.lost.events.get(&name);
                did.push((name, before.unwrap_or(this)));
            }
        }
        did
    }
}

/// What a page has shown.
pub(super) struct Shown {
    pub(super) key: Key,
    pub(super) version: u64,
    pub(super) by: PageRef,
    pub(super) answer: Answer<Acknowledgement>,
}

/// What many pages have shown.
struct Acknowledge<'a> {
    settings: &'a Settings,
    lost: &'a Lost,
    shown: &'a [Shown],
}

impl Work for Acknowledge<'_> {
    type Answer = Vec<Result<Acknowledgement, Error>>;

    async fn attempt(&self, session: &Session) -> Result<Self::Answer, Fault> {
        let mut told = Told::new(self.settings, unix_ms());
        let mut rows = Rows::lock(session, &Keys::new(self.shown.iter().map(|shown| &shown.key))).await?;
        let mut answers = Vec::with_capacity(self.shown.len());
        let (lost, mut again) = (&self.lost.shown, HashSet::new());
        for Shown { key, version, by, .. } in self.shown {
            let mut answer = rows.acknowledge(key, *version, *by, &mut told)?;
            let may_be_ours =
                matches!(answer, Ok(Acknowledgement::Known)) && lost.get(&(key.clone(), *version)).is_some();
            if may_be_ours && again.insert((key, version)) {
                answer = Ok(Acknowledgement::First);
            }
            answers.push(answer);
        }
        let first = || self.first(&answers);
        lost.during(first, rows.commit(session, &told)).await?;
        Ok(answers)
    }
}

impl Acknowledge<'_> {
    fn first(&self, answers: &[Result<Acknowledgement, Error>]) -> Vec<((Key, u64), ())> {
        let each = self.shown.iter().zip(answers);
        let first = each.filter(|(_, answer)| matches!(answer, Ok(Acknowledgement::First)));
        first.map(|(shown, _)| ((shown.key.clone(), shown.version), ())).collect()
    }
}

/// Writes what waits as one transaction, and tells who waits for it.
pub(super) async fn acknowledge(pool: &Pool, settings: &Settings, lost: &Lost, shown: Vec<Shown>) {
    let mut pieces = Pieces::of(shown);
    while let Some(shown) = pieces.take_next() {
        match pool.run(&Acknowledge { settings, lost, shown: &shown }).await {
            Ok(answers) => shown.into_iter().zip(answers).for_each(|(shown, known)| drop(shown.answer.send(known))),
            // One row must not hold up the others.
            Err(error) if error.may_be_of_one_row() => {
                if let Some(alone) = pieces.divide(shown) {
                    drop(alone.answer.send(Err(error)));
                }
            }
            Err(error) => shown.into_iter().for_each(|shown| drop(shown.answer.send(Err(error.clone())))),
        }
    }
}
