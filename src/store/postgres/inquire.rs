//! Inquiries: each step of an order once, on whatever node a page waits for it.

use std::collections::{BTreeMap, HashMap};

use futures_util::future::join;

use super::Settings;
use super::fault::Fault;
use super::keys::{Keys, key};
use super::pool::{Session, Work};
use super::told::Told;
use super::unanswered::Lost;
use crate::payment::{Key, State};
use crate::runtime::unix_ms;
use crate::store::{Inquiry, entries, kept};

const KNOWN: &str = "
    SELECT payments.merchant_id, payments.order_id, final, state
    FROM unnest($1::text[], $2::text[]) AS wanted (merchant_id, order_id)
    JOIN payments ON payments.merchant_id = wanted.merchant_id AND payments.order_id = wanted.order_id";

const TAKE: &str = "
    INSERT INTO inquired (merchant_id, order_id, step, at_ms)
    SELECT merchant_id, order_id, step, $4
    FROM unnest($1::text[], $2::text[], $3::integer[]) AS wanted (merchant_id, order_id, step)
    WHERE NOT EXISTS (
        SELECT FROM inquired
        WHERE inquired.merchant_id = wanted.merchant_id AND inquired.order_id = wanted.order_id
            AND inquired.step >= wanted.step)
    ON CONFLICT (merchant_id, order_id, step) DO NOTHING
    RETURNING merchant_id, order_id, step";

/// Some inquiries.
pub(super) struct Inquire<'a> {
    pub(super) settings: &'a Settings,
    pub(super) lost: &'a Lost,
    pub(super) inquiries: Vec<Inquiry>,
}

impl Work for Inquire<'_> {
    type Answer = usize;

    async fn attempt(&self, session: &Session) -> Result<usize, Fault> {
        let client = session.client()?;
        let mut told = Told::new(self.settings, unix_ms());
        let keys = Keys::new(self.inquiries.iter().map(|inquiry| &inquiry.key));
        let known = session.prepare(KNOWN).await?;
        let (begun, known) = join(session.begin(), client.query(&known, &[&keys.merchant_ids, &keys.order_ids])).await;
        begun?;
        let mut open = HashMap::new();
        for row in known? {
            let key = key(row.try_get(0)?, row.try_get(1)?)?;
            let is_final: bool = row.try_get(2)?;
            // Of one that cannot be understood nothing can be asked.
            let state = if is_final { None } else { kept::state(&key, row.try_get(3)?).ok() };
            open.insert(key, state);
        }
        let wanted = self.wanted(&open);
        let taken = take(session, &wanted, told.now_ms).await?;
        for (key, step) in &taken {
            let Some((inquiry, state)) = wanted.get(&(key, *step)) else { continue };
            let payment = state.map(State::payment);
            let transaction_id = state.and_then(State::provider_transaction_id);
            told.message(told.envelope().inquiry(inquiry, payment.as_ref(), transaction_id)?);
            told.entry(key, told.now_ms, &entries::Told::inquired(inquiry))?;
        }
        let statements = told.prepare(session).await?;
        let each = || taken.iter().map(|taken| (taken.clone(), ())).collect();
        let lost = &self.lost.inquiries;
        lost.during(each, session.commit(told.save(session, &statements))).await?;
        // What is left of attempts whose answer was lost is published.
        Ok(taken.len() + lost.take().len())
    }
}

/// Each inquiry by order and step, in that order, with what is known of the order.
type Wanted<'a> = BTreeMap<(&'a Key, i32), (&'a Inquiry, Option<&'a State>)>;

impl Inquire<'_> {
    /// Those whose order has no final result.
    fn wanted<'a>(&'a self, open: &'a HashMap<Key, Option<State>>) -> Wanted<'a> {
        let mut wanted = BTreeMap::new();
        for inquiry in &self.inquiries {
            let state = match open.get(&inquiry.key) {
                Some(None) => continue,
                Some(Some(state)) => Some(state),
                None => None,
            };
            let step = i32::try_from(inquiry.step).unwrap_or(i32::MAX);
            wanted.insert((&inquiry.key, step), (inquiry, state));
        }
        wanted
    }
}

/// Notes them as published, and answers those that were not before.
async fn take(session: &Session, wanted: &Wanted<'_>, now_ms: i64) -> Result<Vec<(Key, i32)>, Fault> {
    let take = session.prepare(TAKE).await?;
    let merchant_ids: Vec<_> = wanted.keys().map(|(key, _)| key.merchant_id.as_str()).collect();
    let order_ids: Vec<_> = wanted.keys().map(|(key, _)| key.order_id.as_str()).collect();
    let steps: Vec<_> = wanted.keys().map(|(_, step)| *step).collect();
    let mut taken = Vec::new();
    for row in session.client()?.query(&take, &[&merchant_ids, &order_ids, &steps, &now_ms]).await? {
        taken.push((key(row.try_get(0)?, row.try_get(1)?)?, row.try_get(2)?));
    }
    Ok(taken)
}
