//! Which order a command is about.

use super::failure::Failure;
use crate::config::Settings;
use crate::payment::{InvalidId, Key, MerchantId, OrderId};

/// Which order.
#[derive(Debug, clap::Args)]
pub(super) struct OrderArgument {
    /// The merchant [default: payments.default_merchant]
    #[arg(long, value_name = "MERCHANT")]
    merchant: Option<String>,
    /// The merchant's order number
    #[arg(long, value_name = "ORDER")]
    order: String,
}

impl OrderArgument {
    pub(super) fn key(&self, settings: &Settings) -> Result<Key, Failure> {
        let merchant = match self.merchant.as_deref().unwrap_or(&settings.payments.default_merchant) {
            "" => return Err("--merchant is needed: payments.default_merchant is not set".into()),
            merchant => MerchantId::new(merchant).map_err(|rule: InvalidId| format!("--merchant {rule}"))?,
        };
        Ok(Key::new(merchant, OrderId::new(&self.order).map_err(|rule| format!("--order {rule}"))?))
    }
}
