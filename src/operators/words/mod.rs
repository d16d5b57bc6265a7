//! All words of the operators' page and of an order's timeline, once for each language: a word that one language lacks does
//! not compile. Sentences stand without the codes, ids and error texts that are put beside them, which are the same in each.

mod chinese;
mod english;

use axum::http::StatusCode;

use crate::payment::{Conflict, Status};
use crate::runtime::Component;
use crate::telemetry::Transport;

pub(super) use chinese::CHINESE;
pub(super) use english::ENGLISH;

/// What kind of thing an entry of a timeline is of, as a picture shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Applied,
    Duplicate,
    Stale,
    Refused,
    Conflict,
    PaidTwice,
    Watched,
    Pushed,
    Acknowledged,
    Undelivered,
    Inquired,
    Other,
}

/// The words of one language.
pub(super) struct Words {
    /// The value of `lang` (BCP 47).
    pub(super) tag: &'static str,
    pub(super) page: PageWords,
    pub(super) home: HomeWords,
    pub(super) order: OrderWords,
    pub(super) dead_letters: DeadLetterWords,
    pub(super) timeline: TimelineWords,
}

/// What stands on every page, and what is said where a request is refused.
pub(super) struct PageWords {
    pub(super) skip: &'static str,
    pub(super) node_title: &'static str,
    pub(super) sections: &'static str,
    pub(super) health: &'static str,
    pub(super) orders: &'static str,
    pub(super) dead_letters: &'static str,
    pub(super) in_utc: &'static str,
    pub(super) as_of: fn(clock: &str) -> String,
    pub(super) live: &'static str,
    pub(super) not_live: &'static str,
    pub(super) find_an_order: &'static str,
    pub(super) merchant: &'static str,
    pub(super) order_number: &'static str,
    /// That of an order or of the provider's transaction.
    pub(super) number: &'static str,
    pub(super) find: &'static str,
    pub(super) health_of_node: &'static str,
    pub(super) open: fn(path: &str) -> String,
    pub(super) status: fn(StatusCode) -> &'static str,
    /// What a problem document says, as a whole sentence.
    pub(super) problem: fn(code: &str, detail: &str) -> String,
    /// Whether the detail of a problem, which is English, stands beside [`PageWords::problem`].
    pub(super) shows_detail: fn(code: &str) -> bool,
    pub(super) messages_ready: fn(u64) -> String,
}

/// Of `/`.
pub(super) struct HomeWords {
    pub(super) ready: &'static str,
    pub(super) not_ready: &'static str,
    pub(super) ready_means: &'static str,
    /// What a fault of a component means for pages and results.
    pub(super) consequence: fn(Component) -> &'static str,
    pub(super) lag: &'static str,
    pub(super) waiting_in: &'static str,
    pub(super) events_per_s: &'static str,
    pub(super) rates: fn(of_60_s: &str) -> String,
    pub(super) arrival_to_page: &'static str,
    pub(super) percentiles: fn(p50: &str, pages: u64, window_s: u64) -> String,
    pub(super) pages_waiting: &'static str,
    pub(super) on_this_node: &'static str,
    pub(super) outbox: &'static str,
    pub(super) outbox_means: &'static str,
    pub(super) none_wait: &'static str,
    pub(super) look_at_them: &'static str,
    pub(super) flag: &'static str,
    pub(super) transport: fn(Transport) -> &'static str,
    pub(super) no_dead_letters: &'static str,
    pub(super) as_looked_at: fn(clock: &str) -> String,
    pub(super) put_aside: &'static str,
    pub(super) look: &'static str,
    pub(super) at_those_that_wait: &'static str,
    pub(super) this_node: &'static str,
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    pub(super) store: &'static str,
    pub(super) works: &'static str,
    pub(super) does_not_work: &'static str,
    pub(super) queue: &'static str,
    pub(super) curve: fn(seconds: usize, most: f64) -> String,
}

