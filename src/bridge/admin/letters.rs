//! `/v1/dead-letters`: what an operator may ask of the dead letters, and what this side needs of whoever can reach them.
//! `app` joins it to the broker.
//!
//! A look takes every message and hands it back, which counts as a delivery of each. So looks are one at a time, nothing
//! here looks unasked, and the page remembers the last one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::super::error::Problem;
use super::Admin;
use super::words::rfc3339_ms;
use crate::runtime::{Object, unix_ms};

/// Of one answer, and of what the page remembers.
pub(super) const LISTED_MAX: usize = 1000;
/// For the look before this one to end.
const TURN_WAIT: Duration = Duration::from_secs(15);
/// As `Listed` has them: anything else is no id.
const ID_CHARS: usize = 12;

/// Which dead letters. Every condition that is set has to hold; of one that lists several values, one.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Codes, e.g. `unknown_status`.
    pub reasons: Vec<String>,
    /// Order numbers.
    pub orders: Vec<String>,
}

/// What a look has seen.
#[derive(Debug, Clone, Default)]
pub struct Listed {
    /// Each as an object, as `payment-notifier dead-letters list --json` has it; at most as many as were asked for.
    pub letters: Vec<Value>,
    /// Of all that were selected.
    pub reasons: BTreeMap<String, u64>,
    /// Selected, listed or not.
    pub selected: u64,
    /// Ready in the queue when the look began.
    pub in_queue: u64,
    /// Of those, looked at.
    pub looked_at: u64,
}

/// What became of a replay.
#[derive(Debug, Clone)]
pub enum Replayed {
    /// Published, confirmed, and taken out of the dead letters. With its object.
    Done(Value),
    /// It came back for the same reason after its last replay, and stays.
    FailedAgain(Value),
    /// It could not be published, and stays. Why, for an operator.
    Refused(Value, String),
    /// There is none with this id.
    Absent,
}

/// Why the dead letters cannot be reached: one line for an operator, without a secret.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct LettersError(pub String);

/// The dead letters, as an operator reaches them. One call at a time.
#[async_trait]
pub trait DeadLetters: Send + Sync + 'static {
    /// Looks, and lists at most `limit`.
    ///
    /// # Errors
    /// [`LettersError`]: nothing was changed.
    async fn list(&self, selection: &Selection, limit: usize) -> Result<Listed, LettersError>;

    /// All about the one with this id: headers, properties and, if asked for, the body.
    ///
    /// # Errors
    /// [`LettersError`]: nothing was changed.
    async fn show(&self, id: &str, with_body: bool) -> Result<Option<Value>, LettersError>;

    /// Publishes it to the results again and takes it out once that is confirmed; with `again` also what has failed again.
    ///
    /// # Errors
    /// [`LettersError`]: nothing is lost; it may be published and still be here.
    async fn replay(&self, id: &str, again: bool) -> Result<Replayed, LettersError>;
}

/// The dead letters, one look at a time, and what the last whole look has seen. Clones share it.
#[derive(Clone)]
pub(super) struct Looks {
    letters: Arc<dyn DeadLetters>,
    queue: Arc<str>,
    turn: Arc<Semaphore>,
    last: Arc<Mutex<Option<Arc<Look>>>>,
}

/// A look that is remembered.
pub(super) struct Look {
    pub(super) at_ms: i64,
    pub(super) listed: Listed,
}

impl Looks {
    pub(super) fn new(letters: Arc<dyn DeadLetters>, queue: String) -> Self {
        Self { letters, queue: queue.into(), turn: Arc::new(Semaphore::new(1)), last: Arc::default() }
    }

    pub(super) fn queue(&self) -> &str {
        &self.queue
    }

