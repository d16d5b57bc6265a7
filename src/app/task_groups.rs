//! The tasks of each part of the program, and the order in which they end.

use std::time::Duration;

use crate::broker;
use crate::runtime::Tasks;

/// How long each part may take to end once it was told to.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// In the order in which they end.
#[derive(Default)]
pub(super) struct TaskGroups {
    pub(super) consuming: Tasks,
    pub(super) serving: Tasks,
    /// The timeline's writer, the outbox's publisher and the periodic jobs.
    pub(super) recording: Tasks,
    pub(super) background: Tasks,
}

impl TaskGroups {
    /// Ends them one after the other. Pages have `drain` to leave.
    pub(super) async fn end(&self, drain: Duration, publishers: &[broker::Publisher]) {
        // What is in flight is stored and shown before the pages are asked to leave.
        end("consumer", &self.consuming, STOP_LIMIT).await;
        end("pages", &self.serving, drain + STOP_LIMIT).await;
        // What pages did last is in the timelines, and the messages for merchants are published or kept.
        end("outbox", &self.recording, STOP_LIMIT).await;
        publishers.iter().for_each(broker::Publisher::close);
        end("admin", &self.background, STOP_LIMIT).await;
    }
}

async fn end(part: &'static str, tasks: &Tasks, limit: Duration) {
    tasks.stop();
    if let Err(left) = tasks.join(limit).await {
        tracing::warn!(part, left, "tasks did not end in time");
    }
}
