//! `revoke`: ends a ticket or an order for pages, by the operators' listener of a running service.

use reqwest::Method;
use serde_json::json;

use super::failure::Failure;
use super::operators::Operators;
use crate::config::Settings;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The ticket to revoke
    #[arg(long, conflicts_with_all = ["merchant", "order"])]
    ticket: Option<String>,
    /// The merchant [default: payments.default_merchant]
    #[arg(long, value_name = "MERCHANT")]
    merchant: Option<String>,
    /// The merchant's order number: every ticket for it will be refused
    #[arg(long, value_name = "ORDER", required_unless_present = "ticket")]
    order: Option<String>,
    /// How long, in seconds [default: until every existing ticket has expired]
    #[arg(long, value_name = "SECONDS")]
    ttl_s: Option<u64>,
    /// Undo the revocation
    #[arg(long, conflicts_with = "ttl_s")]
    lift: bool,
    /// The operators' listener [default: admin.listen]
    #[arg(long)]
    url: Option<String>,
}

pub(super) async fn run(settings: &Settings, args: Args) -> Result<(), Failure> {
    let ttl_s = if args.lift { Some(0) } else { args.ttl_s };
    let mut body = match (args.ticket, args.order) {
        (Some(ticket), _) => json!({ "ticket": ticket }),
        (None, order) => {
            let merchant = args.merchant.unwrap_or_else(|| settings.payments.default_merchant.clone());
            json!({ "merchant_id": merchant, "order_id": order })
        }
    };
    if let Some(ttl_s) = ttl_s {
        body["ttl_s"] = ttl_s.into();
    }
    let operators = Operators::new(settings, args.url)?;
    let request = operators.call(Method::POST, "/v1/revocations").json(&body);
    let answer = operators.answer(request).await?;
    match args.lift {
        true => println!("no longer revoked"),
        false => println!("revoked until {}", answer["until"].as_str().unwrap_or_default()),
    }
    Ok(())
}
