//! One node behind nginx: nothing is held back or cut, the client is known, and a node that stops or is gone is told to
//! pages in words that they know.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use reqwest::Method;

use crate::net::Net;
use crate::nginx::Nginx;
use crate::support::{Answer, EventStream, Heard, Page, Publisher, Service, Setup, event, ticket, wait_for};

const NODE: u8 = 1;

/// A node that is reached through nginx alone.
async fn behind_nginx(setup: Setup) -> (Service, Nginx) {
    let net = Net::new();
    let nginx = Nginx::start(net, &[NODE]).await;
    let setup = setup.set("HTTP__LISTEN", net.node(NODE)).set("HTTP__TRUSTED_PROXIES", "127.0.0.1");
    let mut service = setup.start().await;
    assert_eq!(service.http, net.node(NODE));
    service.http = nginx.address;
    (service, nginx)
}

#[tokio::test]
async fn each_transport_is_told_at_once() {
    let (service, nginx) = behind_nginx(Setup::new().await).await;
    let publisher = Publisher::connect(service.vhost()).await;
    let ticket = ticket("edge-1");
    publisher.publish(&event("edge-1", "processing")).await;
    service.payment_with_status("edge-1", &ticket, "processing").await;

    let (mut page, payment) = Page::subscribed(&service, &ticket).await;
    assert_eq!(payment["version"], 1);
    // The stream stays open, so that an event which was held back would not come at all.
    let mut stream = EventStream::open(&service, "edge-1", &ticket).await;
    assert_eq!(stream.payment().await["version"], 1);
    let long_poll = service.payment("edge-1", &ticket, "?after=1&wait=50");
    let publishing = async {
        wait_for("the long poll waits", async || {
            (service.metric("payment_notifier_pages_waiting", "long_poll").await >= 1.0).then_some(())
        })
        .await;
        publisher.publish(&event("edge-1", "succeeded")).await;
    };
    let (answer, ()) = tokio::join!(long_poll, publishing);
    assert_eq!((answer.status, &answer.json["status"]), (200, &"succeeded".into()), "{}", answer.text);
    assert_eq!(page.payment().await["status"], "succeeded");
    assert_eq!(stream.payment().await["status"], "succeeded");
    page.ping_pong().await;

    let began = Instant::now();
    let answer = service.payment("edge-1", &ticket, "?after=2&wait=2").await;
    assert_eq!((answer.status, &answer.json["version"]), (200, &2.into()));
    assert!(began.elapsed().as_millis() >= 2000, "it was held");
    let elsewhere = Answer::of(service.request(Method::GET, "/metrics")).await;
    assert_eq!(elsewhere.status, 404, "what is not for pages is not there");
    assert!(!nginx.logs().text().contains("[crit]"), "{}", nginx.logs().text());
}

#[tokio::test]
async fn limits_are_those_of_the_client_and_not_of_nginx() {
    let setup = Setup::new().await.set("HTTP__UNLIMITED_NETWORKS", "");
    let (mut service, _nginx) = behind_nginx(setup.set("HTTP__CONNECTIONS_PER_ADDRESS_MAX", 2)).await;
    let ticket = ticket("edge-2");
    let from = |last: u8| {
        let address = IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
        reqwest::Client::builder().no_proxy().local_address(address).build().expect("a client")
    };
    let mut streams = Vec::new();
    for client in [7, 8] {
        service.client = from(client);
        for _ in 0..2 {
            streams.push(EventStream::open(&service, "edge-2", &ticket).await);
        }
        let refused = EventStream::open_with(&service, "edge-2", &ticket, "", None).await.err().expect("refused");
        refused.assert_problem(429, "rate_limited");
        assert!(!refused.header("retry-after").is_empty(), "{refused:?}");
    }
    // Who claims to be another is still known.
    let claim = service.request(Method::GET, "/v1/payments/edge-2/events").bearer_auth(&ticket);
    let refused = Answer::of(claim.header("x-forwarded-for", "203.0.113.5")).await;
    refused.assert_problem(429, "rate_limited");
}

#[tokio::test]
async fn a_node_that_stops_and_comes_back_costs_its_pages_no_more_than_a_wait() {
    let (mut service, nginx) = behind_nginx(Setup::new().await.set("HTTP__DRAIN_S", 2)).await;
    let publisher = Publisher::connect(service.vhost()).await;
    let ticket = ticket("edge-3");
    publisher.publish(&event("edge-3", "processing")).await;
    service.payment_with_status("edge-3", &ticket, "processing").await;
    let (mut page, _) = Page::subscribed(&service, &ticket).await;
    let mut stream = EventStream::open(&service, "edge-3", &ticket).await;
    assert_eq!(stream.payment().await["version"], 1);
    let long_poll = service.payment("edge-3", &ticket, "?after=1&wait=50");
    let stopping = async {
        wait_for("the long poll waits", async || {
            (service.metric("payment_notifier_pages_waiting", "long_poll").await >= 1.0).then_some(())
        })
        .await;
        service.terminate();
        // What is refused by the draining node comes in its own words, and so does what nginx says for it in the end.
        wait_for("the node is gone", async || {
            let answer = service.payment("edge-3", &ticket, "").await;
            if answer.status != 200 {
                answer.assert_problem(503, "unavailable");
                assert!(answer.header("retry-after").parse::<u64>().is_ok(), "{answer:?}");
            }
            answer.text.contains("no node answers").then_some(())
        })
        .await;
    };
    let (answer, ()) = tokio::join!(long_poll, stopping);
    assert_eq!(answer.status, 200, "a long poll is answered: {}", answer.text);
    let frame = page.frame().await;
    assert_eq!(frame["type"], "reconnect", "{frame}");
    assert_eq!(page.hear().await, Heard::Closed(Some(1012)));
    stream.end().await;

    assert!(service.wait_end().await.success());
    publisher.publish(&event("edge-3", "succeeded")).await;
    let refused = Page::open_at(nginx.address, "/v1/ws", &[]).await.err().expect("there is no node");
    let tokio_tungstenite::tungstenite::Error::Http(answer) = refused else { panic!("{refused}") };
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    service.start_again().await;
    service.http = nginx.address;
    let payment = wait_for("nginx sends pages to it again", async || {
        let answer = service.payment("edge-3", &ticket, "").await;
        assert!(answer.status == 200 || answer.status == 503, "{}", answer.text);
        (answer.json["status"] == "succeeded").then_some(answer.json)
    })
    .await;
    assert_eq!(Page::subscribed(&service, &ticket).await.1, payment);
}

#[tokio::test]
async fn no_ticket_of_an_address_is_in_what_nginx_writes() {
    let (mut service, nginx) = behind_nginx(Setup::new().await).await;
    let ticket = ticket("edge-4");
    let target = format!("/v1/payments/edge-4?ticket={ticket}");
    assert_eq!(Answer::of(service.request(Method::GET, &target)).await.status, 200);
    service.kill9().await;
    assert_eq!(Answer::of(service.request(Method::GET, &target)).await.status, 503);
    let text = wait_for("the access log has both", async || {
        let text = nginx.logs().text();
        (text.matches("GET /v1/payments/edge-4 ").count() >= 2).then_some(text)
    })
    .await;
    assert!(!text.contains(&ticket), "{text}");
    assert!(text.contains("node_status=200") && text.contains("node_status=502"), "{text}");
}
