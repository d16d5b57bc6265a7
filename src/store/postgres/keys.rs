//! Between rows of the database and the program's own types.

use std::collections::BTreeSet;

use crate::payment::{Key, MerchantId, OrderId};
use crate::store::Error;
use crate::store::columns::key_columns;

/// Keys in their order, each once, and as two columns.
pub(super) struct Keys<'a> {
    pub(super) keys: BTreeSet<&'a Key>,
    pub(super) merchant_ids: Vec<&'a str>,
    pub(super) order_ids: Vec<&'a str>,
}

impl<'a> Keys<'a> {
    pub(super) fn new(keys: impl IntoIterator<Item = &'a Key>) -> Self {
        let keys: BTreeSet<&Key> = keys.into_iter().collect();
        let (merchant_ids, order_ids) = keys.iter().map(|key| key_columns(key)).unzip();
        Self { keys, merchant_ids, order_ids }
    }
}

/// A payment's key as its row names it.
pub(super) fn key(merchant_id: &str, order_id: &str) -> Result<Key, Error> {
    let damaged = |_rule| Error::Corrupt(format!("row of merchant {merchant_id:?} order {order_id:?}: no such key"));
    Ok(Key::new(MerchantId::new(merchant_id).map_err(damaged)?, OrderId::new(order_id).map_err(damaged)?))
}

pub(super) fn signed(number: u64) -> Result<i64, Error> {
    i64::try_from(number).map_err(|_out_of_range| Error::Corrupt(format!("number {number}")))
}

pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
