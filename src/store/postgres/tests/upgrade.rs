//! Tables that an older program made, and that it goes on working on.

use super::*;

fn bearing(order: &str, id: &str, transaction: &str) -> Event {
    Event { provider_transaction_id: Some(transaction.into()), ..event(order, id, Status::Succeeded, 1) }
}

async fn found(store: &Postgres, transaction: &str) -> usize {
    store.orders_of_transaction(transaction, None).await.unwrap().orders.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payments_from_before_the_index_of_transactions_are_put_into_it() {
    let database = Database::create().await;
    let store = node(&database, 1);
    let before = (0..25).map(|n| bearing(&format!("o{n:02}"), "e1", &format!("t{n}"))).collect();
    store.apply_events(before).await.unwrap();
    store.apply_events(vec![bearing("damaged", "e1", "d1")]).await.unwrap();
    store.close().await;
    let as_before = "
        DROP TRIGGER payments_deleted ON payments; DROP FUNCTION payments_deleted; DROP TABLE transactions;
        DELETE FROM schema_steps WHERE step = 2;
        UPDATE payments SET state = '{' WHERE order_id = 'damaged'";
    database.execute(as_before).await;

    let store = node(&database, 2);
    assert_eq!(found(&store, "t0").await, 0);
    let nothing = PurgeBefore { payments_ms: i64::MIN, entries_ms: i64::MIN, unknown_ms: i64::MIN };
    let mut damaged = 0;
    loop {
        let step = store.purge(nothing, 10).await.unwrap();
        damaged += step.damaged;
        if step.done {
            break;
        }
    }
    assert_eq!(damaged, 1);
    for n in 0..25 {
        assert_eq!(found(&store, &format!("t{n}")).await, 1, "t{n}");
    }
    // What an older program makes and removes meanwhile, as it does both.
    let older = "
        INSERT INTO payments (merchant_id, order_id, version, status, final, created_ms, changed_ms, state)
        SELECT merchant_id, 'older', version, status, final, created_ms + 60000, changed_ms,
            replace(replace(state, '\"o03\"', '\"older\"'), '\"t3\"', '\"t-older\"')
        FROM payments WHERE order_id = 'o03';
        DELETE FROM payments WHERE order_id = 'o04'";
    database.execute(older).await;
    assert_eq!((found(&store, "t-older").await, found(&store, "t4").await), (0, 0));
    store.purge(nothing, 100).await.unwrap();
    assert_eq!(found(&store, "t-older").await, 1);
    store.apply_events(vec![event("o04", "e9", Status::Pending, 1)]).await.unwrap();
    assert_eq!(found(&store, "t4").await, 0);
    // Not for ever.
    database.execute("UPDATE meta SET value = 1 WHERE name = 'index_transactions_until_ms'").await;
    store.purge(nothing, 100).await.unwrap();
    database.execute("INSERT INTO meta VALUES ('index_transactions_until_ms', 1)").await;
}
