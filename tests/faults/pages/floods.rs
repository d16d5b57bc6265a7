//! Connections that dribble, promise, repeat and never end. Each is given up at its bound; a good page beside them is told
//! at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::memory::resident_bytes;
use crate::ledger::row;
use crate::support::raw::RawSocket;
use crate::support::{Heard, Page, Publisher, Service, Setup, event, ticket, within};

const SLOW: usize = 200;

/// One byte of a header now and then, until the service has had enough.
async fn dribble(service: &Service) -> Duration {
    let stream = TcpStream::connect(service.http).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let began = Instant::now();
    let writing = async move {
        let endless = b"GET / HTTP/1.1\r\nhost: a\r\nx-slow: ".iter().chain(std::iter::repeat(&b'x'));
        for byte in endless {
            if write.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        std::future::pending::<()>().await;
    };
    let reading = async {
        let mut answer = Vec::new();
        // Closed with or without a word.
        drop(within("a dribbling connection is closed", read.read_to_end(&mut answer)).await);
    };
    tokio::select! {
        () = writing => {}
        () = reading => {}
    }
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_headers_are_cut_off_and_a_page_beside_them_is_told() {
    let service = Setup::new().await.set("HTTP__HEADER_TIMEOUT_S", 2).start().await;
    let (mut page, _) = Page::subscribed(&service, &ticket("beside")).await;
    let publisher = Publisher::connect(service.vhost()).await;
    let slow = join_all((0..SLOW).map(|_| dribble(&service)));
    let beside = async {
        publisher.publish(&event("beside", "succeeded")).await;
        assert_eq!(page.payment().await["status"], "succeeded");
        assert_eq!(service.payment("beside", &ticket("beside"), "").await.status, 200);
    };
    let (open_for, ()) = tokio::join!(slow, beside);
    let longest = open_for.iter().max().unwrap();
    assert!(longest.as_secs() < 20, "{longest:?}");
    row(&format!("slowloris runs={SLOW} lost=0 header_timeout_s=2 longest_ms={}", longest.as_millis()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_headers_are_refused_and_kept_nowhere() {
    let service = Service::start().await;
    let before = resident_bytes(service.pid());
    let lines = Arc::new(format!("GET / HTTP/1.1\r\nhost: a\r\n{}", "x-a: b\r\n".repeat(2_000_000)));
    let bytes = Arc::new(format!("GET / HTTP/1.1\r\nhost: a\r\nx-a: {}", "b".repeat(16_000_000)));
    let floods = [lines, bytes].into_iter().cycle().take(100).map(|flood| {
        let address = service.http;
        async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            // It is cut off in the midst of it.
            let written = within("the flood is cut off", stream.write_all(flood.as_bytes())).await;
            let mut answer = Vec::new();
            drop(within("the connection is closed", stream.read_to_end(&mut answer)).await);
            let answer = String::from_utf8_lossy(&answer);
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
            usize::from(written.is_err())
        }
    });
    let cut: usize = join_all(floods).await.into_iter().sum();
    assert!(cut > 0, "none was cut off before its end");
    let grown = resident_bytes(service.pid()).saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes for headers that were refused");
    service.get("/", "").await.assert_problem(404, "not_found");
    row(&format!("header-flood runs=100 lost=0 memory_mib=+{}", grown >> 20));
}

/// A masked frame; a mask of zeros leaves the payload as it is.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, 0x80 | u8::try_from(payload.len()).expect("a short frame"), 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    frame
}

/// The same for a payload of 126 bytes and more.
fn long_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("a length of two bytes").to_be_bytes();
    let mut frame = vec![first, 0x80 | 126, length[0], length[1], 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    frame
}

/// Sends until the service closes, and reads what it says meanwhile: its error frame and its close. Reading does not wait
/// for the flood to end: pongs that nobody takes fill the page's window, and behind them the close never comes.
async fn flood_until_closed(service: &Service, target: &str, first: &[u8], then: &[u8]) -> (Value, Heard) {
    let mut socket = RawSocket::open_wide(service, target).await;
    socket.send(first).await;
    socket.flood_with(then);
    loop {
        match socket.hear().await {
            Heard::Frame(frame) if frame["type"] == "error" => return (frame, socket.hear().await),
            Heard::Frame(_) => {}
            Heard::Closed(code) => panic!("closed ({code:?}) without an error frame"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_frames_end_with_an_error_frame_and_their_close() {
    let service = Setup::new().await.set("HTTP__SILENT_S", 4).set("HTTP__PING_S", 1).start().await;
    let (mut page, _) = Page::subscribed(&service, &ticket("beside")).await;
    let before = resident_bytes(service.pid());
    let (text, fragment) = (0x01, 0x00);
    let cases = [
        ("large fragments", frame(text, b"{"), long_frame(fragment, &[b' '; 20_000]), "bad_request", vec![4413]),
        ("fragments", frame(text, b"{"), frame(fragment, &[b' '; 100]), "rate_limited", vec![4429]),
        ("empty fragments", frame(text, b""), frame(fragment, b""), "rate_limited", vec![4429]),
        ("pings", frame(0x89, b""), frame(0x89, &[0; 125]), "rate_limited", vec![4429]),
        ("pongs", frame(0x8a, b""), frame(0x8a, &[0; 125]), "rate_limited", vec![4429]),
        ("pings among fragments", frame(text, b"{"), frame(0x89, b""), "rate_limited", vec![4429]),
        (
            "empty texts",
            frame(0x81, b"{\"type\":\"ping\"}"),
            frame(0x81, b"{\"type\":\"ping\"}"),
            "rate_limited",
            vec![4429],
        ),
    ];
    for (what, first, then, code, close) in &cases {
        let (error, end) = flood_until_closed(&service, "/v1/ws", first, then).await;
        assert_eq!(error["code"], *code, "{what}");
        assert!(matches!(end, Heard::Closed(Some(code)) if close.contains(&code)), "{what}: {end:?}");
    }
    // Heads alone: nothing is kept ready for what is only promised.
    let mut promised = Vec::new();
    for n in 0..100_u64 {
        let mut socket = RawSocket::open(&service, "/v1/ws").await;
        socket.promise_text(60_000 + n % 2 * (1 << 40)).await;
        promised.push(socket);
    }
    for socket in &mut promised {
        assert!(matches!(socket.hear().await, Heard::Frame(frame) if frame["type"] == "error"));
    }
    let grown = resident_bytes(service.pid()).saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes");
    // The page beside them may have been silent itself while this test was busy.
    Publisher::connect(service.vhost()).await.publish(&event("beside", "succeeded")).await;
    let told = loop {
        match page.hear().await {
            Heard::Frame(frame) if frame["type"] == "payment" => {
                break frame["payment"]["status"] == json!("succeeded");
            }
            Heard::Frame(_) => {}
            Heard::Closed(_) => {
                service.payment_with_status("beside", &ticket("beside"), "succeeded").await;
                break true;
            }
        }
    };
    assert!(told);
    row(&format!("frame-floods runs={} lost=0 memory_mib=+{}", cases.len() + 100, grown >> 20));
}
