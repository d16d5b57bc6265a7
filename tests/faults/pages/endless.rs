//! Sockets that always have something to be read: time, revocations and the end of the node are seen all the same.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::floods::frame;
use crate::ledger::row;
use crate::support::raw::RawSocket;
use crate::support::ticket::{changed, claims, hs256, now_s};
use crate::support::{Heard, MERCHANT, Publisher, Service, Setup, event, ticket, within};

/// What must not be asked of a machine with two busy cores: to be on time. What is late by more was never seen.
const LATE: Duration = Duration::from_secs(15);
const TEXT_BEGINS: u8 = 0x01;
const SOCKET: &str = "/v1/ws HTTP/1.1\r\nhost: HOST\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Long enough to be taken as good on any machine: after its end a ticket has its leeway.
const TICKET_S: i64 = 8;

/// What is sent first, and then without end. None of it is a fault of its own.
fn endless() -> [(&'static str, Vec<u8>, Vec<u8>); 5] {
    [
        ("empty fragments", frame(TEXT_BEGINS, b""), frame(0x00, b"")),
        ("empty pings", Vec::new(), frame(0x89, b"")),
        ("pings", Vec::new(), frame(0x89, &[b'p'; 100])),
        ("pongs", Vec::new(), frame(0x8a, b"now")),
        ("texts", Vec::new(), frame(0x81, br#"{"type":"unsubscribe","order_id":"none"}"#)),
    ]
}

/// Where the number of frames is no bound: what is left is time.
async fn without_a_rate() -> Setup {
    let most = u32::MAX;
    Setup::new().await.set("HTTP__FRAMES_BURST_MAX", most).set("HTTP__FRAMES_PER_S_MAX", most)
}

/// A socket that subscribes, if there is a ticket, and then never stops sending.
async fn endless_socket(service: &Service, ticket: Option<&str>, first: &[u8], then: &[u8]) -> RawSocket {
    let query = ticket.map(|ticket| format!("?ticket={ticket}")).unwrap_or_default();
    let mut socket = RawSocket::open_wide(service, &format!("/v1/ws{query}")).await;
    if ticket.is_some() {
        let Heard::Frame(frame) = socket.hear().await else { panic!("subscribed comes first") };
        assert_eq!(frame["type"], "subscribed", "{frame}");
    }
    socket.send(first).await;
    socket.flood_with(then);
    socket
}

/// All that comes until the close: the last frame before it, the payments among the others, and the code. What the page says
/// of an order that it does not watch is answered, and is no matter here.
async fn heard_until_closed(socket: &mut RawSocket) -> (Value, Vec<Value>, Option<u16>) {
    let (mut last, mut payments) = (Value::Null, Vec::new());
    loop {
        match socket.hear().await {
            Heard::Frame(frame) if frame["type"] == "payment" => payments.push(frame),
            Heard::Frame(frame) => last = frame,
            Heard::Closed(code) => return (last, payments, code),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_without_end_are_counted_whether_a_message_ends_or_not() {
    let service = Service::start().await;
    for (what, first, then) in endless() {
        let began = Instant::now();
        let mut socket = endless_socket(&service, None, &first, &then).await;
        let (last, _, closed) = heard_until_closed(&mut socket).await;
        assert_eq!((&last["code"], closed), (&json!("rate_limited"), Some(4429)), "{what}");
        assert!(began.elapsed() < LATE, "{what}: {:?}", began.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_never_stops_sending_has_no_more_time_than_any_other() {
    let setup = without_a_rate().await.set("HTTP__TICKET_WAIT_S", 2).set("HTTP__SILENT_S", 4).set("HTTP__PING_S", 1);
    let service = setup.start().await;
    let mut longest = Duration::ZERO;
    for (what, first, then) in endless() {
        let began = Instant::now();
        let mut socket = endless_socket(&service, None, &first, &then).await;
        let (last, _, closed) = heard_until_closed(&mut socket).await;
        assert_eq!((&last["code"], closed), (&json!("bad_request"), Some(4408)), "{what}: {last}");
        longest = longest.max(began.elapsed());
    }
    // A message that never ends, whatever comes between its parts, and a frame that comes a byte at a time.
    let good = ticket("endless-0");
    let began = Instant::now();
    let pings = frame(0x89, &[b'p'; 100]);
    let mut never_whole = endless_socket(&service, Some(&good), &frame(TEXT_BEGINS, b"{"), &pings).await;
    let mut slow = RawSocket::open(&service, &format!("/v1/ws?ticket={good}")).await;
    slow.promise_text(1000).await;
    let dribble = async {
        while slow.try_send(b" ").await.is_ok() {
            if let Ok(heard) = tokio::time::timeout(Duration::from_millis(100), slow.hear()).await
                && !matches!(&heard, Heard::Frame(frame) if frame["type"] == "subscribed")
            {
                return heard;
            }
        }
        slow.hear().await
    };
    let ((last, _, closed), slow) = tokio::join!(heard_until_closed(&mut never_whole), dribble);
    assert_eq!((&last["code"], closed), (&json!("bad_request"), Some(4408)), "{last}");
    assert!(matches!(&slow, Heard::Frame(frame) if frame["code"] == "bad_request"), "{slow:?}");
    longest = longest.max(began.elapsed().saturating_sub(Duration::from_secs(2)));
    assert!(longest < Duration::from_secs(2) + LATE, "{longest:?}");
    row(&format!("endless-frames-in-time runs=7 lost=0 ticket_wait_s=2 longest_ms={}", longest.as_millis()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_never_stops_sending_is_told_nothing_once_its_ticket_is_over_or_revoked() {
    let service = without_a_rate().await.start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    for (n, (what, first, then)) in endless().into_iter().enumerate() {
        let orders = [format!("ends-{n}"), format!("revoked-{n}")];
        let short = hs256(&changed(claims(orders[0].as_str()), json!({ "exp": now_s() + TICKET_S })));
        let minted = tokio::time::Instant::now();
        let mut ends = endless_socket(&service, Some(&short), &first, &then).await;
        let others = async {
            let mut revoked = endless_socket(&service, Some(&ticket(orders[1].as_str())), &first, &then).await;
            let revoke = json!({ "merchant_id": MERCHANT, "order_id": orders[1] });
            assert_eq!(service.admin_post("/v1/revocations", &revoke).await.status, 200);
            publisher.publish(&event(&orders[1], "succeeded")).await;
            let (last, payments, closed) = heard_until_closed(&mut revoked).await;
            assert_eq!((&last["code"], closed), (&json!("forbidden"), Some(4401)), "{what}");
            assert!(payments.is_empty(), "{what}: told after the revocation");
            // Well after the end of the ticket.
            tokio::time::sleep_until(minted + Duration::from_secs(TICKET_S.unsigned_abs() + 2)).await;
            publisher.publish(&event(&orders[0], "succeeded")).await;
        };
        let ((last, payments, closed), ()) = tokio::join!(heard_until_closed(&mut ends), others);
        assert!(payments.is_empty(), "{what}: told by a ticket that is over");
        assert_eq!((&last["code"], closed), (&json!("ticket_expired"), Some(4401)), "{what}");
    }
    row("endless-frames-tickets runs=10 lost=0 told_late=0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_and_requests_without_end_do_not_hold_a_node_that_stops() {
    let mut service = without_a_rate().await.set("HTTP__DRAIN_S", 1).start().await;
    let mut sockets = Vec::new();
    for (n, (_, first, then)) in endless().into_iter().enumerate() {
        sockets.push(endless_socket(&service, Some(&ticket(format!("stops-{n}"))), &first, &then).await);
    }
    // Requests one behind the other, of which each would be answered.
    for address in [service.http, service.admin] {
        let (mut reading, mut writing) = TcpStream::connect(address).await.unwrap().into_split();
        let requests = format!("GET /healthz HTTP/1.1\r\nhost: {address}\r\n\r\n").repeat(64);
        #[allow(clippy::disallowed_methods, reason = "both end with the connection")]
        tokio::spawn(async move { while writing.write_all(requests.as_bytes()).await.is_ok() {} });
        #[allow(clippy::disallowed_methods, reason = "both end with the connection")]
        tokio::spawn(async move { tokio::io::copy(&mut reading, &mut tokio::io::sink()).await });
    }
    let began = Instant::now();
    service.terminate();
    let heard = join_all(sockets.iter_mut().map(heard_until_closed));
    for (last, _, closed) in within("the sockets are closed", heard).await {
        assert_eq!((&last["type"], closed), (&json!("reconnect"), Some(1012)), "{last}");
    }
    assert!(service.wait_end().await.success());
    let took = began.elapsed();
    assert!(took < Duration::from_secs(3) + LATE, "{took:?}");
    row(&format!("endless-frames-at-the-end runs=7 lost=0 drain_s=1 ended_ms={}", took.as_millis()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_socket_that_fills_a_core_does_not_hold_a_node_that_stops_and_is_read_no_further_once_it_is_closed() {
    let mut service = without_a_rate().await.set("HTTP__DRAIN_S", 1).start().await;
    let [(_, first, then), ..] = endless();
    let mut socket = endless_socket(&service, None, &first, &then).await;
    // It is well under way.
    assert!(tokio::time::timeout(Duration::from_secs(2), socket.next()).await.is_err(), "nothing is due yet");
    let began = Instant::now();
    service.terminate();
    let (last, _, closed) = heard_until_closed(&mut socket).await;
    assert_eq!((&last["type"], closed), (&json!("reconnect"), Some(1012)), "{last}");
    assert!(service.wait_end().await.success());
    let took = began.elapsed();
    assert!(took < LATE, "{took:?}");
    row(&format!("endless-frames-of-one runs=1 lost=0 drain_s=1 ended_ms={}", took.as_millis()));

    // What comes after the last word is taken up to a bound, and then no more of it.
    let service = Service::start().await;
    let mut stream = TcpStream::connect(service.http).await.unwrap();
    let open = format!("GET {SOCKET}").replace("HOST", &service.http.to_string());
    stream.write_all(open.as_bytes()).await.unwrap();
    let many = frame(0x00, b"").repeat(10_000);
    let mut taken = 0;
    while let Ok(bytes) = within("the flood is cut off", stream.write(&many)).await {
        taken += bytes;
    }
    assert!(taken < 64 << 20, "{taken} bytes were taken of a socket that was closed");
}

/// Sends `first`, then `then` without end and a little at a time if `slowly`, until the service has closed.
async fn open_for(service: &Service, first: &str, then: &'static str, slowly: bool) -> Duration {
    let (mut reading, mut writing) = TcpStream::connect(service.http).await.unwrap().into_split();
    let began = Instant::now();
    let first = first.replace("HOST", &service.http.to_string());
    let write = async {
        let mut bytes = first.into_bytes();
        while writing.write_all(&bytes).await.is_ok() {
            bytes = then.as_bytes().to_vec();
            if slowly {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        std::future::pending::<()>().await;
    };
    let read = async {
        // Whatever it is answered.
        drop(tokio::io::copy(&mut reading, &mut tokio::io::sink()).await);
        let mut nothing = [0];
        drop(reading.read(&mut nothing).await);
    };
    within("the connection is closed", async {
        tokio::select! { () = write => {}, () = read => {} }
    })
    .await;
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_never_end_are_cut_off_in_time_however_they_come() {
    let setup = Setup::new().await.set("HTTP__HEADER_TIMEOUT_S", 2).set("HTTP__BODY_TIMEOUT_S", 2);
    let service = setup.start().await;
    // The body of a callback is read before anything is known of it.
    let chunked = "POST /v1/callbacks/stripe/shop HTTP/1.1\r\nhost: HOST\r\ntransfer-encoding: chunked\r\n\r\n";
    let socket = format!("GET {SOCKET}\u{3}\u{0}");
    let cases = [
        ("a header", "GET / HTTP/1.1\r\nx-a: ", "a"),
        ("header lines", "GET / HTTP/1.1\r\n", "a: b\r\n"),
        ("empty lines", "", "\r\n"),
        ("chunks of a byte", chunked, "1\r\na\r\n"),
        ("a chunk's extension", &format!("{chunked}1;"), "a"),
        ("trailers", &format!("{chunked}0\r\n"), "a: b\r\n"),
        ("a body of a GET", "GET /v1/payments/a HTTP/1.1\r\nhost: HOST\r\ncontent-length: 9999999\r\n\r\n", "a"),
        ("what comes after an error's close", &socket, "\u{0}"),
    ];
    let both = cases.iter().flat_map(|(what, first, then)| [(what, first, then, true), (what, first, then, false)]);
    let each = both.map(|(what, first, then, slowly)| {
        let service = &service;
        async move { (format!("{what}, slowly: {slowly}"), open_for(service, first, then, slowly).await) }
    });
    let all = join_all(each).await;
    let (what, longest) = all.iter().max_by_key(|(_, open_for)| *open_for).unwrap();
    assert!(*longest < Duration::from_secs(2) + LATE, "{what}: {longest:?}");
    service.get("/", "").await.assert_problem(404, "not_found");
    row(&format!("endless-requests runs={} lost=0 timeout_s=2 longest_ms={}", all.len(), longest.as_millis()));
}