/// Of `/orders`.
pub(super) struct OrderWords {
    pub(super) title: &'static str,
    pub(super) where_is_an_order: &'static str,
    pub(super) not_by_browser: &'static str,
    pub(super) another: &'static str,
    pub(super) several: &'static str,
    pub(super) maybe_more: &'static str,
    pub(super) recent: &'static str,
    pub(super) none_yet: &'static str,
    pub(super) without_result: &'static str,
    pub(super) unknown: &'static str,
    pub(super) unknown_means: &'static str,
    pub(super) order_of: fn(merchant_id: &str) -> String,
    /// Before and after the name of the setting `timeline.keep`.
    pub(super) no_timeline: [&'static str; 2],
    pub(super) no_result: &'static str,
    pub(super) no_result_means: &'static str,
    pub(super) status: fn(Status, is_final: bool) -> String,
    pub(super) page_has_shown_it: &'static str,
    pub(super) page_has_shown_version: fn(u64) -> String,
    pub(super) sent_and_not_acknowledged: &'static str,
    pub(super) not_acknowledged: &'static str,
    pub(super) merchant_was_told: &'static str,
    pub(super) full_stop: &'static str,
    pub(super) conflict: &'static str,
    pub(super) conflict_means: &'static str,
    pub(super) paid_twice: &'static str,
    pub(super) paid_twice_means: &'static str,
    pub(super) amount: &'static str,
    pub(super) provider: &'static str,
    pub(super) occurred_at: &'static str,
    pub(super) refund: &'static str,
    pub(super) reason: &'static str,
    pub(super) clocks_of_nodes: &'static str,
    pub(super) clock_of: &'static str,
    pub(super) latest_entries: fn(usize) -> String,
    pub(super) time: &'static str,
    pub(super) since_the_first: &'static str,
    pub(super) what: &'static str,
    pub(super) node: &'static str,
}

/// Of `/dead-letters`.
pub(super) struct DeadLetterWords {
    pub(super) look_again: &'static str,
    pub(super) look_costs: &'static str,
    pub(super) not_known_yet: &'static str,
    pub(super) none_waits: &'static str,
    pub(super) wait: fn(&str) -> String,
    /// When, how many messages there were, and how many of them were looked at where that is less.
    pub(super) looked_at: fn(clock: &str, in_queue: u64, looked_at: Option<&str>) -> String,
    pub(super) by_reason: &'static str,
    pub(super) filter: &'static str,
    pub(super) reason: &'static str,
    pub(super) any: &'static str,
    pub(super) none_selected: &'static str,
    pub(super) first_of: fn(shown: usize, of: usize) -> String,
    pub(super) no_more_than: fn(usize) -> String,
    pub(super) shows_more: &'static str,
    pub(super) order: &'static str,
    pub(super) replays: fn(n: i64, failed_again: bool) -> String,
    pub(super) all: &'static str,
    pub(super) dead_letter: &'static str,
    pub(super) replay_step: &'static str,
    pub(super) show_body: &'static str,
    pub(super) body_warning: &'static str,
    pub(super) properties: &'static str,
    pub(super) headers: &'static str,
    pub(super) body: &'static str,
    pub(super) body_base64: &'static str,
    /// In the order of `pages::dead_letters::MEMBERS`.
    pub(super) members: [&'static str; 10],
    pub(super) replay_title: &'static str,
    pub(super) replay_question: &'static str,
    pub(super) replay_means: &'static str,
    pub(super) replay_again: &'static str,
    pub(super) replay: fn(id: &str) -> String,
    pub(super) no: &'static str,
    pub(super) replayed: &'static str,
    /// Before and after the id.
    pub(super) was_published: [&'static str; 2],
    pub(super) shows_in_order: &'static str,
    pub(super) bad_for_good: &'static str,
    pub(super) discard_step: &'static str,
    pub(super) discard_title: &'static str,
    pub(super) discard_question: &'static str,
    pub(super) discard_means: &'static str,
    pub(super) discard: fn(id: &str) -> String,
    pub(super) discarded: &'static str,
    /// Before and after the id.
    pub(super) was_discarded: [&'static str; 2],
}

/// Of an order's timeline: the picture, and a label and a sentence for each entry.
pub(super) struct TimelineWords {
    pub(super) title: &'static str,
    pub(super) lanes: [&'static str; 4],
    pub(super) caption: &'static str,
    pub(super) latest_of: fn(drawn: usize, of: usize) -> String,
    /// A word beside a mark; none for a mark that has its version beside it.
    pub(super) mark: fn(Mark) -> &'static str,

    pub(super) arrived_label: &'static str,
    pub(super) conflict_label: &'static str,
    pub(super) paid_twice_label: &'static str,
    pub(super) watched_label: &'static str,
    pub(super) pushed_label: &'static str,
    pub(super) acknowledged_label: &'static str,
    pub(super) undelivered_label: &'static str,
    pub(super) inquired_label: &'static str,
    pub(super) dead_letter_label: &'static str,
    pub(super) other_label: &'static str,

    /// `, redelivered`
    pub(super) redelivered: &'static str,
    pub(super) applied: fn(status: &str, event_id: &str, again: &str, version: Option<u64>) -> String,
    pub(super) duplicate: fn(status: &str, event_id: &str, again: &str) -> String,
    pub(super) stale: fn(status: &str, event_id: &str, again: &str) -> String,
    pub(super) id_reused: fn(status: &str, event_id: &str, again: &str) -> String,
    pub(super) other_outcome: fn(status: &str, event_id: &str, again: &str, outcome: &str) -> String,
    pub(super) conflict: fn(kinds: &str, event_id: &str, claims: &[String]) -> String,
    /// What one event of a conflict says. The number may be empty.
    pub(super) claim: fn(status: &str, number: &str, details: &[String]) -> String,
    pub(super) event: fn(id: &str) -> String,
    /// The code of a kind of conflict with what it means.
    pub(super) conflict_kind: fn(code: &str, kind: Option<Conflict>) -> String,
    pub(super) page: fn(transport: &str, connection: u64) -> String,
    pub(super) version: fn(Option<u64>) -> String,
    pub(super) watched: fn(page: &str, more_pages: u64) -> String,
    pub(super) pushed: fn(version: &str, page: &str, after_ms: Option<u64>) -> String,
    pub(super) page_acknowledged: fn(version: &str, page: &str, after_ms: Option<u64>) -> String,
    pub(super) undelivered: fn(version: &str) -> String,
    pub(super) inquired: fn(waited_s: u64) -> String,
    pub(super) dead_lettered: fn(event_id: &str, reason: &str) -> String,
}

/// `12,345`
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn one_is_told_from_many() {
        let said = |n| (ENGLISH.page.messages_ready)(n);
        assert_eq!((said(1), said(0)), ("1 message ready".into(), "0 messages ready".into()));
        assert_eq!((CHINESE.page.messages_ready)(2000), "2,000 条消息待处理");
    }
}
