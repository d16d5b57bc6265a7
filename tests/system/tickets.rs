//! Contract section 2 and RFC 8725: what a ticket must be, and that everything else is refused in the same words on
//! every transport.

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::support::ticket::{base64, changed, claims, hs256, now_s, secret, signed, unsigned};
use crate::support::{EventStream, Heard, MERCHANT, Page, Publisher, Service, event, keys, ticket};

const ORDER: &str = "ticket-1";

fn header(more: Value) -> Value {
    changed(json!({ "alg": "HS256", "typ": "JWT" }), more)
}

/// The service's own key, under any header.
fn with_header(more: Value) -> String {
    signed(&header(more), &claims(ORDER), &secret(ticket::SECRET.as_bytes()), Algorithm::HS256)
}

fn with_claims(changes: Value) -> String {
    hs256(&changed(claims(ORDER), changes))
}

/// Each with why it must be refused.
fn invalid_tickets() -> Vec<(&'static str, String)> {
    let good = ticket(ORDER);
    let parts: Vec<&str> = good.split('.').collect();
    let public_pem = keys::RS256.public_pem();
    let twenty_one: Vec<String> = (0..21).map(|n| format!("o-{n}")).collect();
    let mut flipped = good.clone().into_bytes();
    let place = flipped.len() - 10;
    flipped[place] = if flipped[place] == b'A' { b'B' } else { b'A' };
    let other_claims = base64(changed(claims(ORDER), json!({ "merchant_id": "other" })).to_string());
    let by_rsa = |alg: &str, key| signed(&header(json!({ "alg": alg })), &claims(ORDER), &key, keys::RS256.algorithm);
    let by_public_key =
        |alg: &str| signed(&header(json!({ "alg": alg })), &claims(ORDER), &secret(&public_pem), Algorithm::HS256);
    vec![
        ("nothing", String::new()),
        ("no token at all", "hunter2".to_owned()),
        ("dots", "..".to_owned()),
        ("bad base64", format!("{}.!!!.{}", parts[0], parts[2])),
        ("alg none, unsigned", format!("{}.", unsigned(&json!({ "alg": "none" }), &claims(ORDER)))),
        ("alg None, unsigned", format!("{}.", unsigned(&json!({ "alg": "None", "typ": "JWT" }), &claims(ORDER)))),
        ("alg none over a good signature", format!("{}.{}.{}", base64(r#"{"alg":"none"}"#), parts[1], parts[2])),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("no third part", format!("{}.{}", parts[0], parts[1])),
        ("a fourth part", format!("{good}.{}", parts[2])),
        ("truncated", good[..good.len() - 5].to_owned()),
        ("signature tampered with", String::from_utf8(flipped).unwrap()),
        ("claims exchanged", format!("{}.{other_claims}.{}", parts[0], parts[2])),
        ("HS256 with a public key as its secret", by_public_key("HS256")),
        ("HS256 that calls itself RS256", by_public_key("RS256")),
        ("RS256 by a key that is not known", by_rsa("RS256", keys::RS256.signing_key())),
        ("RS256 that calls itself HS256", by_rsa("HS256", keys::RS256.signing_key())),
        ("another secret", {
            let key = secret(b"another secret that is long enough, too");
            signed(&header(json!({})), &claims(ORDER), &key, Algorithm::HS256)
        }),
        ("an empty secret", signed(&header(json!({})), &claims(ORDER), &secret(b""), Algorithm::HS256)),
        ("HS384 by the right secret", {
            let key = secret(ticket::SECRET.as_bytes());
            signed(&header(json!({ "alg": "HS384" })), &claims(ORDER), &key, Algorithm::HS384)
        }),
        ("HS512 by the right secret", {
            let key = secret(ticket::SECRET.as_bytes());
            signed(&header(json!({ "alg": "HS512" })), &claims(ORDER), &key, Algorithm::HS512)
        }),
        ("no alg", with_header(json!({ "alg": null }))),
        ("an alg that is not a text", with_header(json!({ "alg": 256 }))),
        ("crit", with_header(json!({ "crit": ["exp"] }))),
        ("crit with an extension", with_header(json!({ "crit": ["b64"], "b64": false }))),
        ("a compressed payload", with_header(json!({ "zip": "DEF" }))),
        ("JWE, five parts", "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.aaaa.bbbb.cccc.dddd".to_owned()),
        ("JWE header on three parts", with_header(json!({ "enc": "A256GCM" }))),
        ("huge", with_claims(json!({ "padding": "x".repeat(6000) }))),
        ("not JSON inside", format!("{}.{}.{}", parts[0], base64("not json"), parts[2])),
        ("no exp", with_claims(json!({ "exp": null }))),
        ("an exp that is a text", with_claims(json!({ "exp": (now_s() + 600).to_string() }))),
        ("an exp more than 24 h ahead", with_claims(json!({ "exp": now_s() + 24 * 3600 + 120 }))),
        ("the greatest exp there is", with_claims(json!({ "exp": u64::MAX }))),
        ("an exp beyond all integers", with_claims(json!({ "exp": 1e300 }))),
        ("nbf in the future", with_claims(json!({ "nbf": now_s() + 120 }))),
        ("no aud", with_claims(json!({ "aud": null }))),
        ("another aud", with_claims(json!({ "aud": "another-service" }))),
        ("an aud of another case", with_claims(json!({ "aud": "Payment-Notifier" }))),
        ("a list of other auds", with_claims(json!({ "aud": ["a", "b"] }))),
        ("no sub", with_claims(json!({ "sub": null }))),
        ("an empty sub", with_claims(json!({ "sub": "" }))),
        ("a sub that is a number", with_claims(json!({ "sub": 7 }))),
        ("no merchant", with_claims(json!({ "merchant_id": null }))),
        ("a merchant with a slash", with_claims(json!({ "merchant_id": "shop/1" }))),
        ("no order", with_claims(json!({ "order_id": null }))),
        ("a list of no orders", with_claims(json!({ "order_id": [] }))),
        ("21 orders", with_claims(json!({ "order_id": twenty_one }))),
        ("an order that is a number", with_claims(json!({ "order_id": 1 }))),
        ("an empty order", with_claims(json!({ "order_id": "" }))),
        ("an order of 65 characters", with_claims(json!({ "order_id": "x".repeat(65) }))),
        ("an order with a space", with_claims(json!({ "order_id": "order 1" }))),
    ]
}

#[tokio::test]
async fn every_bad_ticket_is_refused_over_http_with_the_same_stable_code() {
    let service = Service::start().await;
    let mut cases = 0.0;
    for (why, bad) in invalid_tickets() {
        let answer = service.payment(ORDER, &bad, "").await;
        assert_eq!((answer.status, answer.code()), (401, "invalid_ticket"), "{why}: {}", answer.text);
        answer.assert_is_problem();
        assert_eq!(answer.header("www-authenticate"), "Bearer", "{why}");
        assert!(bad.is_empty() || !answer.text.contains(&bad), "{why}");
        cases += 1.0;
    }
    let expired = with_claims(json!({ "exp": now_s() - 40 }));
    for target in [format!("/v1/payments/{ORDER}"), format!("/v1/payments/{ORDER}/events")] {
        service.get(&target, &expired).await.assert_problem(401, "ticket_expired");
    }
    let ack = service.post(&format!("/v1/payments/{ORDER}/ack"), &expired, &json!({ "version": 1 })).await;
    ack.assert_problem(401, "ticket_expired");
    service.metric_is("payment_notifier_tickets_refused_total", "", cases + 3.0).await;
    service.metric_is("payment_notifier_tickets_refused_total", "reason=\"expired\"", 3.0).await;
    // An order may be called so, and it stands for no other.
    let star = with_claims(json!({ "order_id": "*" }));
    service.get(&format!("/v1/payments/{ORDER}"), &star).await.assert_problem(403, "forbidden");
    assert_eq!(service.get("/v1/payments/*", &star).await.status, 200);
}

#[tokio::test]
async fn every_bad_ticket_gets_an_error_frame_and_then_close_4401() {
    let service = Service::start().await;
    for (why, bad) in invalid_tickets().into_iter().filter(|(_, bad)| bad.len() < 6000) {
        let mut page = Page::open(&service).await;
        page.send(&json!({ "type": "subscribe", "ticket": bad })).await;
        let frame = page.frame().await;
        assert_eq!((&frame["type"], &frame["code"]), (&json!("error"), &json!("invalid_ticket")), "{why}: {frame}");
        assert_eq!(page.hear().await, Heard::Closed(Some(4401)), "{why}");
    }
    let expired = with_claims(json!({ "exp": now_s() - 40 }));
    let (mut page, _) = Page::open_with(&service, &format!("/v1/ws?ticket={expired}"), &[]).await;
    page.error_then_close("ticket_expired", 4401).await;
    let (mut page, _) = Page::open_with(&service, "/v1/ws", &[("authorization", "Bearer hunter2")]).await;
    page.error_then_close("invalid_ticket", 4401).await;
}

#[tokio::test]
async fn a_socket_that_watches_survives_another_bad_ticket() {
    let service = Service::start().await;
    let (mut page, _) = Page::subscribed(&service, &ticket(ORDER)).await;
    page.send(&json!({ "type": "subscribe", "ticket": "hunter2" })).await;
    page.error("invalid_ticket").await;
    Publisher::connect(service.vhost()).await.publish(&event(ORDER, "succeeded")).await;
    assert_eq!(page.payment().await["status"], "succeeded");
}

#[tokio::test]
async fn what_a_header_says_of_keys_is_never_followed_and_good_tickets_of_any_make_are_taken() {
    let service = Service::start().await;
    let attacker = keys::RS256.jwk("attacker");
    // Names of keys in a header are ignored: these are signed by the service's own key and are as good without them.
    let by_own_key = [
        with_header(json!({ "jku": "http://127.0.0.1:1/jwks.json" })),
        with_header(json!({ "x5u": "http://127.0.0.1:1/cert.pem" })),
        with_header(json!({ "kid": "../../etc/passwd" })),
        with_header(json!({ "typ": null })),
        with_header(json!({ "typ": "ticket+jwt", "cty": "JWT" })),
        with_claims(json!({ "exp": now_s() - 20 })),
        with_claims(json!({ "exp": now_s() + 24 * 3600 - 60 })),
        with_claims(json!({ "nbf": now_s() + 20, "iat": now_s(), "jti": "1", "iss": "shop" })),
        with_claims(json!({ "aud": ["another-service", "payment-notifier"] })),
        with_claims(json!({ "order_id": [ORDER, ORDER] })),
        with_claims(json!({ "exp": 0.5 + 600.0 + now_s() as f64 })),
    ];
    for good in by_own_key {
        let answer = service.payment(ORDER, &good, "").await;
        assert_eq!(answer.status, 200, "{good}: {}", answer.text);
    }
    for by in [json!({ "jwk": attacker }), json!({ "jku": "http://127.0.0.1:1/", "kid": "attacker" })] {
        let header = changed(by, json!({ "alg": "RS256" }));
        let forged = signed(&header, &claims(ORDER), &keys::RS256.signing_key(), Algorithm::RS256);
        service.payment(ORDER, &forged, "").await.assert_problem(401, "invalid_ticket");
    }
}

#[tokio::test]
async fn a_ticket_for_another_order_gets_the_same_answer_as_a_made_up_order() {
    let service = Service::start().await;
    Publisher::connect(service.vhost()).await.publish(&event("existing", "succeeded")).await;
    service.payment_with_status("existing", &ticket("existing"), "succeeded").await;
    let other = ticket("another");
    for (method, target) in [("GET", ""), ("GET", "?after=0&wait=1"), ("GET", "/events"), ("POST", "/ack")] {
        let answers = async |order_id: &str| {
            let target = format!("/v1/payments/{order_id}{target}");
            if method == "GET" {
                service.get(&target, &other).await
            } else {
                service.post(&target, &other, &json!({ "version": 1 })).await
            }
        };
        let (existing, made_up) = (answers("existing").await, answers("made-up").await);
        existing.assert_problem(403, "forbidden");
        assert_eq!((made_up.status, &made_up.text), (existing.status, &existing.text), "{method} {target}");
        let names =
            |answer: &crate::support::Answer| answer.headers.keys().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(&existing), names(&made_up));
    }
    // The same order number of another merchant is another order.
    let other_merchant = hs256(&changed(claims("existing"), json!({ "merchant_id": "other-shop" })));
    assert_eq!(service.payment("existing", &other_merchant, "").await.json["version"], 0);
}

/// A back end whose clock is off makes tickets whose times are off by as much.
#[tokio::test]
async fn clocks_may_differ_by_the_leeway_and_90_s_are_refused_in_words_that_say_why() {
    let service = Service::start().await;
    let made_by_a_clock_off_by = |off_s: i64| {
        let times = json!({ "iat": now_s() + off_s, "nbf": now_s() + off_s, "exp": now_s() + off_s + 600 });
        hs256(&changed(claims(ORDER), times))
    };
    for off_s in [0, -90, 20] {
        let answer = service.payment(ORDER, &made_by_a_clock_off_by(off_s), "").await;
        assert_eq!(answer.status, 200, "a ticket of ten minutes, {off_s} s off: {}", answer.text);
    }
    let ahead = made_by_a_clock_off_by(90);
    let answer = service.payment(ORDER, &ahead, "").await;
    answer.assert_problem(401, "invalid_ticket");
    assert_eq!(answer.json["detail"], "the ticket is not valid yet");
    let mut page = Page::open(&service).await;
    page.send(&json!({ "type": "subscribe", "ticket": ahead })).await;
    assert_eq!(page.error("invalid_ticket").await["message"], "the ticket is not valid yet");
    assert_eq!(page.hear().await, Heard::Closed(Some(4401)));
    // The clock of the service itself ahead by 90 s, at the end of a ticket's life; and by 10 s.
    let behind = with_claims(json!({ "exp": now_s() - 90 }));
    service.payment(ORDER, &behind, "").await.assert_problem(401, "ticket_expired");
    assert_eq!(service.payment(ORDER, &with_claims(json!({ "exp": now_s() - 1 })), "").await.status, 200);
    for reason in ["not_yet_valid", "expired"] {
        let refused = service.metric("payment_notifier_tickets_refused_total", &format!("reason=\"{reason}\"")).await;
        assert!(refused >= 1.0, "{reason}");
    }
}

#[tokio::test]
async fn where_a_ticket_runs_out_its_subscriptions_end() {
    let service = Service::start().await;
    let short = with_claims(json!({ "exp": now_s() + 6 }));
    let (mut page, _) = Page::subscribed(&service, &short).await;
    let mut stream = EventStream::open(&service, ORDER, &short).await;
    assert_eq!(stream.payment().await["version"], 0);
    let frame = page.error("ticket_expired").await;
    assert_eq!(frame["order_id"], ORDER);
    assert_eq!(page.hear().await, Heard::Closed(Some(4401)));
    stream.end().await;

    // So does a poll that is held: no later event is told by that ticket.
    let short = with_claims(json!({ "exp": now_s() + 6 }));
    let began = std::time::Instant::now();
    service.payment(ORDER, &short, "?after=0&wait=40").await.assert_problem(401, "ticket_expired");
    assert!(began.elapsed().as_secs() < 30, "{:?}", began.elapsed());

    // A newer ticket in time keeps the page.
    let mut page = Page::open(&service).await;
    page.subscribe(&with_claims(json!({ "exp": now_s() + 3 }))).await;
    page.subscribe(&ticket(ORDER)).await;
    let (mut witness, _) = Page::subscribed(&service, &with_claims(json!({ "exp": now_s() + 4 }))).await;
    witness.error_then_close("ticket_expired", 4401).await;
    page.ping_pong().await;
}

#[tokio::test]
async fn the_secret_of_another_merchant_does_not_open_what_a_bound_api_key_may_not() {
    let setup = crate::support::Setup::new().await;
    let service = setup.set("TICKETS__API_KEY_MERCHANT_ID", MERCHANT).start().await;
    let body = |merchant: &str| json!({ "merchant_id": merchant, "order_id": ORDER, "sub": "u", "ttl_s": 60 });
    let minted = service.post("/v1/tickets", ticket::API_KEY, &body(MERCHANT)).await;
    assert_eq!(minted.status, 200, "{}", minted.text);
    service.post("/v1/tickets", ticket::API_KEY, &body("other-shop")).await.assert_problem(403, "forbidden");
}
