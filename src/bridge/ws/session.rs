//! One socket from its first frame to its close.
//!
//! A page waits for hours and acts for milliseconds, so what it holds while it waits is kept small: the work that has to
//! wait for something itself (`work.rs`) is boxed, and gone when it is done. Whatever a page sends, time, the end of the
//! node and revocations are looked at before the next frame (`time.rs`).

mod time;
mod work;

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use hyper::upgrade::Upgraded;
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tungstenite::error::ProtocolError;
use tungstenite::{Error, Message};

use super::close::{Close, End};
use super::frame_socket::{FrameSocket, Read};
use super::subscriptions::Subscriptions;
use crate::bridge::context::Context;
use crate::bridge::watch::Watch;
use crate::bridge::wire::{self, FromPage};
use crate::http::{Bucket, Client};
use crate::hub::Update;
use crate::runtime::{Object, Stopping};
use crate::store::PageRef;
use crate::telemetry::{GaugeGuard, Transport};

/// How long the page's own end is waited for.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

pub(super) struct Session {
    context: Context,
    page: PageRef,
    socket: FrameSocket,
    client: Option<Client>,
    watch: Watch,
    subscriptions: Subscriptions,
    bucket: Bucket,
    heard_at: Instant,
    ping_at: Instant,
    /// Since when nothing is subscribed.
    idle_since: Option<Instant>,
    /// Since when a message is being read that is not whole.
    message_since: Option<Instant>,
    /// A ticket of its was good.
    had_ticket: bool,
    drain_at: Option<Instant>,
    waits: Option<GaugeGuard>,
    /// Fires at the next of all those times or before it.
    timer: Pin<Box<Sleep>>,
    stopping: Stopping,
}

type Step = Result<(), End>;

/// What a session waits for.
enum Happened {
    Read(Result<Read, Error>),
    TimerFired,
    Stopping,
    Interrupted,
    Broken,
}

/// What a frame asks for that has to be waited for.
enum Work {
    Subscribe(String),
    Ack { order_id: String, version: u64 },
}

impl Session {
    pub(super) fn new(
        context: Context,
        upgraded: Upgraded,
        client: Option<Client>,
        message_bytes_max: u32,
    ) -> Box<Self> {
        let now = Instant::now();
        let http = &context.http;
        let ping_at = now + Duration::from_secs(http.ping_s);
        Box::new(Self {
            page: context.page(Transport::WebSocket),
            socket: FrameSocket::new(upgraded, message_bytes_max),
            client,
            watch: Watch::new(&context),
            subscriptions: Subscriptions::default(),
            bucket: Bucket::new(http.frames_burst_max, http.frames_per_s_max, now.into_std()),
            heard_at: now,
            ping_at,
            idle_since: Some(now),
            message_since: None,
            had_ticket: false,
            drain_at: None,
            waits: None,
            timer: Box::pin(sleep_until(ping_at.min(now + Duration::from_secs(http.silent_s.min(http.ticket_wait_s))))),
            stopping: context.tasks.until_stopping(),
            context,
        })
    }

    pub(super) async fn run(mut self: Box<Self>, ticket: Option<String>) {
        let mut work = ticket.map(Work::Subscribe);
        let end = loop {
            if let Some(work) = work.take()
                && let Err(end) = Box::pin(self.work(work)).await
            {
                break end;
            }
            let happened = std::future::poll_fn(|context| self.poll(context)).await;
            match self.take(happened) {
                Ok(more) => work = more,
                Err(end) => break end,
            }
        };
        Box::pin(self.close(end)).await;
    }

    /// Writes what there is to write, and takes nothing more in until that is done. So a page that does not read costs
    /// what is being written to it, and is given up by the socket's own limit.
    fn poll(&mut self, context: &mut TaskContext<'_>) -> Poll<Happened> {
        loop {
            if let Some(due) = self.due() {
                return Poll::Ready(due);
            }
            match self.socket.poll_flush(context) {
                Poll::Ready(Err(_broken)) => return Poll::Ready(Happened::Broken),
                Poll::Pending => break,
                Poll::Ready(Ok(())) => {}
            }
            if let Poll::Ready(update) = self.watch.poll_next(context) {
                let Some(update) = update else {
                    return Poll::Ready(Happened::Interrupted);
                };
                if !self.subscriptions.may_receive(&update.payment.key, Instant::now()) {
                    continue;
                }
                self.push_update(&update);
                // Written before it is counted as sent; what does not fit is on its way.
                if matches!(self.socket.poll_flush(context), Poll::Ready(Err(_))) {
                    return Poll::Ready(Happened::Broken);
                }
                self.context.page_sent(self.page, &update);
                continue;
            }
            match self.socket.poll_read(context) {
                Poll::Ready(read) => return Poll::Ready(Happened::Read(read)),
                // Reading may have made an answer to a ping.
                Poll::Pending if self.socket.unwritten_bytes() > 0 => {}
                Poll::Pending => break,
            }
        }
        // A socket that always has something has used up what this task may do in one turn.
        if self.drain_at.is_none() && Pin::new(&mut unconstrained(self.stopping.as_mut())).poll(context).is_ready() {
            return Poll::Ready(Happened::Stopping);
        }
        Pin::new(&mut unconstrained(self.timer.as_mut())).poll(context).map(|()| Happened::TimerFired)
    }

