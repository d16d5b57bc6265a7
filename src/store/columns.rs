//! Keys and numbers as both stores' tables have them.

use crate::payment::Key;

/// The columns by which every table names an order.
pub(super) fn key_columns(key: &Key) -> (&str, &str) {
    (key.merchant_id.as_str(), key.order_id.as_str())
}

/// A number of rows, as SQL takes it.
pub(super) fn sql_limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
