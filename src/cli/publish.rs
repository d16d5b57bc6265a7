//! `publish`

use std::time::Instant;

use super::failure::Failure;
use super::order_argument::OrderArgument;
use crate::app;
use crate::broker::decode::{Decoder, Payload, encode};
use crate::config::Settings;
use crate::payment::{Currency, Event, EventId, Money, Reason, Refund, RefundStatus, Status, Timestamp};
use crate::runtime::unix_ms;
use crate::store::is_transaction_id;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    order: OrderArgument,
    /// One of pending, requires_action, processing, authorized, succeeded, failed, canceled, expired
    #[arg(long, default_value = "succeeded")]
    status: String,
    /// Amount in minor units: 1999 is 19.99
    #[arg(long, value_name = "VALUE")]
    amount: Option<i64>,
    /// Currency, ISO 4217
    #[arg(long, default_value = "CNY")]
    currency: String,
    /// Payment provider; also the last word of the routing key
    #[arg(long, default_value = "test")]
    provider: String,
    /// The provider's number of the transaction: another number is another attempt to pay
    #[arg(long, value_name = "ID")]
    transaction: Option<String>,
    /// Reason to show on the page
    #[arg(long, value_name = "MESSAGE")]
    reason: Option<String>,
    /// One of processing, partial, full
    #[arg(long, value_name = "STATUS")]
    refund: Option<String>,
    /// Key for de-duplication [default: generated]
    #[arg(long)]
    event_id: Option<String>,
    /// When it occurred, RFC 3339 [default: now]
    #[arg(long)]
    occurred_at: Option<String>,
}

pub(super) async fn run(settings: &Settings, args: Args) -> Result<(), Failure> {
    let event = event(settings, &args)?;
    // The service would put it aside.
    let body = encode(&event);
    let payload = Payload::of_own(&body);
    Decoder::new(&settings.payments)?.decode(&payload).map_err(|reject| reject.sentence)?;
    let started_at = Instant::now();
    app::publish_one(settings, &event).await?;
    let ms = started_at.elapsed().as_secs_f64() * 1000.0;
    println!("confirmed {} {} for {} in {ms:.1} ms", event.event_id, event.status, event.key.order_id);
    Ok(())
}

fn event(settings: &Settings, args: &Args) -> Result<Event, Failure> {
    let key = args.order.key(settings)?;
    let now_ms = unix_ms();
    let event_id = match &args.event_id {
        Some(id) => id.clone(),
        None => format!("cli-{now_ms}-{:08x}", rand::random::<u32>()),
    };
    let event_id = EventId::new(&event_id).map_err(|rule| format!("--event-id {rule}"))?;
    let status: Status = args.status.parse().map_err(|rule| format!("--status {rule}"))?;
    let occurred_at = match &args.occurred_at {
        Some(text) => Timestamp::parse(text).map_err(|rule| format!("--occurred-at {rule}"))?,
        None => Timestamp::from_unix_ms(now_ms)?,
    };
    let mut event = Event::new(key, event_id, status, occurred_at);
    let currency = Currency::new(&args.currency).map_err(|rule| format!("--currency {rule}"))?;
    event.amount =
        args.amount.map(|value| Money::new(value, currency)).transpose().map_err(|rule| format!("--amount {rule}"))?;
    event.provider = Some(args.provider.as_str().into());
    if args.transaction.as_deref().is_some_and(|id| !is_transaction_id(id)) {
        return Err("--transaction must be 1 to 128 bytes without control characters".into());
    }
    event.provider_transaction_id = args.transaction.as_deref().map(Into::into);
    event.reason = args.reason.as_deref().map(|message| Reason { code: None, message: Some(message.into()) });
    if let Some(refund) = &args.refund {
        let status = RefundStatus::ALL.into_iter().find(|status| status.as_str() == refund);
        let status = status.ok_or("--refund must be one of processing, partial, full")?;
        event.refund = Some(Refund { status, amount: None });
    }
    Ok(event)
}
