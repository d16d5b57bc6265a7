//! The words in English.

use super::{DeadLetterWords, HomeWords, Mark, OrderWords, PageWords, TimelineWords, Words, thousands};
use crate::payment::Conflict;
use crate::runtime::Component;
use crate::telemetry::Transport;

pub(in crate::operators) const ENGLISH: Words =
    Words { tag: "en", page: PAGE, home: HOME, order: ORDER, dead_letters: DEAD_LETTERS, timeline: TIMELINE };

const PAGE: PageWords = PageWords {
    skip: "Skip to the content",
    node_title: "The name of this node",
    sections: "Sections of this page",
    health: "Health",
    orders: "Orders",
    dead_letters: "Dead letters",
    in_utc: "all times are UTC",
    as_of: |clock| format!("as of {clock}"),
    live: "live",
    not_live: "not live: this node does not answer",
    find_an_order: "Find an order",
    merchant: "Merchant (optional)",
    order_number: "Order number",
    number: "Order or transaction number",
    find: "Find",
    health_of_node: "Health of this node",
    open: |path| format!("Open {path}"),
    status: |status| status.canonical_reason().unwrap_or("Error"),
    problem: |_code, detail| format!("{detail}."),
    shows_detail: |_code| false,
    messages_ready: |n| count(n, "message ready", "messages ready"),
};

const HOME: HomeWords = HomeWords {
    ready: "Ready",
    not_ready: "Not ready",
    ready_means: "Results are taken from RabbitMQ, stored, and shown to the pages that wait.",
    consequence: |component| match component {
        Component::Broker => {
            "No connection to RabbitMQ, or its exchanges and queues do not match. Results wait there; pages get what is stored."
        }
        Component::Consumer => "Results are not taken from their queue, or wait for the store. None is lost.",
        Component::Store => {
            "Payments cannot be read or written. Nothing is acknowledged to RabbitMQ, so nothing is lost."
        }
        Component::Node => "The process starts or drains.",
    },
    lag: "Lag",
    waiting_in: "waiting in ",
    events_per_s: "Events a second",
    rates: |of_60_s| format!("in 10 s; {of_60_s} in 60 s"),
    arrival_to_page: "Arrival to page, p99",
    percentiles: |p50, pages, window_s| {
        let window = if window_s >= 60 { format!("{} min", window_s / 60) } else { format!("{window_s} s") };
        format!("p50 {p50}; {} updated in {window}", count(pages, "page", "pages"))
    },
    pages_waiting: "Pages waiting",
    on_this_node: "on this node",
    outbox: "Outbox",
    outbox_means: "messages to merchants, not out yet",
    none_wait: "none wait for you",
    look_at_them: "look at them",
    flag: "look",
    transport: |transport| match transport {
        Transport::WebSocket => "WebSocket",
        Transport::Sse => "event stream",
        Transport::LongPoll => "long poll",
        Transport::Poll => "poll",
    },
    no_dead_letters: "None. Every result was applied or has been dealt with.",
    as_looked_at: |clock| format!("as looked at {clock}"),
    put_aside: "dead-lettered by this node since its start; ",
    look: "look",
    at_those_that_wait: " at those that wait",
    this_node: "This node",
    name: "Name",
    version: "Version",
    store: "Store",
    works: "works",
    does_not_work: "does not work",
    queue: "Queue",
    curve: |seconds, most| format!("events each second of the last {seconds}, at most {most:.0}"),
};

