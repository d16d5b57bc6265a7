//! A server that goes away, comes back, stands still, or lets nobody in.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::*;

const DEADLINE: Duration = Duration::from_secs(60);

fn options(timeout_s: u64) -> Options {
    Options { timeout_s, ..OPTIONS.clone() }
}

/// Applies until it is taken, as the consumer does.
async fn apply(store: &Postgres, events: Vec<Event>) -> usize {
    let deadline = Instant::now() + DEADLINE;
    let mut failures = 0;
    loop {
        match store.apply_events(events.clone()).await {
            Ok(_) => return failures,
            Err(Error::Unavailable(why)) => assert!(Instant::now() < deadline, "{why}"),
            Err(error) => panic!("a server that is away is no more than that: {error}"),
        }
        failures += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_under_load_loses_nothing_that_it_has_taken() {
    let server = OwnServer::start().await;
    let database = Database::create_on(server.url()).await;
    let store = Arc::new(Postgres::open(&database.url(), &options(5)).unwrap());
    store.check().await.unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let loads = (0..3).map(|task| {
        let (store, over) = (Arc::clone(&store), Arc::clone(&over));
        async move {
            let (mut batches, mut failures) = (0, 0);
            while !over.load(Ordering::Relaxed) {
                let order = |n| event(&format!("o-{task}-{batches}-{n}"), "e1", Status::Succeeded, 1);
                failures += apply(&store, (0..10).map(order).collect()).await;
                batches += 1;
            }
            (task, batches, failures)
        }
    });
    let killing = async {
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            server.script("kill").await;
            let read = store.read(&key("o-0-0-0")).await;
            assert!(matches!(&read, Err(Error::Unavailable(_))), "{read:?}");
            server.script("up").await;
            apply(&store, vec![event("between", "e1", Status::Pending, 1)]).await;
        }
        over.store(true, Ordering::Relaxed);
    };
    let (loads, ()) = tokio::join!(futures_util::future::join_all(loads), killing);
    assert!(
        loads.iter().any(|(_, _, failures)| *failures > 0),
        "the load went on while the server was away: {loads:?}"
    );
    for (task, batches, _) in loads {
        for n in (0..batches).flat_map(|batch| (0..10).map(move |n| (batch, n))) {
            let order = format!("o-{task}-{}-{}", n.0, n.1);
            let read = store.read(&key(&order)).await.unwrap();
            assert_eq!(read.expect(&order).version, 1, "{order}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_is_given_up_in_time_and_used_again_when_it_goes_on() {
    let server = OwnServer::start().await;
    let database = Database::create_on(server.url()).await;
    let store = Postgres::open(&database.url(), &options(1)).unwrap();
    apply(&store, vec![event("a", "e1", Status::Pending, 1)]).await;
    let a = key("a");
    server.signal("STOP");
    let (applied, read, shown) = tokio::join!(
        store.apply_events(vec![event("a", "e2", Status::Succeeded, 2)]),
        store.read(&a),
        store.acknowledge(&a, 1, PageRef { transport: crate::telemetry::Transport::Poll, connection: 1 })
    );
    server.signal("CONT");
    assert!(matches!(&applied, Err(Error::Unavailable(why)) if why.contains("no answer in 1 s")), "{applied:?}");
    assert!(matches!(read, Err(Error::Unavailable(_))) && matches!(shown, Err(Error::Unavailable(_))));
    apply(&store, vec![event("a", "e2", Status::Succeeded, 2)]).await;
    let deadline = Instant::now() + DEADLINE;
    let read = loop {
        match store.read(&key("a")).await {
            Ok(read) => break read.unwrap(),
            Err(error) => assert!(matches!(error, Error::Unavailable(_)) && Instant::now() < deadline, "{error}"),
        }
    };
    assert_eq!((read.version, read.status), (2, Status::Succeeded));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_ends_in_a_transaction_is_replaced_at_once() {
    let database = Database::create().await;
    let store = Postgres::open(&database.url(), &options(30)).unwrap();
    store.check().await.unwrap();
    for n in 0..10 {
        let ends = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}' AND pid <> pg_backend_pid()",
            database.name()
        );
        let (outcomes, ()) = tokio::join!(
            store.apply_events(vec![event("a", &format!("e{n}"), Status::Pending, n)]),
            database.execute_beside(&ends)
        );
        assert_eq!(outcomes.unwrap().len(), 1);
    }
    assert_eq!(store.read(&key("a")).await.unwrap().unwrap().version, 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_no_writes_is_unavailable_until_it_does() {
    let database = Database::create().await;
    let store = Postgres::open(&database.url(), &options(30)).unwrap();
    store.check().await.unwrap();
    let name = database.name();
    database.execute_beside(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    let fresh = Postgres::open(&database.url(), &options(30)).unwrap();
    for (what, answer) in [("read", fresh.read(&key("a")).await.map(drop)), ("check", fresh.check().await)] {
        assert!(matches!(&answer, Err(Error::Unavailable(_))), "{what}: {answer:?}");
    }
    database.execute_beside(&format!("ALTER DATABASE {name} RESET default_transaction_read_only")).await;
    fresh.check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_let_in_is_told_why_and_no_password_is_repeated() {
    let database = Database::create().await;
    let (scheme, rest) = database.url().split_once("://").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let (user, host) = (rest.split_once(':').unwrap().0, rest.rsplit_once('@').unwrap().1);
    let wrong = format!("{scheme}://{user}:hunter2@{host}");
    let answer = Postgres::open(&wrong, &options(10)).unwrap().check().await.unwrap_err();
    assert!(matches!(&answer, Error::Unavailable(why) if why.contains("password authentication failed")), "{answer}");
    let nowhere = format!("{scheme}://{user}:hunter2@127.0.0.1:1/none");
    let away = Postgres::open(&nowhere, &options(10)).unwrap().check().await.unwrap_err();
    assert!(matches!(&away, Error::Unavailable(why) if why.contains("refused")), "{away}");
    for error in [answer, away] {
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_that_cannot_be_understood_holds_up_no_other() {
    let database = Database::create().await;
    let store = node(&database, 1);
    let page = PageRef { transport: crate::telemetry::Transport::Poll, connection: 1 };
    let batch = ["a", "b"].map(|order| event(order, "e1", Status::Pending, 1));
    store.apply_events(batch.to_vec()).await.unwrap();
    database.execute("UPDATE payments SET state = '{}' WHERE order_id = 'a'").await;
    let (a, b) = (key("a"), key("b"));
    let (bad, good) = tokio::join!(store.read(&a), store.read(&b));
    assert!(matches!(bad, Err(Error::Corrupt(why)) if why.contains("order a")) && good.unwrap().is_some());
    let (bad, good) = tokio::join!(store.acknowledge(&a, 1, page), store.acknowledge(&b, 1, page));
    assert!(matches!(bad, Err(Error::Corrupt(_))) && matches!(good, Ok(Acknowledgement::First)));
}
