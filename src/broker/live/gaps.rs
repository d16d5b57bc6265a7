//! That something may have been lost.

use tokio::sync::Notify;

use crate::telemetry::Metrics;

/// Why this node may have missed a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gap {
    /// The node receives its own messages, and did not before.
    Connected,
    /// The node does not receive its own messages any more.
    Unheard,
    /// A node's numbers do not follow one another.
    Sequence,
    /// A node has started again, and may not have sent all before.
    Restarted,
    /// A node's heartbeats do not come.
    Silent,
    /// A message cannot be understood.
    Unreadable,
    /// There is no room for another node's revocation.
    Full,
}

impl Gap {
    pub(super) const ALL: [Self; 7] =
        [Self::Connected, Self::Unheard, Self::Sequence, Self::Restarted, Self::Silent, Self::Unreadable, Self::Full];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Unheard => "unheard",
            Self::Sequence => "sequence",
            Self::Restarted => "restarted",
            Self::Silent => "silent",
            Self::Unreadable => "unreadable",
            Self::Full => "full",
        }
    }
}

/// From whoever finds gaps to whoever reads again. Gaps that come while one is waited for are one.
pub(super) struct Gaps {
    metrics: Metrics,
    found: Notify,
}

impl Gaps {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { metrics, found: Notify::new() }
    }

    pub(super) fn note(&self, gap: Gap) {
        self.metrics.live_gap(gap.as_str());
        self.found.notify_one();
    }

    /// Ends with the next gap, or at once where one was found since this last ended.
    pub(super) async fn found(&self) {
        self.found.notified().await;
    }
}
