//! What is recorded of orders, joined: timelines, written behind the events, the outbox with the messages for merchants,
//! and the periodic jobs.

use std::sync::Arc;

use super::periodic_jobs::PeriodicJobs;
use crate::broker::{self, Outbox, OutboxParts, Publisher};
use crate::config::{EscalatedOrders, Settings};
use crate::hub::Hub;
use crate::runtime::Tasks;
use crate::store::{OutboxSignal, PaymentStore, TimelineOptions, TimelineRecorder, TimelineWriter};
use crate::telemetry::Metrics;

pub(super) struct Recording {
    pub(super) timeline: TimelineRecorder,
    /// Notified where the outbox has got something.
    pub(super) outbox_signal: OutboxSignal,
    writer: TimelineWriter,
    outbox: Outbox,
    store: Arc<dyn PaymentStore>,
    metrics: Metrics,
}

impl Recording {
    pub(super) fn new(
        settings: &Settings,
        options: &broker::Options,
        store: &Arc<dyn PaymentStore>,
        metrics: &Metrics,
    ) -> Result<Self, broker::Error> {
        let (store, metrics, outbox_signal) = (Arc::clone(store), metrics.clone(), OutboxSignal::default());
        let options_of_timeline = TimelineOptions {
            waiting_max: settings.timeline.notes_waiting_max,
            timeline: settings.timeline.enabled,
            watched: settings.escalation.orders == EscalatedOrders::Watched,
        };
        let (timeline, writer) = TimelineRecorder::new(options_of_timeline, metrics.clone());
        let parts = OutboxParts {
            store: Arc::clone(&store),
            publisher: Publisher::for_outbox(options)?,
            metrics: metrics.clone(),
            outbox_signal: outbox_signal.clone(),
        };
        let outbox = Outbox::new(options, parts);
        Ok(Self { timeline, outbox_signal, writer, outbox, store, metrics })
    }

    pub(super) fn begin(self, settings: &Settings, hub: Arc<Hub>, tasks: &Tasks) {
        tasks.spawn(self.writer.run(Arc::clone(&self.store), tasks.clone()));
        tasks.spawn(self.outbox.run(tasks.clone()));
        let Self { store, metrics, outbox_signal, .. } = self;
        PeriodicJobs { store, hub, metrics, outbox_signal, tasks: tasks.clone() }.begin(settings);
    }
}