    fn take(&mut self, happened: Happened) -> Result<Option<Work>, End> {
        match happened {
            Happened::Read(Ok(read)) => self.read(read),
            Happened::Read(Err(error)) => self.broken(&error).map(|()| None),
            Happened::TimerFired => self.wake().map(|()| None),
            Happened::Stopping => {
                self.drain_at = Some(Instant::now() + self.context.drain_delay());
                self.set_timer();
                Ok(None)
            }
            Happened::Interrupted => self.end_revoked().map(|()| None),
            Happened::Broken => Err(End::Gone),
        }
    }

    /// Each frame counts, whether a message ends with it or not.
    fn read(&mut self, read: Read) -> Result<Option<Work>, End> {
        let now = Instant::now();
        self.message_since = if self.socket.is_between_messages() { None } else { self.message_since.or(Some(now)) };
        match read {
            Read::Message(message) => self.message(message, now),
            Read::Frame => self.take_from_bucket(now).map(|()| None),
            Read::Fragment => Ok(None),
        }
    }

    fn message(&mut self, message: Message, now: Instant) -> Result<Option<Work>, End> {
        self.heard_at = now;
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => return self.bad_request("frames must be text"),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {
                // Pongs come for the service's own pings; only a page that floods is over its rate with them.
                return self.take_from_bucket(now).map(|()| None);
            }
            Message::Close(_) => {
                self.socket.push_close_answer();
                return Err(End::Left);
            }
        };
        self.take_from_bucket(now)?;
        let frame_bytes_max = self.context.http.frame_bytes_max;
        if text.len() > frame_bytes_max {
            return self.too_large();
        }
        match serde_json::from_str(&text).map(|Object::<FromPage>(frame)| frame) {
            Ok(FromPage::Ping {}) => self.push(wire::PONG),
            Ok(FromPage::Subscribe { ticket }) => return Ok(Some(Work::Subscribe(ticket))),
            Ok(FromPage::Unsubscribe { order_id }) => self.unsubscribe(&order_id)?,
            Ok(FromPage::Ack { order_id, version }) => return Ok(Some(Work::Ack { order_id, version })),
            // The position would be of use; the rest could repeat a ticket.
            Err(error) => {
                let what = if error.is_data() { "is not part of the protocol" } else { "is not JSON" };
                return self.bad_request(&format!("the frame {what} (column {})", error.column()));
            }
        }
        Ok(None)
    }

    fn take_from_bucket(&mut self, now: Instant) -> Step {
        if self.bucket.take(now.into_std()) {
            return Ok(());
        }
        let per_s = self.context.http.frames_per_s_max;
        let message = format!("more than {per_s} frames a second");
        self.refuse("rate_limited", &message, None, Some(Close::TooMany))
    }

    /// What tungstenite could not read. The socket can still be written to, unless it is gone.
    fn broken(&mut self, error: &Error) -> Step {
        match error {
            Error::Capacity(_) => self.too_large().map(drop),
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Err(End::Gone),
            Error::Protocol(_) | Error::Utf8(_) => self.bad_request("the frame violates RFC 6455").map(drop),
            _ => Err(End::Gone),
        }
    }

    fn bad_request(&mut self, message: &str) -> Result<Option<Work>, End> {
        self.refuse("bad_request", message, None, Some(Close::BadRequest)).map(|()| None)
    }

    fn too_large(&mut self) -> Result<Option<Work>, End> {
        let message = format!("a frame must have at most {} bytes", self.context.http.frame_bytes_max);
        self.refuse("bad_request", &message, None, Some(Close::TooLarge)).map(|()| None)
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
        self.set_timer();
    }

    fn push_update(&mut self, update: &Update) {
        let [before, after] = wire::PAYMENT;
        self.socket.push_text(&[before, &update.text(wire::payment_text), after]);
    }

    fn push(&mut self, text: &str) {
        self.socket.push_text(&[text.as_bytes()]);
    }

    fn refuse(&mut self, code: &'static str, message: &str, order_id: Option<&str>, close: Option<Close>) -> Step {
        self.context.metrics.refused(code);
        self.push(&wire::error(code, message, order_id));
        close.map_or(Ok(()), |close| Err(End::Close(close)))
    }

    async fn close(mut self: Box<Self>, end: End) {
        // What it waited for is given up before the page's own end is waited for.
        self.subscriptions = Subscriptions::default();
        self.waits = None;
        let closed = match end {
            End::Gone => return,
            End::Left => timeout(CLOSE_WAIT, std::future::poll_fn(|context| self.socket.poll_flush(context))).await,
            End::Close(close) => {
                self.socket.push_close(close.frame());
                timeout(CLOSE_WAIT, self.socket.shut_down()).await
            }
        };
        if !matches!(closed, Ok(Ok(()))) {
            tracing::debug!("page did not close");
        }
    }
}
