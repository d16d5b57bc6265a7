//! Whether a payment that was not found is truly not there.
//!
//! An entry of the index that a disk has changed stands where a search for it does not look, and the payment would be
//! taken as one that was never heard of. Every other entry is in its place, so that such a search ends right beside the
//! changed one: the entries on both sides of where the payment would stand are compared with the rows they lead to.

use rusqlite::{Connection, params};

use crate::payment::Key;
use crate::store::Error;

/// The inner queries read nothing but the index, the outer one nothing but the rows.
const NEIGHBOURS: &str = "
    SELECT before, (entry.merchant_id, entry.order_id) IS (payments.merchant_id, payments.order_id)
    FROM (
        SELECT * FROM (
            SELECT true AS before, id, merchant_id, order_id
            FROM payments WHERE (merchant_id, order_id) < (?1, ?2)
            ORDER BY merchant_id DESC, order_id DESC LIMIT 1)
        UNION ALL
        SELECT * FROM (
            SELECT false, id, merchant_id, order_id
            FROM payments WHERE (merchant_id, order_id) > (?1, ?2)
            ORDER BY merchant_id, order_id LIMIT 1)
    ) AS entry LEFT JOIN payments ON payments.id = entry.id";

const FIRST_IS_BEFORE: &str = "
    SELECT count(*) FROM (SELECT merchant_id, order_id FROM payments ORDER BY merchant_id, order_id LIMIT 1)
    WHERE (merchant_id, order_id) < (?1, ?2)";

/// To be asked after a search for `key` found nothing.
///
/// # Errors
/// [`Error::Corrupt`] where the index is damaged at that place.
pub(super) fn prove(connection: &Connection, key: &Key) -> Result<(), Error> {
    let place = params![key.merchant_id.as_str(), key.order_id.as_str()];
    let mut peers = connection.prepare_cached(NEIGHBOURS)?;
    let (mut sound, mut is_first) = (true, true);
    let mut found = peers.query(place)?;
    while let Some(entry) = found.next()? {
        is_first &= !entry.get::<_, bool>(0)?;
        sound &= entry.get::<_, bool>(1)?;
    }
    // A search backwards ends at an entry that has become NULL, as if nothing stood before it.
    if is_first && sound {
        let before: i64 = connection.prepare_cached(FIRST_IS_BEFORE)?.query_row(place, |row| row.get(0))?;
        sound = before == 0;
    }
    if sound {
        return Ok(());
    }
    let Key { merchant_id, order_id } = key;
    Err(Error::Corrupt(format!(
        "index beside merchant {merchant_id} order {order_id}: an entry is not that of its row"
    )))
}
