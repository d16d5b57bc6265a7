//! Inquiries: each step of an order once, on whatever node a page waits for it.

use std::collections::BTreeMap;

use super::fault::Fault;
use super::keys::{Keys, key};
use super::options::Settings;
use super::session::Session;
use super::unanswered::Lost;
use super::{rows, save};
use crate::payment::Key;
use crate::runtime::unix_ms;
use crate::store::Inquiry;

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

/// Publishes those of which there is something to ask and that were not published before, and answers how many.
pub(super) async fn inquire(
    session: Session,
    settings: &Settings,
    lost: &Lost,
    inquiries: &[Inquiry],
) -> Result<usize, Fault> {
    let keys = Keys::new(inquiries.iter().map(|inquiry| &inquiry.key));
    let mut ledger = rows::load(&session, settings, &keys, unix_ms(), rows::READ).await?;
    let open = inquiries.iter().filter(|inquiry| ledger.is_open(&inquiry.key));
    let wanted: BTreeMap<_, _> =
        open.map(|inquiry| ((&inquiry.key, i32::try_from(inquiry.step).unwrap_or(i32::MAX)), inquiry)).collect();
    let taken = take(&session, &wanted, ledger.now_ms()).await?;
    for (key, step) in &taken {
        if let Some(inquiry) = wanted.get(&(key, *step)) {
            ledger.inquired(inquiry)?;
        }
    }
    let each = || taken.iter().map(|taken| (taken.clone(), ())).collect();
    lost.inquiries.during(each, save::commit(&session, settings, &ledger)).await?;
    // What is left of attempts whose answer was lost is published.
    Ok(taken.len() + lost.inquiries.take().len())
}

/// Keeps them as published, in the order of their keys, and answers those that were not before.
async fn take(
    session: &Session,
    wanted: &BTreeMap<(&Key, i32), &Inquiry>,
    now_ms: i64,
) -> Result<Vec<(Key, i32)>, Fault> {
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
