//! Every metric: its name, its kind and what it says. `docs/operations/metrics.md` has the same table, and a test compares them.

/// What a metric does with its values.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Counter,
    Gauge,
    /// With these upper bounds.
    Histogram(&'static [f64]),
}

pub(super) const SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];
pub(super) const EVENTS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

macro_rules! names {
    ($($constant:ident = $name:literal, $kind:expr, $help:literal;)*) => {
        $(pub(super) const $constant: &str = concat!("payment_notifier_", $name);)*
        pub(super) const ALL: &[(&str, Kind, &str)] = &[$(($constant, $kind, $help)),*];
    };
}

names! {
    DELIVERIES = "deliveries_total", Kind::Counter, "Deliveries from RabbitMQ.";
    LARGE_BODIES = "large_bodies_total", Kind::Counter, "Deliveries refused because their body is larger than 1 MiB.";
    REDELIVERIES = "redeliveries_total", Kind::Counter, "Deliveries that RabbitMQ had delivered before.";
    EVENTS_STORED = "events_total", Kind::Counter, "Events by outcome: applied, duplicate, stale, id_reused.";
    EVENTS_IGNORED = "events_ignored_total", Kind::Counter, "Messages acknowledged without being stored, because their mapping ignores their status.";
    EVENTS_HELD = "events_held", Kind::Gauge, "Events that wait, unacknowledged, for payments that cannot be read or written.";
    DAMAGED = "damaged_payments_total", Kind::Counter, "Times that a payment that cannot be read or written was skipped, by what found it: event, escalation, retention.";
    CONFLICTS = "conflicts_total", Kind::Counter, "Contradictions between events of one order, by kind.";
    DEAD_LETTERS = "dead_letters_total", Kind::Counter, "Messages published to the dead-letter exchange, by reason.";
    DEAD_LETTER_FAILURES = "dead_letter_failures_total", Kind::Counter, "Attempts to dead-letter that failed because the exchange accepts nothing.";
    DEAD_LETTERS_REDUCED = "dead_letters_reduced_total", Kind::Counter, "Dead letters that hold only part of their message, by what was left out: headers, body.";
    DEAD_LETTERS_STUCK = "dead_letters_stuck", Kind::Gauge, "Messages that the broker does not accept as a dead letter in any form.";
    ACKS_LOST = "acks_lost_total", Kind::Counter, "Acknowledgements whose channel was closed; RabbitMQ delivers those messages again.";
    IN_FLIGHT = "deliveries_in_flight", Kind::Gauge, "Deliveries received and not yet settled.";
    UNACKNOWLEDGED = "deliveries_unacknowledged", Kind::Gauge, "Deliveries received whose acknowledgement has not been sent. At most amqp.prefetch.";
    MENDED = "messages_mended_total", Kind::Counter, "Properties, headers and names of messages that were readable only after repair: text that is not UTF-8, tables nested too deeply.";
    QUEUE_MESSAGES = "queue_messages_ready", Kind::Gauge, "Messages that wait in a queue, by queue. Consumer lag for the results queue.";
    QUEUE_CONSUMERS = "queue_consumers", Kind::Gauge, "Consumers of the results queue, over all nodes.";
    BROKER_CONNECTED = "broker_connected", Kind::Gauge, "1 while the consumer is established.";
    BROKER_CONNECTS = "broker_connects_total", Kind::Counter, "Attempts to establish the consumer, by result: ok, error.";
    LIVE_CONNECTED = "live_connected", Kind::Gauge, "1 while this node receives changes from its peers; it checks this by receiving its own messages.";
    LIVE_CHANGES = "live_changes_total", Kind::Counter, "Payments and revocations sent to peers or received from them, by direction: out, in.";
    LIVE_DROPPED = "live_dropped_total", Kind::Counter, "Changes that were not sent to peers; the peers read again.";
    LIVE_HITS = "live_hits_total", Kind::Counter, "Payments received from peers for which a page of this node waits.";
    LIVE_GAPS = "live_gaps_total", Kind::Counter, "Times that changes of peers may have been lost, by reason: connected, unheard, sequence, restarted, silent, unreadable, full.";
    LIVE_REREADS = "live_rereads_total", Kind::Counter, "Watched orders that were read again, by cause: gap, steady.";
    LIVE_LAG_SECONDS = "live_lag_seconds", Kind::Histogram(SECONDS), "From the sending of a message by a peer to its arrival, by the clocks of both.";
    STORE_AVAILABLE = "store_available", Kind::Gauge, "1 while commits succeed.";
    READY = "ready", Kind::Gauge, "1 while a part works, by part: broker, consumer, store, node. The process is ready while all are 1.";
    BATCH_EVENTS = "batch_events", Kind::Histogram(EVENTS), "Events per commit.";
    COMMIT_SECONDS = "commit_seconds", Kind::Histogram(SECONDS), "Time to merge and durably commit one batch.";
    PUBLISH_TO_PAGE_SECONDS = "publish_to_page_seconds", Kind::Histogram(SECONDS), "From the publisher's timestamp_in_ms header to the write to the page's socket, by transport.";
    ARRIVAL_TO_PAGE_SECONDS = "arrival_to_page_seconds", Kind::Histogram(SECONDS), "From the delivery to the write to the page's socket, by transport.";
    PAGES_WAITING = "pages_waiting", Kind::Gauge, "Pages that wait, by transport.";
    PAGE_ACKS = "page_acks_total", Kind::Counter, "Versions that pages have acknowledged as shown, by transport.";
    CONNECTIONS = "http_connections", Kind::Gauge, "Open connections from pages.";
    STORE_DISK_FREE = "store_disk_free_bytes", Kind::Gauge, "Space available to the service on the disk of the database file.";
    STORE_DISK_SIZE = "store_disk_size_bytes", Kind::Gauge, "Size of that disk.";
    RESIDENT_MEMORY = "resident_memory_bytes", Kind::Gauge, "Memory of the process that is in RAM.";
    REFUSED = "http_refused_total", Kind::Counter, "Requests and frames refused, by problem code.";
    TLS_HANDSHAKES = "tls_handshakes_total", Kind::Counter, "TLS handshakes by result: ok, failed, timed_out, refused.";
    TLS_CERTIFICATE_LOADS = "tls_certificate_loads_total", Kind::Counter, "Attempts to load a certificate, by result: ok, error.";
    TLS_CERTIFICATE_EXPIRES = "tls_certificate_expires_timestamp_seconds", Kind::Gauge, "When the certificate in use expires, seconds since 1970.";
    TICKETS_ACCEPTED = "tickets_accepted_total", Kind::Counter, "Valid tickets, counted with each poll and each subscribe.";
    TICKETS_REFUSED = "tickets_refused_total", Kind::Counter, "Tickets refused, by reason.";
    KEY_SETS = "ticket_key_sets_total", Kind::Counter, "Key sets for tickets that were fetched or changed, by source and result: ok, error.";
    REVOCATIONS = "revocations_in_force", Kind::Gauge, "Tickets and orders that are revoked.";
    TICKETS_MINTED = "tickets_minted_total", Kind::Counter, "Tickets minted by this service.";
    NOTES_DROPPED = "notes_dropped_total", Kind::Counter, "Timeline entries that were left out, because too many waited or the store did not accept them.";
    OUTBOX_PUBLISHED = "outbox_published_total", Kind::Counter, "Attempts to publish events for merchants, by type and result: confirmed, unroutable, failed, refused.";
    OUTBOX_MESSAGES = "outbox_messages", Kind::Gauge, "Messages that wait in the outbox, over all nodes.";
    ESCALATIONS = "escalations_total", Kind::Counter, "Final results that no page acknowledged in time.";
    INQUIRIES = "inquiries_total", Kind::Counter, "Orders for which a page has waited longer than a span of inquiry.after.";
    RETIRED = "retired_total", Kind::Counter, "What was removed after its retention time: payments, entries.";
    CALLBACKS = "callbacks_total", Kind::Counter, "Notifications of payment providers, by provider and outcome.";
}

macro_rules! process_names {
    ($($constant:ident = $name:literal, $kind:expr, $help:literal;)*) => {
        $(pub(super) const $constant: &str = $name;)*
        pub(super) const PROCESS: &[(&str, Kind, &str)] = &[$(($constant, $kind, $help)),*];
    };
}

// The names are Prometheus' own, without the prefix of this program.
process_names! {
    PROCESS_CPU = "process_cpu_seconds_total", Kind::Counter, "CPU seconds, user and system.";
    PROCESS_RESIDENT = "process_resident_memory_bytes", Kind::Gauge, "Memory of the process that is in RAM.";
    PROCESS_VIRTUAL = "process_virtual_memory_bytes", Kind::Gauge, "Virtual memory of the process.";
    PROCESS_THREADS = "process_threads", Kind::Gauge, "Threads of the process.";
    PROCESS_OPEN_FILES = "process_open_fds", Kind::Gauge, "Open files. Each connection is one.";
    PROCESS_OPEN_FILES_MAX = "process_max_fds", Kind::Gauge, "Maximum number of open files.";
    PROCESS_START = "process_start_time_seconds", Kind::Gauge, "When the process started, seconds since 1970.";
}
