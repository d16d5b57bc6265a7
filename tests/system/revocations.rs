//! Tickets and orders that an operator revokes: who waits is sent away, who comes is refused, also after a restart.

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::support::sse::Item;
use crate::support::ticket::{changed, claims, hs256, signed};
use crate::support::{EventStream, Heard, MERCHANT, Page, Publisher, Service, Setup, event, keys, ticket, wait_for};

/// Another ticket for the same order.
fn other_ticket(order_id: &str) -> String {
    hs256(&changed(claims(order_id), json!({ "sub": "another-payer" })))
}

fn order(order_id: &str) -> Value {
    json!({ "merchant_id": MERCHANT, "order_id": order_id })
}

async fn revoke(service: &Service, body: &Value) -> String {
    let answer = service.admin_post("/v1/revocations", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json["until"].as_str().expect("when it ends").to_owned()
}

/// Sends a ticket over a socket that watches nothing.
async fn subscribing(service: &Service, ticket: &str) -> Page {
    let mut page = Page::open(service).await;
    page.send(&json!({ "type": "subscribe", "ticket": ticket })).await;
    page
}

/// Checks that a ticket is refused on each transport with this code.
async fn assert_refused(service: &Service, order_id: &str, ticket: &str, status: u16, code: &str) {
    for query in ["", "?after=0&wait=20"] {
        service.payment(order_id, ticket, query).await.assert_problem(status, code);
    }
    let refused = EventStream::open_with(service, order_id, ticket, "", None).await.err().expect("refused");
    refused.assert_problem(status, code);
    let ack = service.post(&format!("/v1/payments/{order_id}/ack"), ticket, &json!({ "version": 1 })).await;
    ack.assert_problem(status, code);
    subscribing(service, ticket).await.error_then_close(code, 4401).await;
}

/// A page of each kind that waits, and what they hear when `revoking` is done.
async fn all_sent_away(service: &Service, order_id: &str, ticket: &str, revoking: &Value, status: u16, code: &str) {
    let (mut page, _) = Page::subscribed(service, ticket).await;
    let mut stream = EventStream::open(service, order_id, ticket).await;
    stream.payment().await;
    let (poll, ()) = tokio::join!(service.payment(order_id, ticket, "?after=0&wait=50"), async {
        wait_for("all three wait", async || {
            (service.metric("payment_notifier_pages_waiting", "").await == 3.0).then_some(())
        })
        .await;
        revoke(service, revoking).await;
    });
    poll.assert_problem(status, code);
    page.error_then_close(code, 4401).await;
    let Item::Event { event, data, .. } = stream.next().await else { panic!("an error event") };
    assert_eq!((event.as_str(), data["code"].as_str()), ("error", Some(code)), "{data}");
    assert_eq!(stream.next().await, Item::End);
}

#[tokio::test]
async fn a_revoked_ticket_ends_its_pages_at_once_and_no_other_ticket() {
    let mut service = Service::start().await;
    let (bad, good) = (ticket("revoked-1"), other_ticket("revoked-1"));
    let (mut other, _) = Page::subscribed(&service, &good).await;
    other.close().await;
    wait_for("it is gone", async || (service.metric("payment_notifier_pages_waiting", "").await == 0.0).then_some(()))
        .await;
    all_sent_away(&service, "revoked-1", &bad, &json!({ "ticket": bad }), 401, "invalid_ticket").await;
    assert_refused(&service, "revoked-1", &bad, 401, "invalid_ticket").await;
    assert!(service.metric("payment_notifier_tickets_refused_total", "reason=\"revoked\"").await >= 6.0);
    service.metric_is("payment_notifier_revocations_in_force", "", 1.0).await;
    let (mut page, _) = Page::subscribed(&service, &good).await;
    Publisher::connect(service.vhost()).await.publish(&event("revoked-1", "succeeded")).await;
    assert_eq!(page.payment().await["status"], "succeeded");

    // What is revoked stays so: after an orderly end, and after none.
    service.terminate();
    assert!(service.wait_end().await.success());
    service.start_again().await;
    assert_refused(&service, "revoked-1", &bad, 401, "invalid_ticket").await;
    service.kill9().await;
    service.start_again().await;
    assert_refused(&service, "revoked-1", &bad, 401, "invalid_ticket").await;
    assert_eq!(service.payment("revoked-1", &good, "").await.status, 200);
    let lifted = json!({ "ticket": bad, "ttl_s": 0 });
    revoke(&service, &lifted).await;
    assert_eq!(service.payment("revoked-1", &bad, "").await.status, 200);
    let log = service.logs().text();
    assert!(!log.contains(bad.rsplit_once('.').unwrap().1), "the ticket is nowhere in the log");
}

#[tokio::test]
async fn a_ticket_that_says_it_lives_for_long_is_revoked_for_as_long() {
    let service = Service::start().await;
    let exp = claims("long-1")["exp"].as_i64().unwrap();
    let until_s = |until: &str| payment_notifier::payment::Timestamp::parse(until).unwrap().unix_ms() / 1000;
    let mut ends = Vec::new();
    for days in [0, 7, 400] {
        let exp = exp + days * 86_400;
        let ticket = hs256(&changed(claims("long-1"), json!({ "exp": exp })));
        let until = until_s(&revoke(&service, &json!({ "ticket": ticket })).await);
        ends.push(until - exp);
    }
    assert!(ends[0] > 80_000, "as for any ticket: {ends:?}");
    assert_eq!(ends[1], 31, "a leeway beyond its own end");
    assert!(ends[2] < 0, "as long as may be: {ends:?}");
}

#[tokio::test]
async fn a_revoked_order_is_a_foreign_order_for_every_ticket() {
    let service = Service::start().await;
    let bad = ticket("revoked-2");
    all_sent_away(&service, "revoked-2", &bad, &order("revoked-2"), 403, "forbidden").await;
    for ticket in [&bad, &other_ticket("revoked-2")] {
        assert_refused(&service, "revoked-2", ticket, 403, "forbidden").await;
    }
    // The same number of another merchant is another order.
    let foreign = hs256(&changed(claims("revoked-2"), json!({ "merchant_id": "other-shop" })));
    assert_eq!(service.payment("revoked-2", &foreign, "").await.status, 200);
    let answer = service.payment("revoked-2", &bad, "").await.text;
    assert_eq!(answer, service.payment("revoked-2", &ticket("made-up"), "").await.text, "nobody can tell them apart");
}

#[tokio::test]
async fn of_a_ticket_for_several_orders_the_others_stay() {
    let service = Service::start().await;
    let both = ticket(json!(["stays-1", "goes-1"]));
    let mut page = subscribing(&service, &both).await;
    for _ in 0..2 {
        assert_eq!(page.frame().await["type"], "subscribed");
    }
    revoke(&service, &order("goes-1")).await;
    let error = page.error("forbidden").await;
    assert_eq!(error["order_id"], "goes-1");
    let publisher = Publisher::connect(service.vhost()).await;
    publisher.publish(&event("goes-1", "succeeded")).await;
    publisher.publish(&event("stays-1", "succeeded")).await;
    assert_eq!(page.payment().await["order_id"], "stays-1");

    let mut second = subscribing(&service, &both).await;
    assert_eq!(second.frame().await["order_id"], "stays-1");
    assert_eq!(second.error("forbidden").await["order_id"], "goes-1");
    second.ping_pong().await;
    revoke(&service, &order("stays-1")).await;
    for page in [&mut page, &mut second] {
        page.error("forbidden").await;
        assert_eq!(page.hear().await, Heard::Closed(Some(4401)));
    }
}

#[tokio::test]
async fn a_ticket_with_another_signature_that_is_as_good_is_still_the_same_ticket() {
    let config =
        format!("[[tickets.keys]]\nalgorithm = \"ES256\"\npublic_key_file = \"{}\"\n", keys::ES256.public_pem_path());
    let service = Setup::new().await.config(&config).start().await;
    let header = json!({ "alg": "ES256", "typ": "JWT" });
    let first = signed(&header, &claims("same-1"), &keys::ES256.signing_key(), Algorithm::ES256);
    let second = mirrored(&first);
    assert_ne!(first, second);
    assert_eq!(service.payment("same-1", &second, "").await.status, 200, "it is as good");
    revoke(&service, &json!({ "ticket": first })).await;
    for ticket in [&first, &second] {
        service.payment("same-1", ticket, "").await.assert_problem(401, "invalid_ticket");
    }
}

/// With (r, n - s) for (r, s): anybody can make it, and it verifies (FIPS 186-5, 6.4.2).
fn mirrored(ticket: &str) -> String {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    const ORDER_OF_P256: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6,
        0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let (message, signature) = ticket.rsplit_once('.').unwrap();
    let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut borrow = 0;
    for place in (0..32).rev() {
        let difference = i32::from(ORDER_OF_P256[place]) - i32::from(signature[32 + place]) - borrow;
        borrow = i32::from(difference < 0);
        signature[32 + place] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test]
async fn a_revocation_has_an_end_a_most_and_a_form() {
    let service = Setup::new().await.set("TICKETS__REVOCATIONS_MAX", 2).start().await;
    let ticket = ticket("ends-1");
    let mut body = order("ends-1");
    body["ttl_s"] = json!(10);
    revoke(&service, &body).await;
    assert_eq!(service.payment("ends-1", &ticket, "").await.status, 403);
    revoke(&service, &order("ends-2")).await;
    let full = service.admin_post("/v1/revocations", &order("ends-3")).await;
    full.assert_problem(409, "too_many_revocations");
    wait_for("it is over", async || (service.payment("ends-1", &ticket, "").await.status == 200).then_some(())).await;
    revoke(&service, &order("ends-3")).await;

    for wrong in [
        json!({}),
        json!({ "ticket": "hunter2" }),
        json!({ "ticket": "a.b.c" }),
        json!({ "merchant_id": MERCHANT }),
        json!({ "order_id": "a" }),
        json!({ "merchant_id": MERCHANT, "order_id": "a b" }),
        json!({ "ticket": ticket, "merchant_id": MERCHANT, "order_id": "a" }),
        changed(order("ends-4"), json!({ "ttl_s": 400 * 24 * 3600 })),
        changed(order("ends-4"), json!({ "ttl_s": u64::MAX })),
        changed(order("ends-4"), json!({ "ttl_s": -1 })),
        changed(order("ends-4"), json!({ "until": "tomorrow" })),
    ] {
        let answer = service.admin_post("/v1/revocations", &wrong).await;
        answer.assert_problem(400, "bad_request");
        assert!(!answer.text.contains("hunter2"), "{}", answer.text);
    }
    let pages = service.post("/v1/revocations", "", &order("ends-4")).await;
    pages.assert_problem(404, "not_found");
}
