//! What a page asks for and has to be waited for: a ticket to be checked, a payment to be read or acknowledged.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Session, Step, Work};
use crate::bridge::problems::warn_seldom;
use crate::bridge::ticket_limit::TicketSlot;
use crate::bridge::wire;
use crate::bridge::ws::close::{Close, End};
use crate::bridge::ws::subscriptions::Entry;
use crate::payment::{Key, OrderId};
use crate::runtime::unix_s;
use crate::store::{self, Acknowledgement};
use crate::tickets::{Refusal, Ticket};

/// Snapshots of several orders are written when as much waits.
const UNWRITTEN_BYTES_MAX: usize = 16 * 1024;

impl Session {
    pub(super) async fn work(&mut self, work: Work) -> Step {
        match work {
            Work::Subscribe(ticket) => self.subscribe(&ticket).await,
            Work::Ack { order_id, version } => self.ack(&order_id, version).await,
        }
    }

    /// Subscribes to each order of a ticket, or renews those that are subscribed.
    async fn subscribe(&mut self, text: &str) -> Step {
        if self.client.is_some_and(|client| self.context.clients.request(client).is_err()) {
            let close = self.subscriptions.is_empty().then_some(Close::TooMany);
            return self.refuse("rate_limited", "too many requests from this address", None, close);
        }
        let ticket = match self.context.verify(Some(text)).await {
            Ok(ticket) => ticket,
            Err(refusal) => {
                let close = self.subscriptions.is_empty().then_some(Close::Ticket);
                return self.refuse(refusal.code(), &refusal.to_string(), None, close);
            }
        };
        self.had_ticket = true;
        let held = self.subscriptions.slot_of(ticket.fingerprint);
        let slot = held.or_else(|| self.context.limiter.take(ticket.fingerprint).map(Arc::new));
        let Some(slot) = slot else {
            let close = self.subscriptions.is_empty().then_some(Close::TooMany);
            return self.refuse("rate_limited", "this ticket holds too many waiting pages", None, close);
        };
        let ends_at = ticket.ends_at();
        for order_id in &ticket.order_ids {
            self.subscribe_one(&ticket, order_id, ends_at, &slot).await?;
        }
        for order_id in &ticket.revoked_order_ids {
            self.context.metrics.ticket_refused(Refusal::Forbidden.reason());
            self.refuse_one(Refusal::Forbidden, order_id)?;
        }
        self.subscriptions_changed();
        // What was revoked before this page had registered has interrupted nobody.
        self.end_revoked()?;
        let none_left = self.subscriptions.is_empty() && !ticket.revoked_order_ids.is_empty();
        if none_left { Err(End::Close(Close::Ticket)) } else { Ok(()) }
    }

    /// Ends the subscriptions whose ticket or order is revoked.
    pub(super) fn end_revoked(&mut self) -> Step {
        let context = &self.context;
        if !context.revocations.any() {
            return Ok(());
        }
        let why = |entry: &Entry| context.revoked(entry.slot.ticket(), entry.subscription.key());
        let ended = self.subscriptions.take_refused(why);
        for (entry, refusal) in &ended {
            self.refuse_one(*refusal, &entry.subscription.key().order_id)?;
        }
        if ended.is_empty() {
            return Ok(());
        }
        self.subscriptions_changed();
        if self.subscriptions.is_empty() { Err(End::Close(Close::Ticket)) } else { Ok(()) }
    }

    fn refuse_one(&mut self, refusal: Refusal, order_id: &OrderId) -> Step {
        self.refuse(refusal.code(), &refusal.to_string(), Some(order_id.as_str()), None)
    }

