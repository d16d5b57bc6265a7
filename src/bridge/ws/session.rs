//! One socket from its first frame to its close.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use tokio::time::Instant;

use super::close::{Close, End};
use super::subscriptions::{Entry, Subscriptions};
use crate::bridge::context::Context;
use crate::bridge::limits::Bucket;
use crate::bridge::ticket::{Refusal, Ticket};
use crate::bridge::watch::Watch;
use crate::bridge::wire::{self, FromPage};
use crate::hub::Update;
use crate::payment::OrderId;
use crate::runtime::unix_ms;
use crate::store::Acknowledgement;
use crate::telemetry::{Held, Transport};

/// How long the page's own close frame is waited for.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

pub(super) struct Session {
    context: Context,
    socket: WebSocket,
    watch: Watch,
    subscriptions: Subscriptions,
    bucket: Bucket,
    heard_at: Instant,
    ping_at: Instant,
    /// Since when nothing is subscribed.
    idle_since: Option<Instant>,
    drain_at: Option<Instant>,
    waits: Option<Held>,
}

type Step = Result<(), End>;

impl Session {
    pub(super) fn new(context: Context, socket: WebSocket) -> Self {
        let now = Instant::now();
        let http = &context.http;
        Self {
            watch: Watch::new(&context),
            subscriptions: Subscriptions::default(),
            bucket: Bucket::new(http.frames_burst_max, http.frames_per_s_max, now.into_std()),
            heard_at: now,
            ping_at: now + Duration::from_secs(http.ping_s),
            idle_since: Some(now),
            drain_at: None,
            waits: None,
            context,
            socket,
        }
    }

    pub(super) async fn run(mut self, ticket: Option<String>) {
        let mut ended = match ticket {
            Some(ticket) => self.subscribe(&ticket).await,
            None => Ok(()),
        };
        while ended.is_ok() {
            ended = self.step().await;
        }
        if let Err(End::Close(close)) = ended {
            self.close(close).await;
        }
    }

    async fn step(&mut self) -> Step {
        let wake_at = self.wake_at();
        tokio::select! {
            frame = self.socket.recv() => self.frame(frame).await,
            update = self.watch.next() => self.update(&update).await,
            () = tokio::time::sleep_until(wake_at) => self.wake().await,
            () = self.context.tasks.stopping(), if self.drain_at.is_none() => {
                self.drain_at = Some(Instant::now() + self.context.drain_delay());
                Ok(())
            }
        }
    }

    fn silent_at(&self) -> Instant {
        self.idle_since.map_or(self.heard_at, |since| since.min(self.heard_at))
            + Duration::from_secs(self.context.http.silent_s)
    }

    fn wake_at(&self) -> Instant {
        let ends = [self.subscriptions.next_end(), self.drain_at];
        ends.into_iter().flatten().fold(self.ping_at.min(self.silent_at()), Instant::min)
    }

    async fn wake(&mut self) -> Step {
        let now = Instant::now();
        if self.drain_at.is_some_and(|at| now >= at) {
            let after_ms = self.context.reconnect_after_ms();
            self.send(wire::reconnect(after_ms)).await?;
            return Err(End::Close(Close::Draining));
        }
        if now >= self.silent_at() {
            let seconds = self.context.http.silent_s;
            let message = match self.idle_since {
                Some(_) => format!("nothing was subscribed for {seconds} s"),
                None => format!("nothing was heard for {seconds} s"),
            };
            return self.refuse("bad_request", &message, None, Some(Close::Silent)).await;
        }
        let expired = self.subscriptions.take_expired(now);
        for entry in &expired {
            let order_id = entry.subscription.key().order_id.as_str();
            let message = Refusal::Expired.to_string();
            self.refuse(Refusal::Expired.code(), &message, Some(order_id), None).await?;
        }
        if !expired.is_empty() {
            self.subscriptions_changed();
            if self.subscriptions.is_empty() {
                return Err(End::Close(Close::Ticket));
            }
        }
        if now >= self.ping_at {
            self.ping_at = now + Duration::from_secs(self.context.http.ping_s);
            self.write(Message::Ping(bytes::Bytes::new())).await?;
        }
        Ok(())
    }

