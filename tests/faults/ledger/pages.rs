//! Pages that come back whenever their connection ends, as those of real customers do.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::connect_async_with_config;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::Book;
use crate::support::{api, ticket};

/// Before a page comes back.
const RETURN: Duration = Duration::from_millis(100);

/// Between two looks of a page that polls.
const POLL: Duration = Duration::from_millis(200);

/// For a page that is not told when to come back, unless something else is said of it.
const BACKOFF_FIRST: Duration = Duration::from_millis(500);
const BACKOFF_LONGEST: Duration = Duration::from_secs(15);

const READ_BUFFER_BYTES: usize = 4096;

/// A page notices by itself that its connection is dead; heartbeats come far more often.
const SILENCE: Duration = Duration::from_secs(70);

/// One page by each transport.
pub(crate) fn open(pages: &mut JoinSet<()>, book: &Arc<Book>, order: &str) {
    let page = |transport| PageOfOrder { client: Some(api::client()), ..PageOfOrder::new(book, transport, order) };
    let (socket, stream, long_poll, poll) = (page("ws"), page("sse"), page("long_poll"), page("poll"));
    pages.spawn(async move {
        loop {
            drop(socket.web_socket().await);
            sleep(RETURN).await;
        }
    });
    pages.spawn(async move {
        loop {
            drop(stream.event_stream().await);
            sleep(RETURN).await;
        }
    });
    pages.spawn(async move {
        let mut version = 0;
        loop {
            if let Ok(payment) = long_poll.get(&format!("?after={version}&wait=20")).await {
                version = payment["version"].as_u64().unwrap_or(0);
                continue;
            }
            sleep(RETURN).await;
        }
    });
    pages.spawn(async move {
        loop {
            drop(poll.get("").await);
            sleep(POLL).await;
        }
    });
}

/// A page by WebSocket that comes back when it is told to, and else after a backoff, as docs/PROTOCOL.md asks of it.
pub(crate) fn open_socket(pages: &mut JoinSet<()>, book: &Arc<Book>, order: &str) {
    let page = PageOfOrder::new(book, "ws", order);
    pages.spawn(async move {
        let mut backoff = BACKOFF_FIRST;
        loop {
            let shown = page.book.shown_version(page.number);
            let told = page.web_socket().await.unwrap_or_default();
            if page.book.shown_version(page.number) > shown {
                backoff = BACKOFF_FIRST;
            }
            let own = backoff.mul_f64(rand::random_range(0.5..1.0));
            sleep(told.map_or(own, |told| told.max(RETURN))).await;
            backoff = (backoff * 2).min(BACKOFF_LONGEST);
        }
    });
}

struct PageOfOrder {
    number: usize,
    book: Arc<Book>,
    order: String,
    /// Not set for WebSocket alone.
    client: Option<reqwest::Client>,
}

type Ended = Box<dyn std::error::Error + Send + Sync>;

impl PageOfOrder {
    fn new(book: &Arc<Book>, transport: &str, order: &str) -> Self {
        let number = book.add_page(transport, order);
        Self { number, book: Arc::clone(book), order: order.to_owned(), client: None }
    }

    /// Waits until it is sent away: when it is told to come back, if it is told.
    async fn web_socket(&self) -> Result<Option<Duration>, Ended> {
        let address = format!("ws://{}/v1/ws", self.book.http());
        // The default would hold 128 KiB for each page.
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES);
        let connecting = connect_async_with_config(address, Some(config), true);
        let connected = timeout(SILENCE, connecting).await?;
        if let Err(Error::Http(refused)) = &connected {
            self.check(refused.status().as_u16());
        }
        let (mut socket, _) = connected?;
        let subscribe = json!({ "type": "subscribe", "ticket": ticket(self.order.as_str()) });
        socket.send(Message::text(subscribe.to_string())).await?;
        while let Some(message) = timeout(SILENCE, socket.next()).await? {
            let Message::Text(text) = message? else { continue };
            let frame: Value = serde_json::from_str(&text)?;
            match frame["type"].as_str().unwrap_or_default() {
                "subscribed" | "payment" => self.book.shown(self.number, &frame["payment"]),
                "reconnect" => return Ok(frame["after_ms"].as_u64().map(Duration::from_millis)),
                "error" if frame["code"] == "rate_limited" => return Ok(None),
                other => self.book.violation(self.number, &format!("{other} frame: {frame}")),
            }
        }
        Ok(None)
    }

    async fn event_stream(&self) -> Result<(), Ended> {
        let mut response = self.request("/events").send().await?;
        self.check(response.status().as_u16());
        let mut received = Vec::new();
        while let Some(bytes) = timeout(SILENCE, response.chunk()).await?? {
            received.extend_from_slice(&bytes);
            while let Some(end) = received.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = received.drain(..end + 2).collect();
                let block = String::from_utf8(block)?;
                if let Some(data) = block.lines().find_map(|line| line.strip_prefix("data:")) {
                    self.book.shown(self.number, &serde_json::from_str(data)?);
                }
            }
        }
        Ok(())
    }

    async fn get(&self, query: &str) -> Result<Value, Ended> {
        let response = self.request(query).timeout(SILENCE).send().await?;
        self.check(response.status().as_u16());
        let payment: Value = response.error_for_status()?.json().await?;
        self.book.shown(self.number, &payment);
        Ok(payment)
    }

    /// What follows the order in the address: a query, or the rest of the path.
    fn request(&self, rest: &str) -> reqwest::RequestBuilder {
        let address = format!("http://{}/v1/payments/{}{rest}", self.book.http(), self.order);
        self.client.as_ref().expect("a page by HTTP has one").get(address).bearer_auth(ticket(self.order.as_str()))
    }

    /// A page with a good ticket may be told to come back later, and nothing worse.
    fn check(&self, status: u16) {
        if status != 200 && status != 503 && status != 429 {
            self.book.violation(self.number, &format!("status {status}"));
        }
    }
}
