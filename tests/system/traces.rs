//! A publisher's `traceparent` goes on into the spans that a collector gets.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use lapin::BasicProperties;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::support::publisher::headers;
use crate::support::{Publisher, Setup, event, ticket, within};

/// What arrives at `/v1/traces` of a collector of this test's own.
async fn collector() -> (String, mpsc::Receiver<Bytes>) {
    let (bodies, received) = mpsc::channel::<Bytes>(64);
    let take = |State(bodies): State<mpsc::Sender<Bytes>>, body: Bytes| async move {
        // The test may have seen enough.
        drop(bodies.send(body).await);
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/traces", post(take)).with_state(bodies);
    payment_notifier::runtime::Tasks::new().spawn(async move { axum::serve(listener, router).await.unwrap() });
    (endpoint, received)
}

#[tokio::test]
async fn the_publishers_trace_goes_on_in_the_collector() {
    let (endpoint, mut received) = collector().await;
    let service = Setup::new().await.set("TELEMETRY__OTLP_ENDPOINT", endpoint).start().await;
    let parent = [("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")];
    let properties = BasicProperties::default().with_headers(headers(&parent));
    let body = event("traced", "succeeded").to_string();
    Publisher::connect(service.vhost()).await.publish_bytes(body.as_bytes(), properties).await;
    service.payment_with_status("traced", &ticket("traced"), "succeeded").await;

    let trace_id = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes();
    let holds = |body: &Bytes, part: &[u8]| body.windows(part.len()).any(|window| window == part);
    let spans = within("the span of the event", async {
        loop {
            let body = received.recv().await.expect("the collector runs");
            if holds(&body, &trace_id) {
                return body;
            }
        }
    })
    .await;
    assert!(holds(&spans, &0x00f0_67aa_0ba9_02b7_u64.to_be_bytes()), "the publisher's span is the parent");
    assert!(holds(&spans, b"traced") && holds(&spans, b"applied"), "what became of the event");
}
