//! Messages that wait to be published. Who takes some has them for a while by the database's clock, so that the clocks of
//! nodes do not matter.

use std::time::SystemTime;

use super::fault::Fault;
use super::keys::{signed, unsigned};
use super::session::Session;
use super::unanswered::Lost;
use crate::store::Outgoing;
use crate::store::columns::sql_limit;

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

const REMOVE: &str = "DELETE FROM outbox WHERE id = ANY ($1)";

const POSTPONE: &str = "
    UPDATE outbox SET leased_until = clock_timestamp() + $2::bigint * interval '1 millisecond' WHERE id = ANY ($1)";

const COUNT: &str = "SELECT count(*) FROM outbox";

/// Leases some for a while, the oldest first.
pub(super) async fn lease(
    session: Session,
    lost: &Lost,
    messages_max: usize,
    lease_ms: u64,
) -> Result<Vec<Outgoing>, Fault> {
    let take = session.prepare(TAKE).await?;
    let (client, lease_ms) = (session.client()?, signed(lease_ms)?);
    let (lost_ids, lost_leases): (Vec<i64>, Vec<SystemTime>) = lost.leases.all().into_iter().unzip();
    session.begin().await?;
    if !lost_ids.is_empty() {
        client.execute(GIVE_BACK, &[&lost_ids, &lost_leases]).await?;
    }
    let (mut messages, mut leases) = (Vec::new(), Vec::new());
    for row in client.query(&take, &[&sql_limit(messages_max), &lease_ms]).await? {
        let (id, routing_key, message_id, body) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        leases.push((id, row.try_get(4)?));
        messages.push(Outgoing { id, routing_key, message_id, body });
    }
    // Only here, when it is known what was taken.
    lost.leases.during(|| leases.clone(), session.commit(async { Ok(()) })).await?;
    lost.leases.take();
    messages.sort_by_key(|message| message.id);
    Ok(messages)
}

/// Removes those that were published.
pub(super) async fn remove(session: Session, ids: &[i64]) -> Result<(), Fault> {
    let remove = session.prepare(REMOVE).await?;
    session.client()?.execute(&remove, &[&ids]).await?;
    Ok(())
}

/// Leaves some alone for a while.
pub(super) async fn postpone(session: Session, ids: &[i64], by_ms: u64) -> Result<(), Fault> {
    let postpone = session.prepare(POSTPONE).await?;
    session.client()?.execute(&postpone, &[&ids, &signed(by_ms)?]).await?;
    Ok(())
}

/// How many wait.
pub(super) async fn len(session: Session) -> Result<u64, Fault> {
    let count = session.prepare(COUNT).await?;
    let row = session.client()?.query_one(&count, &[]).await?;
    Ok(unsigned(row.try_get(0)?))
}
