//! What changes payments: batches of events, what pages have shown, and results that nobody has shown.

use tokio::sync::oneshot;

use super::Settings;
use super::fault::Fault;
use super::keys::Keys;
use super::pool::{Pool, Session, Work};
use super::rows::Rows;
use super::told::Told;
use crate::payment::Key;
use crate::runtime::unix_ms;
use crate::store::pieces::Pieces;
use crate::store::{Acknowledgement, Applied, Arrival, Error, PageRef};

/// Where an answer goes.
pub(super) type Answer<T> = oneshot::Sender<Result<T, Error>>;

/// One batch of events.
struct Apply<'a> {
    settings: &'a Settings,
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
            outcomes.push(rows.apply(arrival, &mut told)?);
        }
        rows.commit(session, &told).await?;
        Ok(outcomes)
    }
}

/// Applies a batch as one transaction, or as more where one row stands in the way of the others.
pub(super) async fn apply(pool: &Pool, settings: &Settings, batch: Vec<Arrival>) -> Result<Vec<Applied>, Error> {
    let mut applied = Vec::with_capacity(batch.len());
    let mut pieces = Pieces::of(batch);
    while let Some(batch) = pieces.next() {
        let apply = Apply { settings, batch };
        match pool.run(&apply).await {
            Ok(of_piece) => applied.extend(of_piece),
            Err(error) if error.may_be_of_one_row() => {
                if pieces.divide(apply.batch).is_some() {
                    applied.push(Err(error));
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(applied)
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
    shown: &'a [Shown],
}

impl Work for Acknowledge<'_> {
    type Answer = Vec<Result<Acknowledgement, Error>>;

    async fn attempt(&self, session: &Session) -> Result<Self::Answer, Fault> {
        let mut told = Told::new(self.settings, unix_ms());
        let mut rows = Rows::lock(session, &Keys::new(self.shown.iter().map(|shown| &shown.key))).await?;
        let mut answers = Vec::with_capacity(self.shown.len());
        for Shown { key, version, by, .. } in self.shown {
            answers.push(rows.acknowledge(key, *version, *by, &mut told)?);
        }
        rows.commit(session, &told).await?;
        Ok(answers)
    }
}

/// Writes what waits as one transaction, and tells who waits for it.
pub(super) async fn acknowledge(pool: &Pool, settings: &Settings, shown: Vec<Shown>) {
    let mut pieces = Pieces::of(shown);
    while let Some(shown) = pieces.next() {
        match pool.run(&Acknowledge { settings, shown: &shown }).await {
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