    async fn subscribe_one(
        &mut self,
        ticket: &Ticket,
        order_id: &OrderId,
        ends_at: Instant,
        slot: &Arc<TicketSlot>,
    ) -> Step {
        let key = ticket.key(order_id);
        let known = self.subscriptions.by_key(&key);
        let snapshot = if let Some(entry) = known {
            entry.ends_at = ends_at;
            entry.slot = Arc::clone(slot);
            self.watch.read(&key).await
        } else {
            let id = Some(order_id.as_str());
            if self.subscriptions.by_order(order_id.as_str()).is_some() {
                let message = "this socket already watches an order with that number for another merchant";
                return self.refuse("bad_request", message, id, None);
            }
            let most = self.context.http.subscriptions_per_connection_max;
            if self.subscriptions.len() >= most {
                let message = format!("a socket can watch at most {most} orders");
                return self.refuse("too_many_subscriptions", &message, id, None);
            }
            let Some(subscription) = self.watch.register(&key) else { return Ok(()) };
            let snapshot = self.watch.read(&key).await;
            self.context.page_waits(self.page, &key);
            self.subscriptions.add(Entry { subscription, ends_at, slot: Arc::clone(slot), is_read: false });
            snapshot
        };
        match snapshot {
            // Reading took its time. The page learns why this order is left out when the ticket's orders are done.
            Ok(_) if !self.may_receive(&key) => Ok(()),
            Ok(snapshot) => {
                let is_new =
                    self.subscriptions.by_key(&key).is_some_and(|entry| !std::mem::replace(&mut entry.is_read, true));
                if let Some(update) = snapshot.as_ref().filter(|_| is_new) {
                    self.context.page_sent(self.page, update);
                }
                let text = snapshot.map(|update| update.text(wire::payment_text));
                self.push(&wire::subscribed(&key, text.as_ref()));
                self.make_room().await
            }
            // The others of this socket are none the worse for it, and what comes once it can be read reaches the page.
            Err(error) if error.may_be_of_one_row() => {
                tracing::warn!(%error, %order_id, "snapshot not read");
                let message = "the payment of this order cannot be read at the moment";
                self.refuse("unavailable", message, Some(order_id.as_str()), None)
            }
            Err(error) => {
                match &error {
                    store::Error::Overloaded => {}
                    store::Error::Unavailable(_) => warn_seldom(&error),
                    error => tracing::warn!(%error, %order_id, "snapshot not read"),
                }
                self.push(&wire::reconnect(self.context.reconnect_after_ms()));
                Err(End::Close(Close::Draining))
            }
        }
    }

    fn may_receive(&mut self, key: &Key) -> bool {
        let Some(entry) = self.subscriptions.by_key(key) else { return false };
        let ticket = entry.slot.ticket();
        entry.ends_at > Instant::now() && self.context.revocations.refusal(ticket, key, unix_s()).is_none()
    }

    pub(super) fn unsubscribe(&mut self, order_id: &str) -> Step {
        if !self.subscriptions.remove(order_id) {
            return self.refuse("bad_request", "this order is not subscribed", Some(order_id), None);
        }
        self.subscriptions_changed();
        Ok(())
    }

    async fn ack(&mut self, order_id: &str, version: u64) -> Step {
        let Some(entry) = self.subscriptions.by_order(order_id) else {
            return self.refuse("forbidden", "this order is not subscribed", Some(order_id), None);
        };
        let key = entry.subscription.key().clone();
        match self.context.acknowledge(&key, version, self.page).await {
            Ok(Acknowledgement::First | Acknowledgement::Known) => Ok(()),
            Ok(Acknowledgement::NoSuchVersion) => {
                self.refuse("bad_request", "the payment has no such version", Some(order_id), None)
            }
            // The page has its result; that it said so is not worth a reconnect.
            Err(error) => {
                self.context.acknowledge_later(key, version, self.page, error);
                Ok(())
            }
        }
    }

    /// Waits until what is to be written was written, if it is much.
    async fn make_room(&mut self) -> Step {
        if self.socket.unwritten_bytes() < UNWRITTEN_BYTES_MAX {
            return Ok(());
        }
        std::future::poll_fn(|context| self.socket.poll_flush(context)).await.map_err(|_broken| End::Gone)
    }
}
