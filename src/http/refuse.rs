//! What a connection is answered that is not served. Nothing of its request matters.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::runtime::Tasks;

/// Connections that are being answered. More are closed without an answer: a flood must not cost more than it has to.
const UNDER_WAY_MAX: usize = 256;
/// For the request to come, for the answer to go, and for the peer to close.
const STEP_TIME_MAX: Duration = Duration::from_secs(1);
/// Of a request that is thrown away.
const READ_BYTES_MAX: u64 = 64 * 1024;

/// Why a connection is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// `http.connections_max`
    Full,
    /// `http.connections_per_address_max`
    Address,
    /// The node stops.
    Draining,
}

impl Why {
    /// The problem code.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Full | Self::Draining => "unavailable",
            Self::Address => "rate_limited",
        }
    }

    /// A whole answer.
    fn answer(self, retry_after_s: u64) -> String {
        let (status, title) = match self {
            Self::Full | Self::Draining => (503, "Service Unavailable"),
            Self::Address => (429, "Too Many Requests"),
        };
        let detail = match self {
            Self::Full => "too many connections",
            Self::Address => "too many connections from this address",
            Self::Draining => "this node is draining",
        };
        let code = self.code();
        let body = format!(
            r#"{{"type":"about:blank","title":"{title}","status":{status},"detail":"{detail}","code":"{code}"}}"#
        );
        let length = body.len();
        format!(
            "HTTP/1.1 {status} {title}\r\nretry-after: {retry_after_s}\r\ncontent-type: application/problem+json\r\n\
             cache-control: no-store\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        )
    }
}

/// Refuses connections.
#[derive(Clone, Debug)]
pub(super) struct Refusals {
    slots: Arc<Semaphore>,
}

impl Refusals {
    pub(super) fn new() -> Self {
        Self { slots: Arc::new(Semaphore::new(UNDER_WAY_MAX)) }
    }

    /// Answers why, as a task of `tasks`, and closes.
    pub(super) fn refuse(&self, tasks: &Tasks, mut stream: TcpStream, why: Why, retry_after_s: u64) {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else { return };
        tasks.spawn(async move {
            // Clients take an answer that comes before their request for a fault.
            let asked = tokio::time::timeout(STEP_TIME_MAX, request_head(&mut stream)).await;
            let answer = why.answer(retry_after_s);
            let answered = tokio::time::timeout(STEP_TIME_MAX, async {
                stream.write_all(answer.as_bytes()).await?;
                stream.shutdown().await
            });
            let was_answered = matches!((asked, answered.await), (Ok(Ok(())), Ok(Ok(()))));
            // A close on unread bytes is a reset, which may overtake the answer.
            let mut rest = stream.take(READ_BYTES_MAX);
            let read = tokio::time::timeout(STEP_TIME_MAX, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
            if !was_answered || read.is_err() {
                tracing::debug!("a refused connection did not send, read or close in time");
            }
            drop(slot);
        });
    }
}

/// Reads until the empty line.
async fn request_head(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut head = stream.take(READ_BYTES_MAX);
    let (mut part, mut end) = ([0; 1024], Vec::new());
    loop {
        let length = head.read(&mut part).await?;
        // Four bytes may lie across two parts.
        end.extend_from_slice(&part[..length]);
        if length == 0 || end.windows(4).any(|four| four == b"\r\n\r\n") {
            return Ok(());
        }
        end.drain(..end.len().saturating_sub(3));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_is_whole() {
        for (why, status) in [(Why::Full, 503), (Why::Address, 429), (Why::Draining, 503)] {
            let answer = why.answer(7);
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")) && head.contains("retry-after: 7\r\n"), "{head}");
            assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!((&body["status"], &body["code"]), (&status.into(), &why.code().into()));
        }
    }
}
