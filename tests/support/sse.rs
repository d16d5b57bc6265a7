//! A page on Server-Sent Events.

use reqwest::Method;
use reqwest::header::AUTHORIZATION;
use serde_json::Value;

use super::{Answer, Service, within};

/// One thing that came.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Item {
    /// Its `id:`, its `event:` and its `data:`.
    Event { id: String, event: String, data: Value },
    /// A line that starts with a colon.
    Comment,
    /// The service ended the stream.
    End,
}

/// An open stream.
pub(crate) struct EventStream {
    response: reqwest::Response,
    received: Vec<u8>,
}

impl EventStream {
    /// Opens the stream of one order.
    pub(crate) async fn open(service: &Service, order_id: &str, ticket: &str) -> Self {
        Self::open_with(service, order_id, ticket, "", None).await.unwrap_or_else(|a| panic!("refused: {a:?}"))
    }

    /// Opens it with a query (`"?after=1"`) and a `Last-Event-ID`; the answer if it is refused.
    pub(crate) async fn open_with(
        service: &Service,
        order_id: &str,
        ticket: &str,
        query: &str,
        last_event_id: Option<&str>,
    ) -> Result<Self, Answer> {
        let target = format!("/v1/payments/{order_id}/events{query}");
        let mut request = service.request(Method::GET, &target).header(AUTHORIZATION, format!("Bearer {ticket}"));
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = within("the stream opens", request.send()).await.expect("an answer");
        if response.status() != 200 {
            return Err(Answer::read(response).await);
        }
        let kind = response.headers()["content-type"].to_str().unwrap_or_default();
        assert!(kind.starts_with("text/event-stream"), "{kind}");
        Ok(Self { response, received: Vec::new() })
    }

    /// The next thing.
    pub(crate) async fn next(&mut self) -> Item {
        loop {
            if let Some(block) = self.take_block() {
                match parsed(&block) {
                    Some(item) => return item,
                    None => continue,
                }
            }
            match within("something on the event stream", self.response.chunk()).await {
                Ok(Some(bytes)) => self.received.extend_from_slice(&bytes),
                Ok(None) | Err(_) => return Item::End,
            }
        }
    }

    /// The next payment, with its `id:` checked against its version. Heartbeats are passed over.
    pub(crate) async fn payment(&mut self) -> Value {
        loop {
            match self.next().await {
                Item::Event { id, event, data } => {
                    assert_eq!((event.as_str(), id), ("payment", data["version"].to_string()));
                    return data;
                }
                Item::Comment => {}
                Item::End => panic!("the stream ended where a payment was due"),
            }
        }
    }

    /// Waits until the service has ended the stream; no payment may come before that.
    pub(crate) async fn end(&mut self) {
        loop {
            match self.next().await {
                Item::End => return,
                Item::Event { event, data, .. } => assert_ne!(event, "payment", "{data}"),
                Item::Comment => {}
            }
        }
    }

    fn take_block(&mut self) -> Option<String> {
        let end = self.received.windows(2).position(|two| two == b"\n\n")?;
        let block = self.received.drain(..end + 2).collect::<Vec<u8>>();
        Some(String::from_utf8(block).expect("event streams are UTF-8"))
    }
}

fn parsed(block: &str) -> Option<Item> {
    let field = |name: &str| {
        let values = block.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        values.map(|value| value.strip_prefix(' ').unwrap_or(value)).collect::<Vec<_>>().join("\n")
    };
    let data = field("data");
    if !data.is_empty() {
        let data = serde_json::from_str(&data).expect("data is JSON");
        return Some(Item::Event { id: field("id"), event: field("event"), data });
    }
    block.starts_with(':').then_some(Item::Comment)
}
