//! Final results that no page has shown in time.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::fault::Fault;
use super::options::Settings;
use super::pool::Pool;
use super::rows::{self, Due, Place};
use super::save;
use super::session::Session;
use super::unanswered::Lost;
use crate::store::ledger::{Progress, Swept};
use crate::store::pieces::sweep;
use crate::store::{Error, Escalated};

/// Payments passed over that one step tells of.
const LOGGED_MAX: usize = 4;

/// How far this node has looked through what is due.
pub(super) type DueProgress = Mutex<Progress<Place>>;

/// One step, and where one row stands in the way, row by row.
pub(super) async fn escalate(
    pool: &Pool,
    settings: &Settings,
    lost: &Lost,
    due: &DueProgress,
    now_ms: i64,
    messages_max: usize,
) -> Result<Escalated, Error> {
    let step = |messages_max, passes| {
        pool.run(move |session| step(session, settings, lost, due, Look { now_ms, messages_max, passes }))
    };
    Ok(sweep(messages_max, "a result that no page has acknowledged cannot be escalated", step).await?.into())
}

#[derive(Clone, Copy)]
struct Look {
    now_ms: i64,
    messages_max: usize,
    /// What is come upon is passed over: it cannot be written.
    passes: bool,
}

async fn step(
    session: Session,
    settings: &Settings,
    lost: &Lost,
    progress: &DueProgress,
    Look { now_ms, messages_max, passes }: Look,
) -> Result<Swept, Fault> {
    let after = progress.lock().unwrap_or_else(PoisonError::into_inner).place().cloned();
    let Due { mut ledger, rows, nameless, last } =
        rows::lock_due(&session, settings, now_ms, messages_max, after).await?;
    let mut swept = Swept { done: rows < messages_max, damaged: nameless, ..Swept::default() };
    let mut undelivered = Vec::new();
    if passes {
        swept.damaged = rows;
    } else {
        let keys: Vec<_> = ledger.rows().map(|(key, _)| key.clone()).collect();
        for key in keys {
            match ledger.escalate(&key, now_ms)? {
                Ok(true) => undelivered.push(key),
                Ok(false) => {}
                Err(error) => {
                    if swept.damaged < LOGGED_MAX {
                        tracing::error!(%error, "a result that no page has acknowledged is skipped");
                    }
                    swept.damaged += 1;
                }
            }
        }
    }
    let each = || undelivered.iter().map(|key| (key.clone(), ())).collect();
    lost.undelivered.during(each, save::commit(&session, settings, &ledger)).await?;
    // What is left of attempts whose answer was lost is not due any more.
    swept.rows = undelivered.len() + lost.undelivered.take().len();
    let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
    progress.step(last, swept.damaged, swept.done, Instant::now());
    Ok(swept)
}
