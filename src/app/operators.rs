//! What the operators' listener needs: joins it with the dead letters, since the two do not know each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::bridge::Context;
use crate::broker::dead_letters::{Filter, Keep, Look, Outcome, Queue, Replay, Want};
use crate::broker::{self, Publisher};
use crate::config::Settings;
use crate::operators::{DeadLetters, DeadLettersError, Listed, OperatorServices, Replayed, Selection};
use crate::runtime::{Health, Tasks, unix_ms};
use crate::telemetry::Recent;

/// What the operators' listener works with. Replays that are under way, and what keeps the recent figures, belong to `tasks`.
pub(super) fn services(
    settings: &Settings,
    instance: &str,
    health: &Health,
    context: &Context,
    publisher: &Publisher,
    tasks: &Tasks,
) -> OperatorServices {
    let dead_letters = DeadLettersOverAmqp {
        options: broker::Options::new(settings, instance),
        publisher: publisher.clone(),
        tasks: tasks.clone(),
    };
    let recent = Recent::new(context.metrics.clone());
    tasks.spawn(recent.clone().keep(tasks.clone()));
    let pages = context.clone();
    OperatorServices {
        http: settings.http.clone(),
        health: health.clone(),
        token: settings.admin.token.clone(),
        instance: instance.to_owned(),
        store_url: settings.store.url.redacted(),
        results_queue: settings.amqp.queue.clone(),
        dead_letter_queue: settings.amqp.dead_letter_queue.clone(),
        default_merchant: settings.payments.default_merchant.clone(),
        store: Arc::clone(&context.store),
        metrics: context.metrics.clone(),
        recent,
        dead_letters: Arc::new(dead_letters),
        revocations: context.revocations.clone(),
        enforce_revocation: Box::new(move |revocation, keys| pages.revoke(revocation, keys)),
        ticket_lifetime_s_max: context.verifier.lifetime_s_max(),
        leeway_s: settings.tickets.leeway_s + 1,
    }
}

/// The dead letters, by a connection of its own for each call.
#[derive(Clone)]
struct DeadLettersOverAmqp {
    options: broker::Options,
    publisher: Publisher,
    tasks: Tasks,
}

impl DeadLettersOverAmqp {
    async fn look(&self, filter: &Filter, limit: Option<u32>, keep: Keep) -> Result<Look, DeadLettersError> {
        let queue = Queue::open(self.options.clone()).await.map_err(unreachable)?;
        let look = queue.look(&Want { filter, limit, keep }, u32::MAX).await.map_err(unreachable)?;
        look.hand_back(&queue, 0).await.map_err(unreachable)?;
        queue.close().await;
        Ok(look)
    }

    async fn replay_one(&self, id: &str, again: bool) -> Result<Replayed, DeadLettersError> {
        let queue = Queue::open(self.options.clone()).await.map_err(unreachable)?;
        let filter = of_id(id);
        // One, also where a message is there twice.
        let want = Want { filter: &filter, limit: Some(1), keep: Keep::Replayable { again } };
        let (mut outcome, now_ms) = (Replayed::Absent, unix_ms());
        let mut observe = |dead_letter: &broker::dead_letters::DeadLetter, became: &Outcome| {
            let object = dead_letter.object(now_ms);
            outcome = match became {
                Outcome::Replayed => Replayed::Done(object),
                Outcome::FailedAgain => Replayed::FailedAgain(object),
                Outcome::Refused(why) => Replayed::Refused(object, why.to_string()),
            };
        };
        let done = Replay::new(want, None).run(&queue, &self.publisher, &mut observe).await;
        queue.close().await;
        done.map_err(unreachable)?;
        Ok(outcome)
    }

    async fn discard_one(&self, id: &str) -> Result<Option<Value>, DeadLettersError> {
        let queue = Queue::open(self.options.clone()).await.map_err(unreachable)?;
        let filter = of_id(id);
        let want = Want { filter: &filter, limit: Some(1), keep: Keep::Summary };
        let look = queue.look(&want, u32::MAX).await.map_err(unreachable)?;
        let mut discarded = None;
        if let Some(found) = look.found.first() {
            look.discard(found).await.map_err(unreachable)?;
            discarded = Some(found.dead_letter.object(unix_ms()));
        }
        look.hand_back(&queue, u32::from(discarded.is_some())).await.map_err(unreachable)?;
        queue.close().await;
        Ok(discarded)
    }
}

#[async_trait]
impl DeadLetters for DeadLettersOverAmqp {
    async fn list(&self, selection: &Selection, limit: usize) -> Result<Listed, DeadLettersError> {
        let Selection { reasons, orders } = selection.clone();
        let filter = Filter { reasons, orders, ..Filter::default() };
        let look = self.look(&filter, None, Keep::Summary).await?;
        let (mut reasons, now_ms) = (BTreeMap::new(), unix_ms());
        for found in &look.found {
            *reasons.entry(found.dead_letter.reason.clone()).or_insert(0) += 1;
        }
        Ok(Listed {
            dead_letters: look.found.iter().take(limit).map(|found| found.dead_letter.object(now_ms)).collect(),
            reasons,
            selected: look.found.len() as u64,
            in_queue: look.seen.in_queue.into(),
            looked_at: look.seen.looked_at.into(),
        })
    }

    async fn show(&self, id: &str, with_body: bool) -> Result<Option<Value>, DeadLettersError> {
        let keep = if with_body { Keep::Body } else { Keep::Headers };
        let look = self.look(&of_id(id), Some(1), keep).await?;
        let Some(found) = look.found.first() else { return Ok(None) };
        let mut object = found.dead_letter.object(unix_ms());
        for (name, value) in found.details(with_body).as_object().into_iter().flatten() {
            object[name] = value.clone();
        }
        Ok(Some(object))
    }

    async fn replay(&self, id: &str, again: bool) -> Result<Replayed, DeadLettersError> {
        // As a task: who asks may go away between the publication and the removal, and would leave the message twice.
        let (answer, answered) = oneshot::channel();
        let (dead_letters, id) = (self.clone(), id.to_owned());
        self.tasks.spawn(async move {
            if answer.send(dead_letters.replay_one(&id, again).await).is_err() {
                tracing::warn!(id, "the caller left before the replay ended");
            }
        });
        answered.await.unwrap_or_else(|_ended| Err(DeadLettersError("the replay did not finish".to_owned())))
    }

    async fn discard(&self, id: &str) -> Result<Option<Value>, DeadLettersError> {
        self.discard_one(id).await
    }
}

fn of_id(id: &str) -> Filter {
    Filter { ids: vec![id.to_owned()], ..Filter::default() }
}

fn unreachable(error: broker::Error) -> DeadLettersError {
    DeadLettersError(error.to_string())
}
