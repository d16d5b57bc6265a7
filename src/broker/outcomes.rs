//! What the outcomes of one commit bring: to pages, to the other nodes, to the outbox, and to who looks at the metrics.

use std::sync::Arc;

use tracing::{Span, warn};

use super::commit::Arrived;
use super::consumer_parts::ConsumerParts;
use crate::hub::Update;
use crate::payment::{Change, Conflict};
use crate::store::Outcome;
use crate::telemetry::trace;

/// The outcomes of one batch.
pub(super) struct Outcomes<'a> {
    parts: &'a ConsumerParts,
    /// An earlier answer of the store was lost or bad.
    tried_before: bool,
    counts: [u64; Change::ALL.len()],
    for_other_nodes: Vec<Arc<Update>>,
    spans: Vec<Span>,
}

impl<'a> Outcomes<'a> {
    pub(super) fn new(parts: &'a ConsumerParts, tried_before: bool) -> Self {
        let (counts, for_other_nodes, spans) = ([0; Change::ALL.len()], Vec::new(), Vec::new());
        Self { parts, tried_before, counts, for_other_nodes, spans }
    }

    /// Gives the payment to the pages that wait, whatever became of the event: after a commit whose answer was lost, they
    /// have not seen it yet. A page that has takes nothing that is not newer.
    pub(super) fn publish(&mut self, arrived: &Arrived, outcome: Outcome) {
        let ConsumerParts { hub, live, metrics, outbox_signal, .. } = self.parts;
        let update = Update::arrived(outcome.payment, arrived.published_at_ms, arrived.received_at);
        hub.publish(&update);
        // A node that stored it may have ended before it sent it to the others.
        let may_be_unsent = self.tried_before || arrived.delivery.redelivered;
        if live.is_some() && (outcome.change == Change::Applied || may_be_unsent) {
            self.for_other_nodes.push(update);
        }
        self.counts[outcome.change as usize] += 1;
        trace::outcome(&arrived.span, outcome.change.as_str());
        for conflict in outcome.conflicts.iter() {
            outbox_signal.notify();
            metrics.conflict(conflict.as_str());
            let (key, event_id) = (&arrived.event.key, &arrived.event.event_id);
            warn!(
                conflict = conflict.as_str(),
                merchant_id = %key.merchant_id,
                order_id = %key.order_id,
                %event_id,
                claims = outcome.claims.len(),
                "{}",
                meaning(conflict)
            );
        }
    }

    /// The span ends when the whole batch is settled.
    pub(super) fn keep_until_settled(&mut self, span: Span) {
        self.spans.push(span);
    }

    /// After all of the batch: sends it to the other nodes, and counts it.
    pub(super) fn finish(self) {
        if let Some(live) = &self.parts.live {
            live.stored(self.for_other_nodes);
        }
        for (change, count) in Change::ALL.into_iter().zip(self.counts).filter(|(_, count)| *count > 0) {
            self.parts.metrics.events(change.as_str(), count);
        }
    }
}

fn meaning(conflict: Conflict) -> &'static str {
    match conflict {
        Conflict::PaidTwice => "an order was paid twice: refund one of the payments",
        Conflict::AttemptsExceeded => "an order has more attempts than are told apart",
        _ => "events of one payment contradict each other",
    }
}
