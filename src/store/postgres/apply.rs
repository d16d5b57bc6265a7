//! Batches of events, and what pages have shown.

use std::collections::HashSet;

use super::fault::Fault;
use super::gatherer::Answer;
use super::keys::Keys;
use super::options::Settings;
use super::pool::Pool;
use super::session::Session;
use super::unanswered::Lost;
use super::{rows, save};
use crate::payment::{Change, EventId, Key};
use crate::runtime::unix_ms;
use crate::store::ledger::Did;
use crate::store::pieces::Pieces;
use crate::store::{Acknowledgement, Applied, Arrival, Error, Outcome, PageRef};

/// Applies a batch as one transaction, or as more where one row stands in the way of the others.
pub(super) async fn apply(
    pool: &Pool,
    settings: &Settings,
    lost: &Lost,
    batch: Vec<Arrival>,
) -> Result<Vec<Applied>, Error> {
    let mut applied = Vec::with_capacity(batch.len());
    let (mut pieces, mut did) = (Pieces::of(batch), Vec::new());
    while let Some(piece) = pieces.take_next() {
        let batch = &piece;
        match pool.run(|session| apply_once(session, settings, lost, batch)).await {
            Ok(of_piece) => {
                if !pieces.is_empty() {
                    did.extend(stored(&piece, &of_piece, lost));
                }
                applied.extend(of_piece);
            }
            Err(error) if error.may_be_of_one_row() => {
                if pieces.divide(piece).is_some() {
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

async fn apply_once(
    session: Session,
    settings: &Settings,
    lost: &Lost,
    batch: &[Arrival],
) -> Result<Vec<Applied>, Fault> {
    let keys = Keys::new(batch.iter().map(|arrival| &arrival.event.key));
    let (mut ledger, watched) = rows::make(&session, settings, &keys, unix_ms()).await?;
    if !lost.events.is_empty() {
        let names = batch.iter().map(name);
        ledger.repeat(names.filter_map(|name| lost.events.get(&name).map(|did| (name, did))));
    }
    let mut applied = Vec::with_capacity(batch.len());
    for arrival in batch {
        let place = ledger.place(&arrival.event.key).ok_or(Fault::Overtaken)?;
        applied.push(ledger.apply(place, arrival, watched.contains(&arrival.event.key))?);
    }
    let commit = save::commit(&session, settings, &ledger);
    lost.events.during(|| stored(batch, &applied, lost), commit).await?;
    Ok(applied)
}

fn name(arrival: &Arrival) -> (Key, EventId) {
    (arrival.event.key.clone(), arrival.event.event_id.clone())
}

/// What is answered of no event again once it is stored. Of an event that is there more than once, the first.
fn stored(batch: &[Arrival], applied: &[Applied], lost: &Lost) -> Vec<((Key, EventId), Did)> {
    let mut did = Vec::new();
    for (arrival, applied) in batch.iter().zip(applied) {
        if let Ok(Outcome { change: change @ (Change::Applied | Change::Stale), conflicts, claims, payment }) = applied
        {
            let (conflicts, claims) = (*conflicts, claims.clone());
            let this = Did { change: *change, conflicts, claims, version: payment.version };
            let name = name(arrival);
            let before = lost.events.get(&name);
            did.push((name, before.unwrap_or(this)));
        }
    }
    did
}

/// A version that a page has shown.
pub(super) struct PageAck {
    pub(super) key: Key,
    pub(super) version: u64,
    pub(super) by: PageRef,
    pub(super) answer: Answer<Acknowledgement>,
}

/// Writes what waits as one transaction, and tells who waits for it.
pub(super) async fn acknowledge(pool: &Pool, settings: &Settings, lost: &Lost, acks: Vec<PageAck>) {
    let mut pieces = Pieces::of(acks);
    while let Some(acks) = pieces.take_next() {
        let piece = &acks;
        match pool.run(|session| acknowledge_once(session, settings, lost, piece)).await {
            Ok(answers) => acks.into_iter().zip(answers).for_each(|(ack, answer)| drop(ack.answer.send(answer))),
            // One row must not hold up the others.
            Err(error) if error.may_be_of_one_row() => {
                if let Some(alone) = pieces.divide(acks) {
                    drop(alone.answer.send(Err(error)));
                }
            }
            Err(error) => acks.into_iter().for_each(|ack| drop(ack.answer.send(Err(error.clone())))),
        }
    }
}

async fn acknowledge_once(
    session: Session,
    settings: &Settings,
    lost: &Lost,
    acks: &[PageAck],
) -> Result<Vec<Result<Acknowledgement, Error>>, Fault> {
    let keys = Keys::new(acks.iter().map(|ack| &ack.key));
    let mut ledger = rows::load(&session, settings, &keys, unix_ms(), rows::LOCK).await?;
    let mut answers = Vec::with_capacity(acks.len());
    let (lost, mut again) = (&lost.acknowledgements, HashSet::new());
    for PageAck { key, version, by, .. } in acks {
        let place = ledger.place(key).ok_or(Fault::Overtaken)?;
        let mut answer = ledger.acknowledge(place, *version, *by)?;
        let may_be_ours = matches!(answer, Ok(Acknowledgement::Known)) && lost.get(&(key.clone(), *version)).is_some();
        if may_be_ours && again.insert((key, version)) {
            answer = Ok(Acknowledgement::First);
        }
        answers.push(answer);
    }
    let first = || {
        let first = acks.iter().zip(&answers).filter(|(_, answer)| matches!(answer, Ok(Acknowledgement::First)));
        first.map(|(ack, _)| ((ack.key.clone(), ack.version), ())).collect()
    };
    lost.during(first, save::commit(&session, settings, &ledger)).await?;
    Ok(answers)
}