    /// The last look at all of them.
    pub(super) fn last(&self) -> Option<Arc<Look>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember(&self, look: Option<Look>) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = look.map(Arc::new);
    }

    pub(super) async fn list(&self, selection: &Selection, limit: usize) -> Result<Listed, Problem> {
        let _turn = self.turn().await?;
        Ok(self.letters.list(selection, limit).await?)
    }

    /// Looks at all, and remembers.
    pub(super) async fn look(&self) -> Result<(), Problem> {
        let listed = self.list(&Selection::default(), LISTED_MAX).await?;
        self.remember(Some(Look { at_ms: unix_ms(), listed }));
        Ok(())
    }

    pub(super) async fn show(&self, id: &str, with_body: bool) -> Result<Value, Problem> {
        let id = checked(id)?;
        let _turn = self.turn().await?;
        self.letters.show(id, with_body).await?.ok_or_else(absent)
    }

    /// The object of what was replayed.
    pub(super) async fn replay(&self, id: &str, again: bool) -> Result<Value, Problem> {
        let id = checked(id)?;
        let _turn = self.turn().await?;
        let replayed = self.letters.replay(id, again).await?;
        match replayed {
            Replayed::Done(letter) => {
                tracing::info!(id, reason = letter["reason"].as_str(), "dead letter replayed");
                self.forget(id);
                Ok(letter)
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

    /// Takes one out of what is remembered.
    fn forget(&self, id: &str) {
        let Some(last) = self.last() else { return };
        let mut listed = last.listed.clone();
        let Some(place) = listed.letters.iter().position(|letter| letter["id"] == id) else { return };
        let letter = listed.letters.remove(place);
        if let Some(count) = letter["reason"].as_str().and_then(|reason| listed.reasons.get_mut(reason)) {
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

impl From<LettersError> for Problem {
    fn from(error: LettersError) -> Self {
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

/// `?reason=a,b&order=c&limit=100`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    reason: Option<String>,
    order: Option<String>,
    limit: Option<usize>,
}

#[derive(Serialize)]
pub(super) struct ListAnswer {
    queue: String,
    looked_at: String,
    in_queue: u64,
    seen: u64,
    selected: u64,
    reasons: BTreeMap<String, u64>,
    dead_letters: Vec<Value>,
}

pub(super) async fn list(
    State(admin): State<Admin>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<ListAnswer>, Problem> {
    let Query(ListQuery { reason, order, limit }) = query?;
    let limit = limit.unwrap_or(100);
    if !(1..=LISTED_MAX).contains(&limit) {
        return Err(Problem::bad_request(format!("limit must be 1 to {LISTED_MAX}")));
    }
    let values = |text: Option<String>| {
        let parts = text.as_deref().unwrap_or_default().split(',').filter(|part| !part.is_empty());
        parts.map(str::to_owned).collect()
    };
    let selection = Selection { reasons: values(reason), orders: values(order) };
    let listed = admin.looks.list(&selection, limit).await?;
    Ok(Json(ListAnswer {
        queue: admin.looks.queue().to_owned(),
        looked_at: rfc3339_ms(unix_ms()),
        in_queue: listed.in_queue,
        seen: listed.looked_at,
        selected: listed.selected,
        reasons: listed.reasons,
        dead_letters: listed.letters,
    }))
}

/// `?body=true`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShowQuery {
    #[serde(default)]
    pub(super) body: bool,
}

pub(super) async fn show(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    query: Result<Query<ShowQuery>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(admin.looks.show(&id, query?.0.body).await?))
}

/// `{"confirm":true,"again":false}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplayBody {
    confirm: bool,
    #[serde(default)]
    again: bool,
}

pub(super) async fn replay(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    body: Result<Json<Object<ReplayBody>>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(Object(ReplayBody { confirm, again })) = body?;
    if !confirm {
        return Err(not_confirmed());
    }
    let letter = admin.looks.replay(&id, again).await?;
    Ok(Json(json!({ "outcome": "replayed", "dead_letter": letter })))
}

pub(super) fn not_confirmed() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "not_confirmed", "a replay must be confirmed: set \"confirm\" to true")
}
