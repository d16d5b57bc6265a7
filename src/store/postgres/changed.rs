//! The rows that changed, by column, so that any number of them is one statement.

use tokio_postgres::Statement;
use tokio_postgres::types::ToSql;

use super::fault::Fault;
use super::keys::signed;
use super::pool::Session;
use super::rows::Row;
use crate::payment::Key;
use crate::store::Error;

pub(super) const SAVE: &str = "
    UPDATE payments SET
        version = changed.version,
        status = changed.status,
        final = changed.final,
        acked_version = changed.acked_version,
        settled_version = changed.settled_version,
        settled_ms = changed.settled_ms,
        escalate_ms = changed.escalate_ms,
        escalated = changed.escalated,
        changed_ms = CASE WHEN changed.version > payments.version THEN $12 ELSE payments.changed_ms END,
        state = changed.state
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::boolean[], $6::bigint[], $7::bigint[],
            $8::bigint[], $9::bigint[], $10::boolean[], $11::text[])
        AS changed (merchant_id, order_id, version, status, final, acked_version, settled_version,
            settled_ms, escalate_ms, escalated, state)
    WHERE payments.merchant_id = changed.merchant_id AND payments.order_id = changed.order_id";

/// See above.
#[derive(Default)]
pub(super) struct Changed<'a> {
    merchant_ids: Vec<&'a str>,
    order_ids: Vec<&'a str>,
    versions: Vec<i64>,
    statuses: Vec<&'a str>,
    finals: Vec<bool>,
    acked_versions: Vec<i64>,
    settled_versions: Vec<i64>,
    settled_ms: Vec<i64>,
    escalate_ms: Vec<Option<i64>>,
    escalated: Vec<bool>,
    states: Vec<String>,
}

impl<'a> Changed<'a> {
    pub(super) fn push(&mut self, key: &'a Key, row: &'a Row) -> Result<(), Fault> {
        let Some((state, payment)) = &row.known else { return Ok(()) };
        self.merchant_ids.push(key.merchant_id.as_str());
        self.order_ids.push(key.order_id.as_str());
        self.versions.push(signed(payment.version)?);
        self.statuses.push(payment.status.as_str());
        self.finals.push(payment.is_final());
        self.acked_versions.push(signed(row.acked_version)?);
        self.settled_versions.push(signed(row.settled.version)?);
        self.settled_ms.push(row.settled.at_ms);
        self.escalate_ms.push(row.settled.escalate_ms);
        self.escalated.push(row.settled.escalated);
        self.states.push(serde_json::to_string(state).map_err(|e| Error::Unavailable(e.to_string()))?);
        Ok(())
    }

    /// Writes them, within the transaction that is open.
    pub(super) async fn save(&self, session: &Session, save: &Statement, now_ms: i64) -> Result<(), Fault> {
        if self.states.is_empty() {
            return Ok(());
        }
        let columns: [&(dyn ToSql + Sync); 12] = [
            &self.merchant_ids,
            &self.order_ids,
            &self.versions,
            &self.statuses,
            &self.finals,
            &self.acked_versions,
            &self.settled_versions,
            &self.settled_ms,
            &self.escalate_ms,
            &self.escalated,
            &self.states,
            &now_ms,
        ];
        session.client()?.execute(save, &columns).await?;
        Ok(())
    }
}
