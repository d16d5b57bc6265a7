//! Looks at the dead letters, one at a time. A look takes every message and hands it back, which counts as a delivery of
//! each. So nothing here looks unasked, and the page remembers the last one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::source::{DeadLetters, DeadLettersError, Listed, Replayed, Selection};
use crate::http::Problem;
use crate::runtime::unix_ms;

/// Of one answer, and of what the page remembers.
pub(in crate::operators) const LISTED_MAX: usize = 1000;
/// For the look before this one to end.
const TURN_WAIT: Duration = Duration::from_secs(15);
/// As `Listed` has them: anything else is no id.
const ID_CHARS: usize = 12;

/// The dead letters, one look at a time, and what the last whole look has seen. Clones share it.
#[derive(Clone)]
pub(in crate::operators) struct Looks {
    dead_letters: Arc<dyn DeadLetters>,
    queue: Arc<str>,
    turn: Arc<Semaphore>,
    last: Arc<Mutex<Option<Arc<Look>>>>,
}

/// A look that is remembered.
pub(in crate::operators) struct Look {
    pub(in crate::operators) at_ms: i64,
    pub(in crate::operators) listed: Listed,
}

impl Looks {
    pub(in crate::operators) fn new(dead_letters: Arc<dyn DeadLetters>, queue: String) -> Self {
        Self { dead_letters, queue: queue.into(), turn: Arc::new(Semaphore::new(1)), last: Arc::default() }
    }

    pub(in crate::operators) fn queue(&self) -> &str {
        &self.queue
    }

    /// The last look at all of them.
    pub(in crate::operators) fn last(&self) -> Option<Arc<Look>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember(&self, look: Option<Look>) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = look.map(Arc::new);
    }

    pub(in crate::operators) async fn list(&self, selection: &Selection, limit: usize) -> Result<Listed, Problem> {
        let _turn = self.turn().await?;
        Ok(self.dead_letters.list(selection, limit).await?)
    }

    /// Looks at all, and remembers.
    pub(in crate::operators) async fn look(&self) -> Result<(), Problem> {
        let listed = self.list(&Selection::default(), LISTED_MAX).await?;
        self.remember(Some(Look { at_ms: unix_ms(), listed }));
        Ok(())
    }

    pub(in crate::operators) async fn show(&self, id: &str, with_body: bool) -> Result<Value, Problem> {
        let id = checked(id)?;
        let _turn = self.turn().await?;
        self.dead_letters.show(id, with_body).await?.ok_or_else(absent)
    }

    /// The object of what was replayed.
    pub(in crate::operators) async fn replay(&self, id: &str, again: bool) -> Result<Value, Problem> {
        let id = checked(id)?;
        let _turn = self.turn().await?;
        let replayed = self.dead_letters.replay(id, again).await?;
        match replayed {
            Replayed::Done(dead_letter) => {
                tracing::info!(id, reason = dead_letter["reason"].as_str(), "dead letter replayed");
                self.forget(id);
                Ok(dead_letter)
            }
            Replayed::FailedAgain(dead_letter) if dead_letter["bad_for_good"] == true => {
                let detail = "the message itself is bad, and a replay would bring it back: have it published correctly, \
                              and discard this one (or set \"again\" to replay it all the same)";
                Err(Problem::new(StatusCode::CONFLICT, "bad_for_good", detail))
            }
            Replayed::FailedAgain(_) => {
                let detail = "it came back for the same reason after its last replay and was kept: \
                              set \"again\" to replay it all the same";
                Err(Problem::new(StatusCode::CONFLICT, "failed_again", detail))
            }
            Replayed::Refused(_, why) => {
                Err(Problem::new(StatusCode::CONFLICT, "not_published", format!("not published, and kept: {why}")))
            }
            Replayed::Absent => {
                self.forget(id);
                Err(absent())
            }
        }
    }

    /// The object of what was removed.
    pub(in crate::operators) async fn discard(&self, id: &str) -> Result<Value, Problem> {
        let id = checked(id)?;
        let _turn = self.turn().await?;
        let discarded = self.dead_letters.discard(id).await?;
        self.forget(id);
        let dead_letter = discarded.ok_or_else(absent)?;
        tracing::info!(id, reason = dead_letter["reason"].as_str(), "dead letter discarded");
        Ok(dead_letter)
    }

    /// Takes one out of what is remembered.
    fn forget(&self, id: &str) {
        let Some(last) = self.last() else { return };
        let mut listed = last.listed.clone();
        let Some(at) = listed.dead_letters.iter().position(|dead_letter| dead_letter["id"] == id) else { return };
        let dead_letter = listed.dead_letters.remove(at);
        if let Some(count) = dead_letter["reason"].as_str().and_then(|reason| listed.reasons.get_mut(reason)) {
            *count = count.saturating_sub(1);
        }
        listed.reasons.retain(|_, count| *count > 0);
        listed.selected = listed.selected.saturating_sub(1);
        self.remember(Some(Look { at_ms: last.at_ms, listed }));
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, Problem> {
        match tokio::time::timeout(TURN_WAIT, self.turn.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(Problem::unavailable("the dead letters are being read by another request")),
        }
    }
}

impl From<DeadLettersError> for Problem {
    fn from(error: DeadLettersError) -> Self {
        tracing::warn!(%error, "dead letters cannot be read");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "broker_unavailable", error.to_string())
    }
}

fn absent() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "unknown_dead_letter",
        "there is no dead letter with this id; it may have been replayed or discarded",
    )
}

/// Whole ids alone: the beginning of one may be that of another one later.
fn checked(id: &str) -> Result<&str, Problem> {
    let is_id = id.len() == ID_CHARS && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_id { Ok(id) } else { Err(absent()) }
}
