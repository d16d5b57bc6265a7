//! What every store must do, as tests that know nothing of any one of them.
//!
//! An implementation runs them all with one line: `contract_tests!(expression);` where the expression makes a
//! [`Place`] that holds no payments yet.

mod concurrency;
mod durability;
mod events;
mod merging;
mod revocations;

use std::sync::Arc;

use async_trait::async_trait;

use super::PaymentStore;

pub(crate) use concurrency::*;
pub(crate) use durability::*;
pub(crate) use merging::*;
pub(crate) use revocations::*;

/// More reads than any test but one has waiting.
pub(crate) const READS_WAITING_MAX: usize = 10_000;

/// Where a store keeps its data. Each `open` gives a store on the same data.
#[async_trait]
pub(crate) trait Place: Send + Sync {
    /// Opens the store, with this bound on reads that wait.
    async fn open(&self, reads_waiting_max: usize) -> Arc<dyn PaymentStore>;
}

/// The store at `place`, for tests that open it once or after a `close`.
async fn open(place: &impl Place) -> Arc<dyn PaymentStore> {
    place.open(READS_WAITING_MAX).await
}

/// One test for each rule.
macro_rules! contract_tests {
    ($place:expr) => {
        contract_tests! { @each $place;
            the_first_event_is_version_one
            a_repeated_event_changes_nothing
            an_older_event_is_stale
            an_event_id_with_other_content_is_reported
            a_refund_moves_on_its_own_axis
            a_conflict_is_found_whichever_event_comes_first
            outcomes_stand_in_the_order_of_the_events
            what_nobody_spoke_of_is_unknown
            one_order_number_of_two_merchants_is_two_payments
            texts_come_back_byte_for_byte
            an_empty_batch_is_nothing
            a_page_acknowledges_versions_that_exist
            everything_outlives_a_restart
            an_unclosed_store_has_lost_nothing
            duplicates_are_known_after_a_restart
            a_closed_store_says_so
            closing_twice_is_closing_once
            it_can_be_checked
            a_big_batch_is_one_batch
            a_read_sees_what_was_applied_before
            tasks_at_once_end_in_one_state
            reads_beyond_the_bound_are_refused
            what_is_revoked_outlives_a_restart
            a_revocation_ends_and_the_last_word_on_a_thing_counts
            a_closed_store_revokes_nothing
            who_stops_waiting_harms_nobody
        }
    };
    (@each $place:expr; $($rule:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $rule() {
                $crate::store::contract::$rule(&$place).await;
            }
        )*
    };
}
pub(crate) use contract_tests;
