//! Final results that no page has shown in time.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::Settings;
use super::fault::Fault;
use super::pool::{Pool, Session, Work};
use super::rows::{Place, Rows};
use super::told::Told;
use super::unanswered::Lost;
use crate::store::progress::Progress;
use crate::store::{Error, Escalated};

/// Payments passed over that one step tells of.
const LOGGED_MAX: usize = 4;

/// How far this node has looked through what is due.
pub(super) struct Due(Mutex<Progress<Place>>);

impl Due {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Progress::new()))
    }
}

/// One step.
struct Escalate<'a> {
    settings: &'a Settings,
    lost: &'a Lost,
    due: &'a Due,
    now_ms: i64,
    messages_max: usize,
    /// What is come upon is passed over: it cannot be written.
    passes: bool,
}

impl Work for Escalate<'_> {
    type Answer = Escalated;

    async fn attempt(&self, session: &Session) -> Result<Escalated, Fault> {
        let mut told = Told::new(self.settings, self.now_ms);
        let after = self.due.0.lock().unwrap_or_else(PoisonError::into_inner).place().cloned();
        let (mut rows, last) = Rows::lock_due(session, self.now_ms, super::most(self.messages_max), after).await?;
        let mut escalated = Escalated { done: rows.len() < self.messages_max, ..Escalated::default() };
        let mut undelivered = Vec::new();
        if self.passes {
            escalated.damaged = rows.len();
        } else {
            undelivered = rows.escalate(self.now_ms, &mut told)?;
            escalated.damaged = rows.damaged.len() + rows.nameless;
            for error in rows.damaged.values().take(LOGGED_MAX) {
                tracing::error!(%error, "a result that no page has acknowledged is skipped");
            }
        }
        let each = || undelivered.iter().map(|key| (key.clone(), ())).collect();
        self.lost.undelivered.during(each, rows.commit(session, &told)).await?;
        // What is left of attempts whose answer was lost is not due any more.
        escalated.messages = undelivered.len() + self.lost.undelivered.take().len();
        let mut due = self.due.0.lock().unwrap_or_else(PoisonError::into_inner);
        due.step(last, escalated.damaged, escalated.done, Instant::now());
        Ok(escalated)
    }
}

/// One step, and where one row stands in the way, one by one: what fails alone is passed over.
pub(super) async fn escalate(
    pool: &Pool,
    settings: &Settings,
    lost: &Lost,
    due: &Due,
    now_ms: i64,
    messages_max: usize,
) -> Result<Escalated, Error> {
    let all = Escalate { settings, lost, due, now_ms, messages_max, passes: false };
    match pool.run(&all).await {
        Err(error) if error.may_be_of_one_row() => {}
        escalated => return escalated,
    }
    let mut sum = Escalated::default();
    for _ in 0..messages_max {
        let one = Escalate { messages_max: 1, ..all };
        let step = match pool.run(&one).await {
            Err(error) if error.may_be_of_one_row() => {
                tracing::error!(%error, "a result that no page has acknowledged cannot be escalated");
                pool.run(&Escalate { passes: true, ..one }).await?
            }
            step => step?,
        };
        sum.messages += step.messages;
        sum.damaged += step.damaged;
        sum.done = step.done;
        if sum.done {
            break;
        }
    }
    Ok(sum)
}
