//! Messages that wait to be published. Who takes some has them for a while by the database's clock, so that the clocks of
//! nodes do not matter.

use std::time::SystemTime;

use super::fault::Fault;
use super::pool::{Session, Work};
use super::unanswered::Lost;
use crate::store::Outgoing;

const TAKE: &str = "
    UPDATE outbox SET leased_until = clock_timestamp() + $2::bigint * interval '1 millisecond'
    WHERE id = ANY (ARRAY(
        SELECT id FROM outbox WHERE leased_until <= clock_timestamp()
        ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED))
    RETURNING id, routing_key, message_id, body, leased_until";

/// What an attempt before may have taken, whose answer was lost: the end of the lease tells that it was this node.
const GIVE_BACK: &str = "
    UPDATE outbox SET leased_until = '-infinity'
    FROM unnest($1::bigint[], $2::timestamptz[]) AS lost (id, leased_until)
    WHERE outbox.id = lost.id AND outbox.leased_until = lost.leased_until";

const SENT: &str = "DELETE FROM outbox WHERE id = ANY ($1)";

const POSTPONE: &str = "
    UPDATE outbox SET leased_until = clock_timestamp() + $2::bigint * interval '1 millisecond' WHERE id = ANY ($1)";

const COUNT: &str = "SELECT count(*) FROM outbox";

/// Takes some for a while.
pub(super) struct Take<'a> {
    pub(super) lost: &'a Lost,
    pub(super) messages_max: i64,
    pub(super) lease_ms: u64,
}

impl Work for Take<'_> {
    type Answer = Vec<Outgoing>;

    async fn attempt(&self, session: &Session) -> Result<Vec<Outgoing>, Fault> {
        let take = session.prepare(TAKE).await?;
        let (client, lease_ms) = (session.client()?, super::keys::signed(self.lease_ms)?);
        let (lost_ids, lost_leases): (Vec<i64>, Vec<SystemTime>) = self.lost.leases.all().into_iter().unzip();
        session.begin().await?;
        if !lost_ids.is_empty() {
            client.execute(GIVE_BACK, &[&lost_ids, &lost_leases]).await?;
        }
        let (mut messages, mut leases) = (Vec::new(), Vec::new());
        for row in client.query(&take, &[&self.messages_max, &lease_ms]).await? {
            let (id, routing_key, message_id, body) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
            leases.push((id, row.try_get(4)?));
            messages.push(Outgoing { id, routing_key, message_id, body });
        }
        // Only here, when it is known what was taken.
        self.lost.leases.during(|| leases.clone(), session.commit(async { Ok(()) })).await?;
        self.lost.leases.take();
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
