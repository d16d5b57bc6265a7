//! The tables of what is revoked. They are read once, when the program starts.

use rusqlite::Connection;

use crate::payment::{Key, MerchantId, OrderId};
use crate::store::{Error, Revocation, Revoked};

/// Takes the last word on one thing, and forgets what is over at `now_s`.
pub(super) fn save(connection: &Connection, revocation: &Revocation, now_s: i64) -> Result<(), Error> {
    let until_s = revocation.until_s;
    match &revocation.revoked {
        Revoked::Ticket(fingerprint) => connection.execute(
            "INSERT INTO revoked_tickets (fingerprint, until_s) VALUES (?1, ?2)
             ON CONFLICT (fingerprint) DO UPDATE SET until_s = excluded.until_s",
            (fingerprint.as_slice(), until_s),
        )?,
        Revoked::Order(key) => connection.execute(
            "INSERT INTO revoked_orders (merchant_id, order_id, until_s) VALUES (?1, ?2, ?3)
             ON CONFLICT (merchant_id, order_id) DO UPDATE SET until_s = excluded.until_s",
            (key.merchant_id.as_str(), key.order_id.as_str(), until_s),
        )?,
    };
    connection.execute("DELETE FROM revoked_tickets WHERE until_s <= ?1", [now_s])?;
    connection.execute("DELETE FROM revoked_orders WHERE until_s <= ?1", [now_s])?;
    Ok(())
}

/// All that is in force at `now_s`.
pub(super) fn read(connection: &Connection, now_s: i64) -> Result<Vec<Revocation>, Error> {
    let mut revocations = Vec::new();
    let mut tickets = connection.prepare("SELECT fingerprint, until_s FROM revoked_tickets WHERE until_s > ?1")?;
    let rows = tickets.query_map([now_s], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?)))?;
    for row in rows {
        let (fingerprint, until_s) = row?;
        let fingerprint = fingerprint.try_into().map_err(|_other| damaged("a fingerprint"))?;
        revocations.push(Revocation { revoked: Revoked::Ticket(fingerprint), until_s });
    }
    let mut orders =
        connection.prepare("SELECT merchant_id, order_id, until_s FROM revoked_orders WHERE until_s > ?1")?;
    let rows =
        orders.query_map([now_s], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get(2)?)))?;
    for row in rows {
        let (merchant_id, order_id, until_s) = row?;
        let merchant_id = MerchantId::new(&merchant_id).map_err(|_rule| damaged("a merchant_id"))?;
        let order_id = OrderId::new(&order_id).map_err(|_rule| damaged("an order_id"))?;
        revocations.push(Revocation { revoked: Revoked::Order(Key::new(merchant_id, order_id)), until_s });
    }
    Ok(revocations)
}

fn damaged(what: &str) -> Error {
    Error::Corrupt(format!("{what} of the revocations"))
}
