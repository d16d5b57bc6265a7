//! `ticket`

use super::failure::Failure;
use crate::config::Settings;
use crate::payment::{Key, MerchantId, OrderId};
use crate::tickets::Minter;

const TTL_S: u64 = 900;
/// What a ticket is valid beyond the wait that it is for.
const CONNECT_S: u64 = 60;

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
    /// Lifetime of the ticket in seconds [default: 900, or tickets.lifetime_s_max where that is less]
    #[arg(long, value_name = "SECONDS")]
    ttl_s: Option<u64>,
}

pub(super) fn run(settings: &Settings, args: &Args) -> Result<(), Failure> {
    let merchant = args.merchant.as_deref().unwrap_or(&settings.payments.default_merchant);
    if merchant.is_empty() {
        return Err("--merchant is needed: payments.default_merchant is not set".into());
    }
    let merchant = MerchantId::new(merchant).map_err(|rule| format!("--merchant {rule}"))?;
    let orders = args.order.iter().map(|order| OrderId::new(order)).collect::<Result<Vec<_>, _>>();
    let orders = orders.map_err(|rule| format!("--order {rule}"))?;
    let minter = minter(settings)?;
    let ttl_s = args.ttl_s.unwrap_or_else(|| TTL_S.min(minter.lifetime_s_max()));
    println!("{}", minter.mint(&merchant, &orders, &args.sub, ttl_s)?.ticket);
    Ok(())
}

/// A ticket for one order, for commands that wait as a page would, as long as `wait_s` if tickets may be valid so long.
pub(super) fn for_order(settings: &Settings, key: &Key, wait_s: u64) -> Result<String, Failure> {
    let minter = minter(settings)?;
    let ttl_s = wait_s.saturating_add(CONNECT_S).min(minter.lifetime_s_max());
    Ok(minter.mint(&key.merchant_id, std::slice::from_ref(&key.order_id), "cli", ttl_s)?.ticket)
}

fn minter(settings: &Settings) -> Result<Minter, Failure> {
    Ok(Minter::new(&settings.tickets).ok_or("tickets.hs256_secret is not set: there is nothing to sign with")?)
}
