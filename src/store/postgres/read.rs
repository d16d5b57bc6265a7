//! Payments as pages ask for them: whatever waits is one query.

use std::collections::HashMap;
use std::sync::Arc;

use super::fault::Fault;
use super::gatherer::Answer;
use super::keys::{Keys, key};
use super::pool::Pool;
use super::session::Session;
use crate::payment::{Key, Payment};
use crate::store::{Error, ledger};

const SELECT: &str = "
    SELECT payments.merchant_id, payments.order_id, state
    FROM unnest($1::text[], $2::text[]) AS wanted (merchant_id, order_id)
    JOIN payments ON payments.merchant_id = wanted.merchant_id AND payments.order_id = wanted.order_id";

/// One payment that somebody waits for.
pub(super) struct Read {
    pub(super) key: Key,
    pub(super) answer: Answer<Option<Arc<Payment>>>,
}

/// Reads what waits, and tells who waits for it.
pub(super) async fn read(pool: &Pool, mut reads: Vec<Read>) {
    // Under overload there are those who have stopped waiting.
    reads.retain(|read| !read.answer.is_closed());
    if reads.is_empty() {
        return;
    }
    let all = &reads;
    match pool.run(|session| select(session, all)).await {
        Ok(found) => {
            for Read { key, answer } in reads {
                drop(answer.send(found.get(&key).cloned().transpose()));
            }
        }
        Err(error) => reads.into_iter().for_each(|read| drop(read.answer.send(Err(error.clone())))),
    }
}

/// One that cannot be understood is the concern of those alone who asked for it.
async fn select(session: Session, reads: &[Read]) -> Result<HashMap<Key, Result<Arc<Payment>, Error>>, Fault> {
    let keys = Keys::new(reads.iter().map(|read| &read.key));
    let select = session.prepare(SELECT).await?;
    let rows = session.client()?.query(&select, &[&keys.merchant_ids, &keys.order_ids]).await?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in rows {
        let key = key(row.try_get(0)?, row.try_get(1)?)?;
        let payment = ledger::state(&key, row.try_get(2)?).map(|state| Arc::new(state.payment()));
        found.insert(key, payment);
    }
    Ok(found)
}
