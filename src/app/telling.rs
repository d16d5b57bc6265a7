//! What is told of orders, joined: notes behind the events, rounds, and the outbox that merchants are told from.

use std::sync::Arc;

use super::rounds::Rounds;
use crate::broker::{self, Outbox, OutboxParts, Publisher};
use crate::config::{EscalatedOrders, Settings};
use crate::hub::Hub;
use crate::runtime::Tasks;
use crate::store::{Bell, NoteOptions, NoteWriter, Notes, PaymentStore};
use crate::telemetry::Metrics;

pub(super) struct Telling {
    pub(super) notes: Notes,
    /// Rung where the outbox has got something.
    pub(super) bell: Bell,
    writer: NoteWriter,
    outbox: Outbox,
    store: Arc<dyn PaymentStore>,
    metrics: Metrics,
}

impl Telling {
    pub(super) fn new(
        settings: &Settings,
        options: &broker::Options,
        store: &Arc<dyn PaymentStore>,
        metrics: &Metrics,
    ) -> Result<Self, broker::Error> {
        let (store, metrics, bell) = (Arc::clone(store), metrics.clone(), Bell::default());
        let noted = NoteOptions {
            waiting_max: settings.timeline.notes_waiting_max,
            stories: settings.timeline.enabled,
            watched: settings.escalation.orders == EscalatedOrders::Watched,
        };
        let (notes, writer) = Notes::new(noted, metrics.clone());
        let parts = OutboxParts {
            store: Arc::clone(&store),
            publisher: Publisher::for_outbox(options)?,
            metrics: metrics.clone(),
            bell: bell.clone(),
        };
        let outbox = Outbox::new(options, parts);
        Ok(Self { notes, bell, writer, outbox, store, metrics })
    }

    pub(super) fn begin(self, settings: &Settings, hub: Arc<Hub>, tasks: &Tasks) {
        tasks.spawn(self.writer.run(Arc::clone(&self.store), tasks.clone()));
        tasks.spawn(self.outbox.run(tasks.clone()));
        let Self { store, metrics, bell, .. } = self;
        Rounds { store, metrics, bell, tasks: tasks.clone() }.begin(settings, hub);
    }
}
