//! Reads again what pages of this node wait for: at once after a gap, and slowly all the time. Bounded in what it asks of
//! the store in one second, whatever the number of gaps.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, warn};

use super::shared::{LiveParts, Shared};
use crate::hub::Update;
use crate::payment::Key;
use crate::runtime::{Backoff, Tasks};
use crate::store;

/// Orders that are read at once.
const ORDERS_AT_ONCE_MAX: u32 = 128;
/// Between the ends and the beginnings of two passes.
const PASS_PAUSE: Duration = Duration::from_millis(50);
/// In place of `live.reread_s` while nothing is received from the other nodes.
const REREAD_UNHEARD: Duration = Duration::from_secs(5);
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LONGEST: Duration = Duration::from_secs(5);

/// Why all is read again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    Gap,
    Steady,
}

impl Cause {
    pub(super) const ALL: [Self; 2] = [Self::Gap, Self::Steady];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Gap => "gap",
            Self::Steady => "steady",
        }
    }
}

/// Reads again until `tasks` are told to stop.
pub(super) async fn run(shared: &Shared, tasks: &Tasks) {
    let reread = Reread { shared };
    let mut cause = Cause::Steady;
    loop {
        let began = Instant::now();
        let next = tokio::select! {
            next = reread.pass(cause) => next,
            () = tasks.stopping() => return,
        };
        let rest = reread.period().saturating_sub(began.elapsed()).max(PASS_PAUSE);
        cause = match next {
            Some(cause) => cause,
            None => tokio::select! {
                () = shared.gaps.found() => Cause::Gap,
                () = tokio::time::sleep(rest) => Cause::Steady,
                () = tasks.stopping() => return,
            },
        };
        tokio::time::sleep(PASS_PAUSE).await;
    }
}

struct Reread<'a> {
    shared: &'a Shared,
}

impl Reread<'_> {
    fn period(&self) -> Duration {
        let period = Duration::from_secs(self.shared.live.reread_s);
        if self.shared.is_receiving() { period } else { period.min(REREAD_UNHEARD) }
    }

    /// Reads everything once. A steady pass takes its time, and gives way to a gap: then it answers that.
    async fn pass(&self, cause: Cause) -> Option<Cause> {
        retried(|| self.shared.parts.pages.read_revocations()).await;
        let keys = self.shared.parts.hub.watched();
        let at_once = usize::try_from(ORDERS_AT_ONCE_MAX).unwrap_or(1);
        let fastest =
            Duration::from_secs_f64(f64::from(ORDERS_AT_ONCE_MAX) / f64::from(self.shared.live.reads_per_s_max));
        let steps = u32::try_from(keys.len().div_ceil(at_once)).unwrap_or(u32::MAX).max(1);
        let pause = match cause {
            Cause::Gap => fastest,
            Cause::Steady => fastest.max(self.period() / steps),
        };
        for some in keys.chunks(at_once) {
            let began = Instant::now();
            self.read_some(some).await;
            self.shared.parts.metrics.live_reread(cause.as_str(), some.len());
            let rest = pause.mul_f64(share(some.len())).saturating_sub(began.elapsed());
            if cause == Cause::Gap {
                tokio::time::sleep(rest).await;
                continue;
            }
            tokio::select! {
                () = self.shared.gaps.found() => return Some(Cause::Gap),
                () = tokio::time::sleep(rest) => {}
            }
        }
        None
    }

    async fn read_some(&self, keys: &[Key]) {
        let LiveParts { store, hub, .. } = &self.shared.parts;
        if let Some(payments) = retried(|| store.read_many(keys)).await {
            for payment in payments {
                hub.publish(&Update::stored(payment));
            }
            return;
        }
        // One that cannot be read must not keep the others from their pages.
        for key in keys {
            if let Some(Some(payment)) = retried(|| store.read(key)).await {
                hub.publish(&Update::stored(payment));
            }
        }
    }
}

/// Of a full step.
fn share(orders: usize) -> f64 {
    u32::try_from(orders).map_or(1.0, |orders| f64::from(orders) / f64::from(ORDERS_AT_ONCE_MAX))
}

/// Asks until the store answers. Not set where it never will. Ends early only by being dropped.
async fn retried<T, F>(ask: impl Fn() -> F) -> Option<T>
where
    F: Future<Output = Result<T, store::Error>>,
{
    let mut backoff = Backoff::new(RETRY_FIRST, RETRY_LONGEST);
    let mut has_warned = false;
    loop {
        match ask().await {
            Ok(answer) => return Some(answer),
            Err(error) if error.may_be_of_one_row() || matches!(error, store::Error::Closed) => {
                warn!(%error, "orders cannot be read again");
                return None;
            }
            Err(error) if has_warned => debug!(%error, "orders cannot be read again"),
            Err(error) => {
                has_warned = true;
                warn!(%error, "orders cannot be read again, retrying");
            }
        }
        tokio::time::sleep(backoff.wait()).await;
    }
}
