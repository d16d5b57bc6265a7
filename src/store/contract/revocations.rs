//! What is revoked, and for how long.

use super::events::key;
use super::{Place, open};
use crate::store::{Error, Revocation, Revoked};

const NOW_S: i64 = 1_800_000_000;

fn ticket(n: u8, until_s: i64) -> Revocation {
    Revocation { revoked: Revoked::Ticket([n; 16]), until_s }
}

fn order(name: &str, until_s: i64) -> Revocation {
    Revocation { revoked: Revoked::Order(key(name)), until_s }
}

fn sorted(mut revocations: Vec<Revocation>) -> Vec<Revocation> {
    revocations.sort_by_key(|revocation| format!("{revocation:?}"));
    revocations
}

pub(crate) async fn what_is_revoked_outlives_a_restart(place: &impl Place) {
    let store = open(place).await;
    assert_eq!(store.revocations(NOW_S).await.unwrap(), []);
    let all = [ticket(1, NOW_S + 10), ticket(2, NOW_S + 20), order("a", NOW_S + 10), order("b", i64::MAX)];
    for revocation in &all {
        store.revoke(revocation, NOW_S).await.unwrap();
    }
    store.close().await;
    let store = open(place).await;
    assert_eq!(sorted(store.revocations(NOW_S).await.unwrap()), sorted(all.to_vec()));
}

pub(crate) async fn a_revocation_ends_and_the_last_word_on_a_thing_counts(place: &impl Place) {
    let store = open(place).await;
    for revocation in [ticket(1, NOW_S + 10), order("a", NOW_S + 20), order("b", NOW_S + 20)] {
        store.revoke(&revocation, NOW_S).await.unwrap();
    }
    // Longer, shorter, and lifted.
    for revocation in [ticket(1, NOW_S + 30), order("a", NOW_S + 5), order("b", NOW_S)] {
        store.revoke(&revocation, NOW_S).await.unwrap();
    }
    let expected = [ticket(1, NOW_S + 30), order("a", NOW_S + 5)];
    assert_eq!(sorted(store.revocations(NOW_S).await.unwrap()), sorted(expected.to_vec()));
    assert_eq!(store.revocations(NOW_S + 5).await.unwrap(), [ticket(1, NOW_S + 30)]);
    assert_eq!(store.revocations(NOW_S + 30).await.unwrap(), []);
    // What was over when another was taken is forgotten, whatever time it is.
    store.revoke(&order("c", NOW_S + 60), NOW_S + 40).await.unwrap();
    assert_eq!(store.revocations(0).await.unwrap(), [order("c", NOW_S + 60)]);
}

pub(crate) async fn a_closed_store_revokes_nothing(place: &impl Place) {
    let store = open(place).await;
    store.close().await;
    assert!(matches!(store.revoke(&ticket(1, NOW_S + 1), NOW_S).await, Err(Error::Closed)));
    assert!(matches!(store.revocations(NOW_S).await, Err(Error::Closed)));
}
