//! Clocks that are off by 90 s: the merchant's that mints tickets, the publisher's, and the service's own.

use serde_json::{Value, json};

use crate::ledger::row;
use crate::support::ticket::{changed, claims, hs256, now_s};
use crate::support::{Page, Publisher, Service, Setup, event, ticket};

const OFF_S: i64 = 90;
const LEEWAY_S: i64 = 30;
const ORDER: &str = "clock-1";

/// A ticket by a back end whose clock is off by so much: valid for `ttl_s` by that clock.
fn minted(off_s: i64, ttl_s: i64) -> String {
    let iat = now_s() + off_s;
    hs256(&changed(claims(ORDER), json!({ "iat": iat, "nbf": iat, "exp": iat + ttl_s })))
}

fn without_nbf(off_s: i64, ttl_s: i64) -> String {
    let iat = now_s() + off_s;
    hs256(&changed(claims(ORDER), json!({ "iat": iat, "exp": iat + ttl_s })))
}

#[tokio::test]
async fn tickets_of_a_back_end_whose_clock_is_off_by_90_s() {
    let service = Service::start().await;
    // Late clocks shorten a ticket's life and early ones only matter to `nbf`.
    for good in [minted(-OFF_S, 900), without_nbf(OFF_S, 900), minted(LEEWAY_S - 10, 900), minted(-OFF_S, OFF_S - 10)] {
        assert_eq!(service.payment(ORDER, &good, "").await.status, 200);
        Page::subscribed(&service, &good).await;
    }
    service.payment(ORDER, &minted(OFF_S, 900), "").await.assert_problem(401, "invalid_ticket");
    service.payment(ORDER, &minted(-OFF_S, 30), "").await.assert_problem(401, "ticket_expired");
    service.metric_is("payment_notifier_tickets_refused_total", "not_yet_valid", 1.0).await;
    row("clock-of-tickets runs=6 lost=0 off_s=90");
}

#[tokio::test]
async fn events_of_a_publisher_whose_clock_is_off_by_90_s() {
    let service = Service::start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let (mut page, _) = Page::subscribed(&service, &ticket(ORDER)).await;
    let at = |off_s: i64, status: &str| {
        let mut event = event(ORDER, status);
        event["occurred_at"] = rfc3339(now_s() + off_s).into();
        event
    };
    // The end of an order beats what is open, whatever the clocks say, and no version goes back.
    for (off_s, status, seen) in [
        (OFF_S, "processing", "processing"),
        (-OFF_S, "succeeded", "succeeded"),
        (2 * OFF_S, "processing", "succeeded"),
    ] {
        publisher.publish(&at(off_s, status)).await;
        service.payment_with_status(ORDER, &ticket(ORDER), seen).await;
    }
    assert_eq!(page.payment_with_status("succeeded").await["version"], 2);
    page.ping_pong().await;
    row("clock-of-events runs=3 lost=0 off_s=90");
}

#[tokio::test]
async fn a_service_whose_own_clock_is_off_by_90_s() {
    let library = faketime();
    for off_s in [OFF_S, -OFF_S] {
        let preload = format!("LD_PRELOAD={library}");
        let offset = format!("FAKETIME={off_s:+}s");
        // Waits and intervals are not a matter of the wall clock.
        let setup = Setup::new().await.wrapped_by(&["env", &preload, &offset, "FAKETIME_DONT_FAKE_MONOTONIC=1"]);
        let mut service = setup.start().await;
        let publisher = Publisher::connect(service.vhost()).await;
        let stamp = service.logs().json()[0]["timestamp"].as_str().unwrap().to_owned();
        let stamp = time::OffsetDateTime::parse(&stamp, &time::format_description::well_known::Rfc3339).unwrap();
        let is_off = stamp.unix_timestamp() - now_s();
        assert!((is_off - off_s).abs() < 45, "the clock is off by {is_off} s");

        // Tickets of usual life are good on both sides, and what it mints itself is.
        let (mut page, _) = Page::subscribed(&service, &ticket(ORDER)).await;
        let body = json!({ "merchant_id": "shop", "order_id": ORDER, "sub": "u", "ttl_s": 60 });
        let own = service.post("/v1/tickets", ticket::API_KEY, &body).await.json["ticket"].as_str().unwrap().to_owned();
        assert_eq!(service.payment(ORDER, &own, "").await.status, 200);
        let ends_in = |s: i64| hs256(&changed(claims(ORDER), json!({ "exp": now_s() + s })));
        let short = service.payment(ORDER, &ends_in(45), "").await.status;
        assert_eq!(short, if off_s > 0 { 401 } else { 200 }, "its own clock decides");
        let over = service.payment(ORDER, &ends_in(-60), "").await.status;
        assert_eq!(over, if off_s > 0 { 401 } else { 200 }, "its own clock decides");

        publisher.publish(&event(ORDER, "processing")).await;
        assert_eq!(page.payment().await["version"], 1);
        service.kill9().await;
        publisher.publish(&event(ORDER, "succeeded")).await;
        service.start_again().await;
        let payment: Value = service.payment_with_status(ORDER, &ticket(ORDER), "succeeded").await;
        assert_eq!(payment["version"], 2);
    }
    row("clock-of-the-service runs=2 lost=0 off_s=90");
}

fn rfc3339(unix_s: i64) -> String {
    let at = time::OffsetDateTime::from_unix_timestamp(unix_s).unwrap();
    at.format(&time::format_description::well_known::Rfc3339).unwrap()
}

/// Debian's libfaketime, which lies about the wall clock alone.
fn faketime() -> String {
    let folders = std::fs::read_dir("/usr/lib").unwrap().filter_map(Result::ok);
    let found = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1")).find(|path| path.exists());
    found.expect("libfaketime is missing: `make test` installs it").display().to_string()
}
