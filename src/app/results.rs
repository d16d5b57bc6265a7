//! How the rooms that do not know the broker publish payment results.

use std::sync::Arc;

use crate::bridge::Publish;
use crate::broker;
use crate::payment::Event;

/// The broker's publisher, with where results go.
#[derive(Clone)]
pub(super) struct ResultsOverAmqp {
    pub(super) publisher: broker::Publisher,
    exchange: String,
}

impl ResultsOverAmqp {
    pub(super) fn new(options: &broker::Options) -> Result<Self, broker::Error> {
        Ok(Self { publisher: broker::Publisher::new(options)?, exchange: options.amqp.exchange.clone() })
    }

    pub(super) async fn send(&self, event: &Event) -> Result<(), broker::PublishError> {
        let routing_key = format!("payment.result.{}", routing_word(event.provider.as_deref()));
        self.publisher.publish(&broker::Message::payment(&self.exchange, &routing_key, event)?).await
    }
}

/// The provider as one word of a routing key, where a dot would begin another.
fn routing_word(provider: Option<&str>) -> &str {
    let is_word = |text: &&str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    provider.filter(is_word).filter(|text| !text.is_empty()).unwrap_or("other")
}

/// [`ResultsOverAmqp`] for the pages and the demo. Why an event was not published is logged here, and given to the caller in
/// words that hold nothing of the inside.
pub(super) fn publish(results: ResultsOverAmqp) -> Publish {
    Arc::new(move |event: Event| {
        let results = results.clone();
        Box::pin(async move {
            results.send(&event).await.map_err(|error| {
                tracing::warn!(%error, event_id = %event.event_id, "event not published");
                match error {
                    broker::PublishError::Unroutable { .. } => "no queue takes it",
                    broker::PublishError::TimedOut(_) | broker::PublishError::Nacked => "not confirmed by the broker",
                    broker::PublishError::Unavailable(_)
                    | broker::PublishError::TooLong(_)
                    | broker::PublishError::HeadersTooLarge { .. }
                    | broker::PublishError::Truncated
                    | broker::PublishError::Refused(_) => "the broker cannot be reached",
                }
            })
        })
    })
}
