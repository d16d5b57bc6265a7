//! Pages whose network has vanished: nothing comes from them any more, not even the end of the connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use futures_util::StreamExt;
use socket2::{Domain, Socket, Type};
use tokio::task::JoinSet;

use crate::ledger::row;
use crate::support::{Page, Publisher, Service, Setup, event, ticket, wait_for, within};

const VANISHED: usize = 20;
const SILENT_S: u64 = 8;

/// A way to the service that loses everything, both ways, once it is told to. It closes nothing: to the service its
/// pages look as phones do that went into a tunnel.
struct Tunnel {
    address: SocketAddr,
    dark: Arc<AtomicBool>,
}

impl Tunnel {
    fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let dark = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&dark);
        std::thread::spawn(move || {
            for page in listener.incoming().map_while(Result::ok) {
                let service = TcpStream::connect(target).unwrap();
                let (from_page, from_service) = (page.try_clone().unwrap(), service.try_clone().unwrap());
                let (up, down) = (Arc::clone(&told), Arc::clone(&told));
                std::thread::spawn(move || copy(from_page, service, &up));
                std::thread::spawn(move || copy(from_service, page, &down));
            }
        });
        Self { address, dark }
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, dark: &AtomicBool) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if !dark.load(Ordering::Relaxed) && to.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
    if dark.load(Ordering::Relaxed) {
        // Its end is lost as everything is.
        std::mem::forget((from, to));
    }
}

async fn waiting(service: &Service, transport: &str) -> f64 {
    service.metric("payment_notifier_pages_waiting", transport).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_whose_network_vanished_are_given_up_after_their_silence() {
    let setup = Setup::new().await.set("HTTP__SILENT_S", SILENT_S).set("HTTP__PING_S", 2);
    let service = setup.start().await;
    let tunnel = Tunnel::start(service.http);
    let (mut alive, _) = Page::subscribed(&service, &ticket("alive")).await;
    // Reading is what answers pings, as a page that is there does.
    let mut told = JoinSet::new();
    told.spawn(async move { alive.payment().await });
    let mut vanished = Vec::new();
    for n in 0..VANISHED {
        let target = format!("/v1/ws?ticket={}", ticket(format!("vanished-{}", n % 5)));
        let (mut page, _) = Page::open_at(tunnel.address, &target, &[]).await.expect("it opens");
        page.frame().await;
        vanished.push(page);
    }
    let began = Instant::now();
    wait_for("all wait", async || (waiting(&service, "websocket").await == 21.0).then_some(())).await;
    let open = service.metric("payment_notifier_http_connections", "").await;
    assert!(open >= 21.0, "{open}");

    tunnel.dark.store(true, Ordering::Relaxed);
    let publisher = Publisher::connect(service.vhost()).await;
    wait_for("those that vanished are given up", async || (waiting(&service, "websocket").await == 1.0).then_some(()))
        .await;
    let took = began.elapsed();
    publisher.publish(&event("alive", "succeeded")).await;
    let payment = within("the page is told", told.join_next()).await.expect("one page").expect("it does not panic");
    assert_eq!(payment["status"], "succeeded");
    assert!(took.as_secs() + 1 >= SILENT_S, "not before their time: {took:?}");
    wait_for("their connections are closed", async || {
        let open = service.metric("payment_notifier_http_connections", "").await;
        (open <= 3.0).then_some(())
    })
    .await;
    row(&format!("half-open-pages runs={VANISHED} lost=0 silent_s={SILENT_S} reaped_ms={}", took.as_millis()));
    drop(vanished);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_stream_whose_network_vanished_is_given_up_when_nothing_more_is_taken() {
    let service = Setup::new().await.set("HTTP__HEARTBEAT_S", 1).set("HTTP__WRITE_TIMEOUT_S", 2).start().await;
    let ticket = ticket("vanished-stream");
    let address = service.http;
    let (stream, held) = tokio::task::spawn_blocking(move || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        // Its window is soon closed, as that of a phone is which is off: nothing more that is sent is taken.
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&address.into()).unwrap();
        let mut stream = TcpStream::from(socket);
        let request = format!(
            "GET /v1/payments/vanished-stream/events HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {ticket}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = [0; 64];
        let held = stream.read(&mut head).unwrap();
        (stream, held)
    })
    .await
    .unwrap();
    assert!(held > 0);
    wait_for("it waits", async || (waiting(&service, "sse").await == 1.0).then_some(())).await;
    let publisher = Publisher::connect(service.vhost()).await;
    let mut published = 0;
    let given_up = async {
        wait_for("the stream is given up", async || (waiting(&service, "sse").await == 0.0).then_some(())).await;
    };
    let publishing = futures_util::stream::repeat(()).for_each(|()| {
        published += 1;
        let mut large = event("vanished-stream", "processing");
        large["display"] = "x".repeat(2000).into();
        let publisher = &publisher;
        async move { publisher.publish(&large).await }
    });
    tokio::select! {
        () = given_up => {}
        () = publishing => {}
    }
    row(&format!("half-open-stream runs=1 lost=0 published={published}"));
    drop(stream);
}