const ORDER: OrderWords = OrderWords {
    title: "Orders",
    where_is_an_order: "Where is an order?",
    not_by_browser: "a browser cannot ask for an order of this name",
    another: "Another order",
    several: "Several orders have this number",
    maybe_more: "There may be more: name the merchant.",
    recent: "Latest orders",
    none_yet: "No event of any order has arrived yet.",
    without_result: "no result",
    unknown: "No event of this order has arrived.",
    unknown_means: " No result has come, and no page has waited for it. Is the merchant the right one?",
    order_of: |merchant_id| format!("Order of {merchant_id}"),
    no_timeline: ["There is no timeline: it is switched off, or it is older than ", "."],
    no_result: "No result has arrived.",
    no_result_means: " The payment system has not published one for this order, or it is among the dead letters.",
    status: |status, is_final| {
        format!("{}{}", status.as_str().replace('_', " "), if is_final { ", final." } else { ", not final yet." })
    },
    page_has_shown_it: "A page has shown it.",
    page_has_shown_version: |version| format!("A page has shown version {version}, and not this one."),
    sent_and_not_acknowledged: "It was sent to a page, but no page has acknowledged it.",
    not_acknowledged: "No page has acknowledged it.",
    merchant_was_told: " Published for the merchant: ",
    full_stop: ".",
    conflict: "Contradiction.",
    conflict_means: " Events of this order cannot all be true; the greater one stands. Ask the payment provider.",
    paid_twice: "Paid twice.",
    paid_twice_means: " A second charge: refund it. The charges are:",
    amount: "Amount",
    provider: "Provider",
    occurred_at: "Occurred at",
    refund: "Refund",
    reason: "Reason",
    clocks_of_nodes: "Times are UTC, by the clock of the node that wrote the entry",
    clock_of: "Times are UTC, by the clock of ",
    latest_entries: |n| format!("; the latest {n} entries"),
    time: "Time",
    since_the_first: "Since the first",
    what: "What",
    node: "Node",
};

const DEAD_LETTERS: DeadLetterWords = DeadLetterWords {
    look_again: "Look again",
    look_costs: "Each is a payment result that was not applied. A look takes every message and hands it back, which RabbitMQ \
        counts as a delivery of each; so this page looks only when asked.",
    not_known_yet: "How many wait is not known yet.",
    none_waits: "None waits.",
    wait: |n| format!("{n} wait in the queue."),
    looked_at: |clock, in_queue, looked_at| {
        let part = looked_at.map(|n| format!(", of which {n} were looked at")).unwrap_or_default();
        format!(" Looked at {clock}: {}{part}.", count(in_queue, "message", "messages"))
    },
    by_reason: "By reason",
    filter: "Filter",
    reason: "Reason",
    any: "any",
    none_selected: "The filter selects none of them.",
    first_of: |shown, of| format!("The first {shown} of {of}."),
    no_more_than: |n| format!("No more than {n} are kept here: "),
    shows_more: " shows more.",
    order: "order ",
    replays: |n, failed_again| format!("replayed {n}×{}", if failed_again { ", failed again" } else { "" }),
    all: "All dead letters",
    dead_letter: "Dead letter",
    replay_step: "Replay…",
    show_body: "Show the body",
    body_warning: "it may hold personal data of the payer",
    properties: "properties",
    headers: "headers",
    body: "body",
    body_base64: "body, base64",
    members: [
        "reason",
        "error",
        "order id",
        "dead lettered at",
        "replays",
        "history",
        "exchange",
        "routing key",
        "body bytes",
        "delivery count",
    ],
    replay_title: "Replay?",
    replay_question: "Replay this dead letter?",
    replay_means: "It is published to the results again, with the routing key that it had first, and taken out of the dead \
        letters once RabbitMQ has confirmed that. If it is still wrong it comes back. Other queues that are bound to the \
        exchange get it too.",
    replay_again: "It has failed again for the same reason after its last replay. Replay it all the same.",
    replay: |id| format!("Replay {id}"),
    no: "No, go back",
    replayed: "Replayed",
    was_published: ["Dead letter ", " was published to the results again, confirmed, and taken out."],
    shows_in_order: "Whether it is understood this time shows in the order's timeline, or here again. ",
    bad_for_good: "A replay cannot help: the message itself is bad and would come back. Have it published correctly, and discard \
        this one.",
    discard_step: "Discard…",
    discard_title: "Discard?",
    discard_question: "Discard this dead letter?",
    discard_means: "It is removed for good. Nothing else keeps its body.",
    discard: |id| format!("Discard {id}"),
    discarded: "Discarded",
    was_discarded: ["Dead letter ", " was removed for good."],
};

