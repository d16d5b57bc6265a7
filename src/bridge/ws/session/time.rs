//! What a session does by the clock: silence, tickets that run out, pings, and the end of the node.

use std::time::Duration;

use tokio::time::Instant;

use super::{Happened, Session, Step};
use crate::bridge::wire;
use crate::bridge::ws::close::{Close, End};
use crate::tickets::Refusal;

impl Session {
    /// What comes before anything that the page has sent.
    pub(super) fn due(&self) -> Option<Happened> {
        if self.drain_at.is_none() && self.context.tasks.is_stopping() {
            return Some(Happened::Stopping);
        }
        (Instant::now() >= self.timer.deadline()).then_some(Happened::TimerFired)
    }

    /// When the page has been silent for too long: of what, and for how many seconds.
    fn silent_at(&self) -> (Instant, &'static str, u64) {
        let http = &self.context.http;
        let after = |since: Instant, what, seconds| (since + Duration::from_secs(seconds), what, seconds);
        let heard = after(self.heard_at, "nothing was received", http.silent_s);
        let idle = self.idle_since.map(|since| match self.had_ticket {
            true => after(since, "no order was subscribed", http.silent_s),
            false => after(since, "no valid ticket was received", http.ticket_wait_s),
        });
        let whole = self.message_since.map(|since| after(since, "no complete message was received", http.silent_s));
        [idle, whole].into_iter().flatten().fold(heard, |first, other| if other.0 <= first.0 { other } else { first })
    }

    fn wake_at(&self) -> Instant {
        let ends = [self.subscriptions.next_end(), self.drain_at];
        ends.into_iter().flatten().fold(self.ping_at.min(self.silent_at().0), Instant::min)
    }

    /// Lets the timer fire earlier if something is due earlier. What is due later is seen when it fires.
    pub(super) fn set_timer(&mut self) {
        let wake_at = self.wake_at();
        if wake_at < self.timer.deadline() {
            self.timer.as_mut().reset(wake_at);
        }
    }

    pub(super) fn wake(&mut self) -> Step {
        let now = Instant::now();
        if self.drain_at.is_some_and(|at| now >= at) {
            let after_ms = self.context.reconnect_after_ms();
            self.push(&wire::reconnect(after_ms));
            return Err(End::Close(Close::Draining));
        }
        let (silent_at, what, seconds) = self.silent_at();
        if now >= silent_at {
            let message = format!("{what} within {seconds} s");
            return self.refuse("bad_request", &message, None, Some(Close::Silent));
        }
        let expired = self.subscriptions.take_expired(now);
        for entry in &expired {
            let order_id = entry.subscription.key().order_id.as_str();
            let message = Refusal::Expired.to_string();
            self.refuse(Refusal::Expired.code(), &message, Some(order_id), None)?;
        }
        if !expired.is_empty() {
            self.subscriptions_changed();
            if self.subscriptions.is_empty() {
                return Err(End::Close(Close::Ticket));
            }
        }
        if now >= self.ping_at {
            self.ping_at = now + Duration::from_secs(self.context.http.ping_s);
            self.socket.push_ping();
        }
        let wake_at = self.wake_at();
        self.timer.as_mut().reset(wake_at);
        Ok(())
    }
}
