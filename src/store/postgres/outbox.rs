//! Messages that wait to be published. Who takes some has them for a while by the database's clock, so that the clocks of
//! nodes do not matter.

use super::fault::Fault;
use super::pool::{Session, Work};
use crate::store::Outgoing;

const TAKE: &str = "
    UPDATE outbox SET leased_until = clock_timestamp() + $2::bigint * interval '1 millisecond'
    WHERE id = ANY (ARRAY(
        SELECT id FROM outbox WHERE leased_until <= clock_timestamp()
        ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED))
    RETURNING id, routing_key, message_id, body";

const SENT: &str = "DELETE FROM outbox WHERE id = ANY ($1)";

const POSTPONE: &str = "
    UPDATE outbox SET leased_until = clock_timestamp() + $2::bigint * interval '1 millisecond' WHERE id = ANY ($1)";

const COUNT: &str = "SELECT count(*) FROM outbox";

/// Takes some for a while.
pub(super) struct Take {
    pub(super) messages_max: i64,
    pub(super) lease_ms: u64,
}

impl Work for Take {
    type Answer = Vec<Outgoing>;

    async fn attempt(&self, session: &Session) -> Result<Vec<Outgoing>, Fault> {
        let take = session.prepare(TAKE).await?;
        let lease_ms = super::keys::signed(self.lease_ms)?;
        let mut messages = Vec::new();
        for row in session.client()?.query(&take, &[&self.messages_max, &lease_ms]).await? {
            let (id, routing_key, message_id, body) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
            messages.push(Outgoing { id, routing_key, message_id, body });
        }
        messages.sort_by_key(|message| message.id);
        Ok(messages)
    }
}

/// Removes those that were published.
pub(super) struct Sent {
    pub(super) ids: Vec<i64>,
}

impl Work for Sent {
    type Answer = ();

    async fn attempt(&self, session: &Session) -> Result<(), Fault> {
        let sent = session.prepare(SENT).await?;
        session.client()?.execute(&sent, &[&self.ids]).await?;
        Ok(())
    }
}

/// Leaves some alone for a while.
pub(super) struct Postpone {
    pub(super) ids: Vec<i64>,
    pub(super) by_ms: u64,
}

impl Work for Postpone {
    type Answer = ();

    async fn attempt(&self, session: &Session) -> Result<(), Fault> {
        let postpone = session.prepare(POSTPONE).await?;
        let by_ms = super::keys::signed(self.by_ms)?;
        session.client()?.execute(&postpone, &[&self.ids, &by_ms]).await?;
        Ok(())
    }
}

/// How many wait.
pub(super) struct Count;

impl Work for Count {
    type Answer = u64;

    async fn attempt(&self, session: &Session) -> Result<u64, Fault> {
        let count = session.prepare(COUNT).await?;
        let row = session.client()?.query_one(&count, &[]).await?;
        Ok(super::keys::unsigned(row.try_get(0)?))
    }
}