const TIMELINE: TimelineWords = TimelineWords {
    title: "The order's timeline",
    lanes: ["arrived", "pushed", "acked", "out"],
    caption: "Time runs down. A dashed line is a pause of a second or more, not drawn to scale.",
    latest_of: |drawn, of| format!(" The latest {drawn} of {of} entries."),
    mark: |mark| match mark {
        Mark::Applied | Mark::Pushed | Mark::Acknowledged => "",
        Mark::Duplicate => "repeat",
        Mark::Stale => "stale",
        Mark::Refused => "refused",
        Mark::Conflict => "conflict",
        Mark::PaidTwice => "paid twice",
        Mark::Watched => "waits",
        Mark::Undelivered => "escalated",
        Mark::Inquired => "inquiry",
        Mark::Other => "other",
    },
    arrived_label: "arrived",
    conflict_label: "CONFLICT",
    paid_twice_label: "PAID TWICE",
    watched_label: "watched",
    pushed_label: "pushed",
    acknowledged_label: "acknowledged",
    undelivered_label: "escalated",
    inquired_label: "inquired",
    dead_letter_label: "dead letter",
    other_label: "other",
    redelivered: ", redelivered",
    applied: |status, event_id, again, version| {
        let version = version.map_or_else(String::new, |version| format!(" as version {version}"));
        format!("{status} (event {event_id}{again}), applied{version}")
    },
    duplicate: |status, event_id, again| format!("repeated event {event_id} ({status}{again}), nothing changed"),
    stale: |status, event_id, again| {
        format!("stale {status} (event {event_id}{again}): the order is further along, nothing changed")
    },
    id_reused: |status, event_id, again| {
        format!("{status} under the id of another event ({event_id}{again}), nothing changed")
    },
    other_outcome: |status, event_id, again, outcome| format!("{status} (event {event_id}{again}), {outcome}"),
    conflict: |kinds, event_id, claims| {
        let claims: String = claims.iter().map(|claim| format!("; {claim}")).collect();
        format!("{kinds}, by event {event_id}: payment.conflict published{claims}")
    },
    claim: |status, number, details| {
        let space = if number.is_empty() { "" } else { " " };
        format!("{status}{space}{number} ({})", details.join(", "))
    },
    event: |id| format!("event {id}"),
    conflict_kind: |code, kind| {
        let meaning = match kind {
            None => "another kind",
            Some(Conflict::FailedAndCanceled) => "both failed and canceled",
            Some(Conflict::FailedAndExpired) => "both failed and expired",
            Some(Conflict::CanceledAndExpired) => "both canceled and expired",
            Some(Conflict::FailedAfterSucceeded) => "failed at a later time than succeeded",
            Some(Conflict::CanceledAfterSucceeded) => "canceled at a later time than succeeded",
            Some(Conflict::ExpiredAfterSucceeded) => "expired at a later time than succeeded",
            Some(Conflict::PaidTwice) => "a second charge: refund it",
            Some(Conflict::AmountDiffers) => "one payment with two amounts",
            Some(Conflict::AttemptsExceeded) => "more attempts than are told apart",
        };
        format!("{code} ({meaning})")
    },
    page: |transport, connection| {
        let transport = match transport {
            "sse" => "event stream",
            "long_poll" => "long poll",
            other => other,
        };
        format!("by {transport} (connection {connection})")
    },
    version: |version| version.map_or_else(|| "a version".to_owned(), |version| format!("version {version}")),
    watched: |page, more_pages| match more_pages {
        0 => format!("a page began to wait {page}"),
        more => format!("a page began to wait {page}, and {more} more since"),
    },
    pushed: |version, page, after_ms| match after_ms {
        Some(ms) => format!("{version} to a page {page}, {ms} ms after arrival"),
        None => format!("{version} to a page {page}, as it stood when the page came"),
    },
    page_acknowledged: |version, page, after_ms| {
        let after = after_ms.map(|ms| format!(", {ms} ms after arrival")).unwrap_or_default();
        format!("{version} was shown by a page {page}{after}")
    },
    undelivered: |version| format!("no page has acknowledged {version}: payment.undelivered published"),
    inquired: |waited_s| format!("a page has waited {waited_s} s for a result: payment.inquiry published"),
    dead_lettered: |event_id, reason| format!("event {event_id} is in the dead letters: {reason}"),
};

/// `1 message`, `2,000 messages`
fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(number), if number == 1 { one } else { many })
}