    async fn frame(&mut self, frame: Option<Result<Message, axum::Error>>) -> Step {
        let now = Instant::now();
        self.heard_at = now;
        let text = match frame {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Binary(_))) => {
                return self.bad_request("frames must be text").await;
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {
                // Pongs come for the service's own pings; only a page that floods is over its rate with them.
                return self.take_from_bucket(now).await;
            }
            Some(Ok(Message::Close(_))) | None => return Err(End::Gone),
            Some(Err(error)) => return self.broken(error).await,
        };
        self.take_from_bucket(now).await?;
        let frame_bytes_max = self.context.http.frame_bytes_max;
        if text.len() > frame_bytes_max {
            return self.too_large().await;
        }
        match serde_json::from_str::<FromPage>(&text) {
            Ok(FromPage::Ping {}) => self.send(wire::PONG.to_owned()).await,
            Ok(FromPage::Subscribe { ticket }) => self.subscribe(&ticket).await,
            Ok(FromPage::Unsubscribe { order_id }) => self.unsubscribe(&order_id).await,
            Ok(FromPage::Ack { order_id, version }) => self.ack(&order_id, version).await,
            // The position would be of use; the rest could repeat a ticket.
            Err(error) => {
                let what = if error.is_data() { "is not one of the protocol" } else { "is not JSON" };
                self.bad_request(&format!("the frame {what} (column {})", error.column())).await
            }
        }
    }

    async fn take_from_bucket(&mut self, now: Instant) -> Step {
        if self.bucket.take(now.into_std()) {
            return Ok(());
        }
        let per_s = self.context.http.frames_per_s_max;
        let message = format!("more than {per_s} frames a second");
        self.refuse("rate_limited", &message, None, Some(Close::TooMany)).await
    }

    /// What tungstenite could not read. The socket can still be written to, unless it is gone.
    async fn broken(&mut self, error: axum::Error) -> Step {
        match error.into_inner().downcast_ref::<tungstenite::Error>() {
            Some(tungstenite::Error::Capacity(_)) => self.too_large().await,
            Some(tungstenite::Error::Protocol(_) | tungstenite::Error::Utf8(_)) => {
                self.bad_request("the frame breaks RFC 6455").await
            }
            _ => Err(End::Gone),
        }
    }

    async fn bad_request(&mut self, message: &str) -> Step {
        self.refuse("bad_request", message, None, Some(Close::BadRequest)).await
    }

    async fn too_large(&mut self) -> Step {
        let message = format!("a frame must have at most {} bytes", self.context.http.frame_bytes_max);
        self.refuse("bad_request", &message, None, Some(Close::TooLarge)).await
    }

    /// Subscribes to each order of a ticket, or renews those that are subscribed.
    async fn subscribe(&mut self, text: &str) -> Step {
        let ticket = match self.context.verify(Some(text)).await {
            Ok(ticket) => ticket,
            Err(refusal) => {
                let close = self.subscriptions.is_empty().then_some(Close::Ticket);
                return self.refuse(refusal.code(), &refusal.to_string(), None, close).await;
            }
        };
        let held = self.subscriptions.place_of(ticket.fingerprint);
        let place = held.or_else(|| self.context.limiter().take(ticket.fingerprint).map(Arc::new));
        let Some(place) = place else {
            let close = self.subscriptions.is_empty().then_some(Close::TooMany);
            return self.refuse("rate_limited", "this ticket holds too many waiting pages", None, close).await;
        };
        let ends_in_ms = ticket.ends_at_s.saturating_mul(1000).saturating_sub(unix_ms());
        let ends_at = Instant::now() + Duration::from_millis(u64::try_from(ends_in_ms).unwrap_or(0));
        for order_id in &ticket.order_ids {
            self.subscribe_one(&ticket, order_id, ends_at, &place).await?;
        }
        self.subscriptions_changed();
        Ok(())
    }

    async fn subscribe_one(
        &mut self,
        ticket: &Ticket,
        order_id: &OrderId,
        ends_at: Instant,
        place: &Arc<crate::bridge::limits::Place>,
    ) -> Step {
        let key = ticket.key(order_id);
        let snapshot = if let Some(entry) = self.subscriptions.by_key(&key) {
            entry.ends_at = ends_at;
            entry.place = Arc::clone(place);
            self.watch.read(&key).await
        } else {
            let id = Some(order_id.as_str());
            if self.subscriptions.by_order(order_id.as_str()).is_some() {
                let message = "this socket watches an order of that name for another merchant";
                return self.refuse("bad_request", message, id, None).await;
            }
            let most = self.context.http.subscriptions_per_connection_max;
            if self.subscriptions.len() >= most {
                let message = format!("one socket watches at most {most} orders");
                return self.refuse("too_many_subscriptions", &message, id, None).await;
            }
            match self.watch.open(&key).await {
                Ok(Some(watched)) => {
                    let place = Arc::clone(place);
                    self.subscriptions.add(Entry { subscription: watched.subscription, ends_at, place });
                    Ok(watched.snapshot)
                }
                Ok(None) => return Ok(()),
                Err(error) => Err(error),
            }
        };
        match snapshot {
            Ok(snapshot) => {
                let text = snapshot.map(|update| update.text(wire::payment_text));
                self.send(wire::subscribed(&key, text.as_ref())).await
            }
            Err(error) => {
                tracing::warn!(%error, %order_id, "snapshot not read");
                self.send(wire::reconnect(self.context.reconnect_after_ms())).await?;
                Err(End::Close(Close::Draining))
            }
        }
    }

    async fn unsubscribe(&mut self, order_id: &str) -> Step {
        if !self.subscriptions.remove(order_id) {
            return self.refuse("bad_request", "this order is not subscribed", Some(order_id), None).await;
        }
        self.subscriptions_changed();
        Ok(())
    }

    async fn ack(&mut self, order_id: &str, version: u64) -> Step {
        let Some(entry) = self.subscriptions.by_order(order_id) else {
            return self.refuse("forbidden", "this order is not subscribed", Some(order_id), None).await;
        };
        let key = entry.subscription.key().clone();
        match self.context.store.acknowledge(&key, version).await {
            Ok(Acknowledgement::First | Acknowledgement::Known) => {
                self.context.metrics.page_ack(Transport::WebSocket);
                Ok(())
            }
            Ok(Acknowledgement::NoSuchVersion) => {
                self.refuse("bad_request", "the payment has no such version", Some(order_id), None).await
            }
            // The page has its result; that it said so is not worth a reconnect.
            Err(error) => {
                tracing::warn!(%error, order_id, "acknowledgement of a page not stored");
                Ok(())
            }
        }
    }

    fn subscriptions_changed(&mut self) {
        if self.subscriptions.is_empty() {
            self.idle_since = self.idle_since.or_else(|| Some(Instant::now()));
            self.waits = None;
        } else {
            self.idle_since = None;
            let metrics = &self.context.metrics;
            self.waits.get_or_insert_with(|| metrics.page_waits(Transport::WebSocket));
        }
    }

    async fn update(&mut self, update: &Update) -> Step {
        let text = update.text(wire::payment_text);
        self.send(wire::payment(&text)).await?;
        self.context.page_told(Transport::WebSocket, update);
        Ok(())
    }

    async fn refuse(
        &mut self,
        code: &'static str,
        message: &str,
        order_id: Option<&str>,
        close: Option<Close>,
    ) -> Step {
        self.context.metrics.refused(code);
        self.send(wire::error(code, message, order_id)).await?;
        close.map_or(Ok(()), |close| Err(End::Close(close)))
    }

    async fn send(&mut self, text: String) -> Step {
        self.write(Message::Text(text.into())).await
    }

    async fn write(&mut self, message: Message) -> Step {
        let limit = Duration::from_secs(self.context.http.write_timeout_s);
        match tokio::time::timeout(limit, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_broken)) => Err(End::Gone),
            Err(_elapsed) => Err(End::Gone),
        }
    }

    /// Says goodbye and reads on until the page has said it too: closing on unread bytes would reset the connection and
    /// could take the error frame with it.
    async fn close(mut self, close: Close) {
        let frame = CloseFrame { code: close.code(), reason: close.reason().into() };
        if self.write(Message::Close(Some(frame))).await.is_err() {
            return;
        }
        let farewell = async { while let Some(Ok(_)) = self.socket.recv().await {} };
        if tokio::time::timeout(CLOSE_WAIT, farewell).await.is_err() {
            tracing::debug!("page did not close");
        }
    }
}
