//! The tables of what is revoked.

use futures_util::future::join;
use tokio_postgres::types::ToSql;

use super::fault::Fault;
use super::keys::key;
use super::session::Session;
use crate::store::columns::key_columns;
use crate::store::{Error, Revocation, Revoked};

const SAVE_TICKET: &str = "
    INSERT INTO revoked_tickets (fingerprint, until_s) VALUES ($1, $2)
    ON CONFLICT (fingerprint) DO UPDATE SET until_s = excluded.until_s";

const SAVE_ORDER: &str = "
    INSERT INTO revoked_orders (merchant_id, order_id, until_s) VALUES ($1, $2, $3)
    ON CONFLICT (merchant_id, order_id) DO UPDATE SET until_s = excluded.until_s";

/// Those that are over are forgotten, but for rows that another node holds just then.
const FORGET_TICKETS: &str = "
    DELETE FROM revoked_tickets WHERE fingerprint = ANY (ARRAY(
        SELECT fingerprint FROM revoked_tickets WHERE until_s <= $1 FOR UPDATE SKIP LOCKED))";

const FORGET_ORDERS: &str = "
    DELETE FROM revoked_orders WHERE (merchant_id, order_id) IN (
        SELECT merchant_id, order_id FROM revoked_orders WHERE until_s <= $1 FOR UPDATE SKIP LOCKED)";

/// Takes the last word on one thing, and forgets what is over at `now_s`.
pub(super) async fn save(session: Session, revocation: &Revocation, now_s: i64) -> Result<(), Fault> {
    let client = session.client()?;
    let (tickets, orders) = (session.prepare(FORGET_TICKETS).await?, session.prepare(FORGET_ORDERS).await?);
    session.begin().await?;
    let until_s = &revocation.until_s;
    match &revocation.revoked {
        Revoked::Ticket(fingerprint) => client.execute(SAVE_TICKET, &[&fingerprint.as_slice(), until_s]).await?,
        Revoked::Order(key) => {
            let (merchant_id, order_id) = key_columns(key);
            client.execute(SAVE_ORDER, &[&merchant_id, &order_id, until_s]).await?
        }
    };
    let params: [&(dyn ToSql + Sync); 1] = [&now_s];
    let forget = async {
        let (tickets, orders) = join(client.execute(&tickets, &params), client.execute(&orders, &params)).await;
        tickets.and(orders).map(drop).map_err(Fault::from)
    };
    // Done twice it is done once.
    session.commit(forget).await
}

/// All that is in force at `now_s`.
pub(super) async fn read(session: Session, now_s: i64) -> Result<Vec<Revocation>, Fault> {
    let client = session.client()?;
    let mut revocations = Vec::new();
    let tickets = "SELECT fingerprint, until_s FROM revoked_tickets WHERE until_s > $1";
    for row in client.query(tickets, &[&now_s]).await? {
        let fingerprint: &[u8] = row.try_get(0)?;
        let fingerprint = fingerprint.try_into().map_err(|_other| damaged("a fingerprint"))?;
        revocations.push(Revocation { revoked: Revoked::Ticket(fingerprint), until_s: row.try_get(1)? });
    }
    let orders = "SELECT merchant_id, order_id, until_s FROM revoked_orders WHERE until_s > $1";
    for row in client.query(orders, &[&now_s]).await? {
        let key = key(row.try_get(0)?, row.try_get(1)?)?;
        revocations.push(Revocation { revoked: Revoked::Order(key), until_s: row.try_get(2)? });
    }
    Ok(revocations)
}

fn damaged(what: &str) -> Error {
    Error::Corrupt(format!("{what} of the revocations"))
}
