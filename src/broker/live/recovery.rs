//! How a link that has ended is built anew.

use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use crate::broker::error::Error;
use crate::broker::options::backoff;
use crate::config;
use crate::runtime::{Backoff, Tasks};

/// One link's attempts.
pub(super) struct Recovery {
    link: &'static str,
    backoff: Backoff,
    longest: Duration,
    began: Instant,
    last_why: String,
}

impl Recovery {
    pub(super) fn new(link: &'static str, amqp: &config::Amqp) -> Self {
        let longest = Duration::from_millis(amqp.retry_longest_ms);
        Self { link, backoff: backoff(amqp), longest, began: Instant::now(), last_why: String::new() }
    }

    pub(super) fn begin(&mut self) {
        self.began = Instant::now();
    }

    /// Logs why the link has ended, each reason once, and waits before the next attempt, longer each time unless the link
    /// had stood.
    pub(super) async fn wait(&mut self, error: &Error, tasks: &Tasks) {
        let why = error.to_string();
        if why != self.last_why {
            warn!(link = self.link, reason = why, "link between nodes is down, setting it up again");
            self.last_why = why;
        }
        if self.began.elapsed() >= self.longest {
            self.backoff.reset();
            self.last_why.clear();
        }
        tasks.rest(self.backoff.wait()).await;
    }
}
