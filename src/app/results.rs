//! How the bridge publishes payment results: by the broker's publisher, which it does not know.

use async_trait::async_trait;

use crate::bridge::{self, ResultPublisher};
use crate::broker;
use crate::payment::Event;

/// Joins the bridge's need to publish with the broker's publisher, which do not know each other.
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

#[async_trait]
impl ResultPublisher for ResultsOverAmqp {
    async fn publish(&self, event: &Event) -> Result<(), bridge::PublishError> {
        self.send(event).await.map_err(|error| {
            tracing::warn!(%error, event_id = %event.event_id, "event not published");
            match error {
                broker::PublishError::Unroutable { .. } => bridge::PublishError::Unroutable,
                broker::PublishError::TimedOut(_) | broker::PublishError::Nacked => bridge::PublishError::NotConfirmed,
                broker::PublishError::Unavailable(_)
                | broker::PublishError::TooLong(_)
                | broker::PublishError::HeadersTooLarge { .. }
                | broker::PublishError::Truncated
                | broker::PublishError::Refused(_) => bridge::PublishError::Unavailable,
            }
        })
    }
}
