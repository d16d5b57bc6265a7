//! What a look at the dead letters is for, and what it has found.

use lapin::Acker;
use lapin::message::Delivery;
use serde_json::Value;

use super::dead_letter::DeadLetter;
use super::details;
use super::filter::Filter;

/// What a look keeps of what it selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Its [`DeadLetter`] alone.
    Summary,
    /// Headers and properties too, without the body.
    Headers,
    /// Headers, properties and body.
    Body,
    /// As `Body`, but the summary alone of what came back for the same reason after its last replay.
    Replayable {
        /// Keep the body of that too.
        again: bool,
    },
    /// The summary, counted towards the limit as for `Replayable`.
    Judged {
        /// Count too what came back for the same reason.
        again: bool,
    },
}

impl Keep {
    /// Whether it counts for the limit, and what is kept.
    pub(super) fn of(self, mut delivery: Delivery, dead_letter: &DeadLetter) -> (bool, Option<Delivery>) {
        match self {
            Self::Summary => (true, None),
            Self::Headers => {
                delivery.data = Vec::new();
                (true, Some(delivery))
            }
            Self::Body => (true, Some(delivery)),
            Self::Judged { again } => (dead_letter.is_replayable(again), None),
            Self::Replayable { again } => {
                let is_replayable = dead_letter.is_replayable(again);
                (is_replayable, is_replayable.then_some(delivery))
            }
        }
    }
}

/// What a look is for.
#[derive(Debug, Clone)]
pub struct Want<'a> {
    /// Which dead letters.
    pub filter: &'a Filter,
    /// At most how many of them; with `Replayable` and `Judged` only those count that would be replayed.
    pub limit: Option<u32>,
    /// What is kept of each.
    pub keep: Keep,
}

/// A dead letter that was selected, and is held.
#[derive(Debug)]
pub struct Found {
    /// What is known of it.
    pub dead_letter: DeadLetter,
    pub(super) acker: Acker,
    pub(super) delivery: Option<Delivery>,
}

impl Found {
    /// Properties, headers and, if it was kept, the body.
    #[must_use]
    pub fn details(&self, with_body: bool) -> Value {
        let Some(delivery) = &self.delivery else { return Value::Null };
        let mut details = serde_json::json!({
            "properties": details::properties(&delivery.properties),
            "headers": details::headers(&delivery.properties),
        });
        if with_body {
            let (name, body) = details::body(&delivery.data);
            details[name] = body;
        }
        details
    }
}

/// How far a look went, in messages.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    /// Taken and looked at.
    pub looked_at: u32,
    /// Ready in the queue when the look began.
    pub in_queue: u32,
    /// Announced by the broker and not delivered: something else took them.
    pub missing: u32,
    /// Selected and not kept, since 64 MiB were kept already.
    pub left_out: u32,
}
