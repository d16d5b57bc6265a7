//! Orders as somebody finds them who does not know the merchant, or knows no more than the provider's number.

use crate::payment::{Key, MerchantId, OrderId, State, limits};

/// Orders of one answer.
pub const ORDERS_MAX: usize = 50;
/// Merchants among which an order number without one is looked for. With more, some are left out.
pub const MERCHANTS_MAX: usize = 1000;
/// The provider's numbers by which one order is found, at most. Those that its payment remembers are always among them.
pub const TRANSACTIONS_MAX: usize = 64;

/// One order, in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderSummary {
    /// Which.
    pub key: Key,
    /// The status of its payment, e.g. `succeeded`; not set where it has none.
    pub status: Option<String>,
    /// When its payment last changed, or else when something was last recorded of it: milliseconds since 1970.
    pub changed_ms: i64,
}

/// What a search came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundOrders {
    /// By merchant and order, at most [`ORDERS_MAX`].
    pub orders: Vec<OrderSummary>,
    /// There may be more of them, or not all merchants were looked at.
    pub more: bool,
}

/// True for what the provider's number of an order can be found by: 1 to 128 bytes, no control characters.
#[must_use]
pub fn is_transaction_id(text: &str) -> bool {
    let bytes_max = limits::PROVIDER_TRANSACTION_ID_BYTES_MAX;
    (1..=bytes_max).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// Rows of one search that are looked at.
pub(super) const ROWS_MAX: usize = 1000;
/// The latest entries of timelines, of all orders, in which recent orders are looked for.
pub(super) const RECENT_ENTRIES_MAX: usize = 1000;

/// A row of a search: merchant, order, status of the payment, time.
pub(super) type SummaryRow = (String, String, Option<String>, i64);

/// The order of a row, unless the row names none.
pub(super) fn summary((merchant_id, order_id, status, changed_ms): SummaryRow) -> Option<OrderSummary> {
    let key = Key::new(MerchantId::new(&merchant_id).ok()?, OrderId::new(&order_id).ok()?);
    Some(OrderSummary { key, status, changed_ms })
}

/// What is answered of the rows that were found, of which there may be `more`.
pub(super) fn found(rows: Vec<SummaryRow>, merchant_id: Option<&MerchantId>, more: bool) -> FoundOrders {
    let mut orders: Vec<_> = rows.into_iter().filter_map(summary).collect();
    orders.retain(|order| merchant_id.is_none_or(|merchant_id| order.key.merchant_id == *merchant_id));
    orders.sort_by(|one, other| one.key.cmp(&other.key));
    let more = more || orders.len() > ORDERS_MAX;
    orders.truncate(ORDERS_MAX);
    FoundOrders { orders, more }
}

/// The provider's numbers that a payment remembers.
pub(super) fn remembered(state: &State) -> Vec<&str> {
    state.transactions().filter(|id| is_transaction_id(id)).collect()
}
