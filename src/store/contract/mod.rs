//! What every store must do, as tests that know nothing of any one of them.
//!
//! An implementation runs them all with one line: `contract_tests!(expression);` where the expression makes a
//! [`Place`] that holds no payments yet.

mod concurrency;
mod damage;
mod durability;
mod events;
mod merging;
mod orders;
mod outbox;
mod retention;
mod revocations;
mod timelines;

use std::sync::Arc;

use async_trait::async_trait;

use super::{EscalatedOrders, Escalation, PaymentStore};

pub(crate) use concurrency::*;
pub(crate) use damage::*;
pub(crate) use durability::*;
pub(crate) use merging::*;
pub(crate) use orders::*;
pub(crate) use outbox::*;
pub(crate) use retention::*;
pub(crate) use revocations::*;
pub(crate) use timelines::*;

/// More reads than any test but one has waiting.
pub(crate) const READS_WAITING_MAX: usize = 10_000;

/// What a store is opened with.
pub(crate) struct Settings {
    /// Reads that may wait.
    pub(crate) reads_waiting_max: usize,
    /// The node's name.
    pub(crate) instance: String,
    /// Whether what happens to orders is written down.
    pub(crate) timeline: bool,
    /// Which results count as undelivered, and when.
    pub(crate) escalation: Escalation,
}

impl Settings {
    fn escalating(self, after_ms: u64, orders: EscalatedOrders) -> Self {
        Self { escalation: Escalation { after_ms, orders }, ..self }
    }
}

/// What most tests open a store with.
fn settings() -> Settings {
    Settings {
        reads_waiting_max: READS_WAITING_MAX,
        instance: "node-1".to_owned(),
        timeline: true,
        escalation: Escalation { after_ms: 60_000, orders: EscalatedOrders::Off },
    }
}

/// Where a store keeps its data. Each `open` gives a store on the same data.
#[async_trait]
pub(crate) trait Place: Send + Sync {
    /// Opens the store with these settings.
    async fn open(&self, settings: Settings) -> Arc<dyn PaymentStore>;

    /// Runs SQL that every store knows on the data, behind the store's back.
    async fn execute(&self, sql: &str);

    /// From here on the database refuses every change of the payments of these orders, and their removal, as a rule of an
    /// operator's own would.
    async fn refuse(&self, orders: &[&str]);

    /// Takes that rule back.
    async fn refuse_nothing(&self);
}

/// The store at `place`, for tests that open it once or after a `close`.
async fn open(place: &impl Place) -> Arc<dyn PaymentStore> {
    place.open(settings()).await
}

/// [`open`], with other settings.
async fn open_with(place: &impl Place, settings: Settings) -> Arc<dyn PaymentStore> {
    place.open(settings).await
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
            a_timeline_says_what_each_event_did
            a_timeline_says_what_pages_did
            a_timeline_begins_before_the_first_event
            one_commit_records_all_that_is_in_it
            a_timeline_keeps_its_latest_entries
            switched_off_nothing_is_recorded_and_all_else_is_as_before
            a_closed_store_records_nothing
            the_first_acknowledgement_of_a_result_is_delivered
            a_result_that_no_page_shows_is_undelivered_once
            an_acknowledgement_ends_the_escalation
            which_orders_are_escalated_is_set
            a_page_that_comes_late_is_given_time
            each_conflict_is_published_once
            each_further_charge_of_an_order_is_published_once
            attempts_that_came_to_nothing_contradict_none_that_succeeded
            each_step_of_an_inquiry_is_published_once_and_none_after_the_result
            what_is_taken_from_the_outbox_comes_back_unless_it_was_sent
            old_payments_go_with_all_that_belongs_to_them
            old_entries_go_and_their_payment_stays
            what_waits_to_be_published_outlives_its_payment
            purging_stands_in_nobodys_way
            an_order_of_many_events_keeps_little_more_than_it_shows
            what_is_known_of_an_order_without_a_payment_goes_whatever_is_kept_of_payments
            a_payment_that_cannot_be_read_holds_up_no_other
            damaged_results_do_not_keep_those_of_others_from_being_escalated
            a_payment_that_cannot_be_removed_stays_alone
            what_is_postponed_comes_back_later_and_in_front_of_nobody
            a_payment_that_cannot_be_written_holds_up_no_other
            an_order_is_found_by_each_number_that_its_events_bore
            an_order_keeps_no_more_numbers_than_it_may
            a_number_that_many_orders_bear_is_answered_within_bounds
            an_order_is_found_without_its_merchant
            the_orders_of_which_something_was_recorded_last_come_first
            without_timelines_recent_orders_are_those_that_were_made_last
            a_providers_number_goes_with_its_payment
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
