//! `watch`: waits for an order's result as a page would, over any of the four transports.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::failure::Failure;
use super::operators::{client, local_url};
use super::order_argument::OrderArgument;
use super::ticket;
use crate::config::Settings;
use crate::payment::{Key, Timestamp};
use crate::runtime::unix_ms;
use crate::tickets::peek;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    order: OrderArgument,
    /// Address of the service [default: http.listen]
    #[arg(long)]
    url: Option<String>,
    /// Transport to wait on
    #[arg(long, value_enum, default_value_t = Way::Websocket)]
    transport: Way,
    /// Ticket [default: minted with tickets.hs256_secret]
    #[arg(long)]
    ticket: Option<String>,
    /// Give up after this many seconds
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    timeout_s: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Way {
    Websocket,
    Sse,
    LongPoll,
    Poll,
}

const POLL_INTERVAL: Duration = Duration::from_secs(1);
const HOLD_S: u64 = 25;
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// Of one server-sent event, many times what a payment can have.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// Prints each state and ends with the first final one.
pub(super) async fn run(settings: &Settings, args: Args) -> Result<(), Failure> {
    let key = args.order.key(settings)?;
    let ticket = match args.ticket {
        Some(ticket) => ticket,
        None => ticket::for_order(settings, &key, args.timeout_s)?,
    };
    if peek(&ticket).is_ok_and(|peeked| !peeked.keys.contains(&key)) {
        let Key { merchant_id, order_id } = &key;
        return Err(format!("--ticket is not for order {order_id} of merchant {merchant_id}").into());
    }
    let url = args.url.unwrap_or_else(|| local_url(settings.http.listen));
    let url = url.trim_end_matches('/').to_owned();
    let page = Page { client: client(&url).build()?, url, order_id: key.order_id.to_string(), ticket };
    let waits = async {
        match args.transport {
            Way::Websocket => page.websocket().await,
            Way::Sse => page.sse().await,
            Way::LongPoll => page.poll(true).await,
            Way::Poll => page.poll(false).await,
        }
    };
    match tokio::time::timeout(Duration::from_secs(args.timeout_s), waits).await {
        Ok(result) => result,
        Err(_elapsed) => {
            Err(format!("no final result within {} s: check the order later, do not pay again", args.timeout_s).into())
        }
    }
}

struct Page {
    client: reqwest::Client,
    url: String,
    order_id: String,
    ticket: String,
}

impl Page {
    async fn websocket(&self) -> Result<(), Failure> {
        let url = format!("ws{}/v1/ws", self.url.strip_prefix("http").unwrap_or(&self.url));
        let (mut socket, _response) = tokio_tungstenite::connect_async(url.as_str()).await?;
        let subscribe = json!({ "type": "subscribe", "ticket": self.ticket }).to_string();
        socket.send(Message::text(subscribe)).await?;
        loop {
            let frame = match tokio::time::timeout(PING_INTERVAL, socket.next()).await {
                Ok(Some(frame)) => frame?,
                Ok(None) => return Err("the service closed the socket".into()),
                Err(_quiet) => {
                    socket.send(Message::text(r#"{"type":"ping"}"#)).await?;
                    continue;
                }
            };
            let Message::Text(text) = frame else { continue };
            let frame: Frame = serde_json::from_str(&text)?;
            let payment = frame.payment.unwrap_or_default();
            // A ticket may be for several orders.
            let order_id = frame.order_id.or(payment.order_id.clone());
            if order_id.is_some_and(|order_id| order_id != self.order_id) {
                continue;
            }
            match frame.kind.as_str() {
                "error" => return Err(frame.problem.failure()),
                "reconnect" => return Err("the node is draining: try again".into()),
                what @ ("subscribed" | "payment") if self.show(what, &payment) => {
                    let version = payment.version;
                    let ack = json!({ "type": "ack", "order_id": self.order_id, "version": version }).to_string();
                    socket.send(Message::text(ack)).await?;
                    socket.close(None).await?;
                    return Ok(());
                }
                _ => {}
            }
        }
    }

    async fn sse(&self) -> Result<(), Failure> {
        let mut response = self.get("/events").send().await?;
        if !response.status().is_success() {
            return Err(response.json::<Problem>().await?.failure());
        }
        let mut received = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if received.len() + chunk.len() > EVENT_BYTES_MAX {
                return Err(
                    format!("an event of more than {EVENT_BYTES_MAX} bytes, not as the service sends them").into()
                );
            }
            received.extend_from_slice(&chunk);
            // A chunk may end in the middle of a character.
            while let Some(end) = received.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = received.drain(..end + 2).collect();
                let block = std::str::from_utf8(&block)?;
                let Some(data) = block.lines().find_map(|line| line.strip_prefix("data: ")) else { continue };
                if block.lines().any(|line| line == "event: error") {
                    return Err(serde_json::from_str::<Problem>(data)?.failure());
                }
                if self.show("event", &serde_json::from_str(data)?) {
                    return Ok(());
                }
            }
        }
        Err("the service ended the stream".into())
    }

    async fn poll(&self, hold: bool) -> Result<(), Failure> {
        let mut seen = None;
        loop {
            let mut request = self.get("");
            if let Some(version) = seen.filter(|_| hold) {
                request = request.query(&[("after", version), ("wait", HOLD_S)]);
            }
            let response = request.send().await?;
            let status = response.status();
            if !status.is_success() {
                return Err(response.json::<Problem>().await?.failure());
            }
            let payment: Payment = response.json().await?;
            if Some(payment.version) != seen {
                seen = Some(payment.version);
                if self.show("answer", &payment) {
                    return Ok(());
                }
            }
            if !hold {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        }
    }

    fn get(&self, tail: &str) -> reqwest::RequestBuilder {
        let order_id = utf8_percent_encode(self.order_id.as_str(), NON_ALPHANUMERIC);
        let url = format!("{}/v1/payments/{order_id}{tail}", self.url);
        self.client.get(url).bearer_auth(&self.ticket)
    }

    /// One line a state; true if it is final.
    fn show(&self, what: &str, payment: &Payment) -> bool {
        let Payment { version, status, occurred_at, is_final, .. } = payment;
        let status = status.as_deref().unwrap_or("unknown");
        let at = occurred_at.as_deref().and_then(|at| Timestamp::parse(at).ok());
        let age = at.map(|at| format!(", {} ms after it occurred", unix_ms() - at.unix_ms())).unwrap_or_default();
        println!("{what} {} {status} (version {version}{age})", self.order_id);
        *is_final
    }
}

/// A frame, as far as it is shown. What else there is may be anything that JavaScript can read.
#[derive(Deserialize)]
struct Frame {
    #[serde(rename = "type")]
    kind: String,
    order_id: Option<String>,
    payment: Option<Payment>,
    #[serde(flatten)]
    problem: Problem,
}

/// A payment, as far as it is shown.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Payment {
    order_id: Option<String>,
    version: u64,
    status: Option<String>,
    occurred_at: Option<String>,
    #[serde(rename = "final")]
    is_final: bool,
}

/// Why the service refuses.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    code: String,
    detail: Option<String>,
    message: String,
}

impl Problem {
    fn failure(self) -> Failure {
        format!("{}: {}", self.code, self.detail.unwrap_or(self.message)).into()
    }
}
