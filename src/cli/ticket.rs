//! `ticket`

use super::failure::Failure;
use crate::config::Settings;
use crate::payment::{Key, MerchantId, OrderId};
use crate::tickets::Minter;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The merchant [default: payments.default_merchant]
    #[arg(long, value_name = "MERCHANT")]
    merchant: Option<String>,
    /// The merchant's order number; may be repeated up to 20 times
    #[arg(long, value_name = "ORDER", required = true)]
    order: Vec<String>,
    /// Who waits: an openid or user id
    #[arg(long, default_value = "cli")]
    sub: String,
    /// Lifetime of the ticket in seconds
    #[arg(long, default_value_t = 900, value_name = "SECONDS")]
    ttl_s: u64,
}

pub(super) fn run(settings: &Settings, args: &Args) -> Result<(), Failure> {
    let merchant = args.merchant.as_deref().unwrap_or(&settings.payments.default_merchant);
    if merchant.is_empty() {
        return Err("--merchant is needed: payments.default_merchant is not set".into());
    }
    let merchant = MerchantId::new(merchant).map_err(|rule| format!("--merchant {rule}"))?;
    let orders = args.order.iter().map(|order| OrderId::new(order)).collect::<Result<Vec<_>, _>>();
    let orders = orders.map_err(|rule| format!("--order {rule}"))?;
    println!("{}", mint(settings, &merchant, &orders, &args.sub, args.ttl_s)?);
    Ok(())
}

/// A ticket for one order, for commands that wait as a page would.
pub(super) fn for_order(settings: &Settings, key: &Key) -> Result<String, Failure> {
    mint(settings, &key.merchant_id, std::slice::from_ref(&key.order_id), "cli", 900)
}

fn mint(
    settings: &Settings,
    merchant: &MerchantId,
    orders: &[OrderId],
    sub: &str,
    ttl_s: u64,
) -> Result<String, Failure> {
    let minter =
        Minter::new(&settings.tickets).ok_or("tickets.hs256_secret is not set: there is nothing to sign with")?;
    Ok(minter.mint(merchant, orders, sub, ttl_s)?.ticket)
}
