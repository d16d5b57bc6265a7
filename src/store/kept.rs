//! What a row says, understood by one rule in every store.

use super::Error;
use crate::payment::{Key, State};

/// The state in the row of `key`.
///
/// # Errors
/// [`Error::Corrupt`] where no state of that payment stands there, which names the order.
pub(super) fn state(key: &Key, text: &str) -> Result<State, Error> {
    let state: State = serde_json::from_str(text).map_err(|e| damaged(key, &e.to_string()))?;
    if state.key() != key {
        return Err(damaged(key, "the row holds another payment"));
    }
    // A store counts with 63 bits.
    if !(1..i64::MAX.unsigned_abs()).contains(&state.version()) {
        return Err(damaged(key, "its version is out of range"));
    }
    Ok(state)
}

/// What is wrong with the row of `key`.
pub(super) fn damaged(key: &Key, what: &str) -> Error {
    let Key { merchant_id, order_id } = key;
    Error::Corrupt(format!("payment of merchant {merchant_id} order {order_id}: {what}"))
}
