//! Contract section 5 from the provider's request to the page, by the one provider whose signature is a few lines.

use reqwest::Method;
use ring::hmac;
use serde_json::{Value, json};

use crate::support::ticket::now_s;
use crate::support::{Answer, MERCHANT, Page, Proxy, Service, Setup, ticket};

const CONFIG: &str =
    "[[callbacks.stripe]]\nmerchant_id = \"shop\"\nsigning_secrets = [\"whsec_test_only_0123456789\"]\n";

fn notification(order_id: &str) -> Value {
    json!({
        "id": format!("evt_{order_id}"), "object": "event", "type": "payment_intent.succeeded", "created": now_s(),
        "api_version": "2025-03-31.basil",
        "data": { "object": {
            "id": "pi_1", "object": "payment_intent", "status": "succeeded", "amount": 1999, "amount_received": 1999,
            "currency": "cny", "metadata": { "order_id": order_id }, "receipt_email": "payer@example.org",
        } },
    })
}

async fn notify(service: &Service, body: &str, signed_body: &str, at_s: i64) -> Answer {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"whsec_test_only_0123456789");
    let tag = hmac::sign(&key, format!("{at_s}.{signed_body}").as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let request = service.request(Method::POST, &format!("/v1/callbacks/stripe/{MERCHANT}"));
    Answer::of(request.header("stripe-signature", format!("t={at_s},v1={hex}")).body(body.to_owned())).await
}

#[tokio::test]
async fn a_signed_notification_reaches_the_page_and_a_forged_one_does_not() {
    let service = Setup::new().await.config(CONFIG).start().await;
    let (mut page, _) = Page::subscribed(&service, &ticket("stripe-1")).await;
    let (body, forged) = (notification("stripe-1").to_string(), notification("stripe-2").to_string());

    for (body, at_s) in [(&forged, now_s()), (&body, now_s() - 3600)] {
        let refused = notify(&service, body, &notification("stripe-1").to_string(), at_s).await;
        assert!((400..500).contains(&refused.status), "{} {}", refused.status, refused.text);
    }
    page.ping_pong().await;

    let taken = notify(&service, &body, &body, now_s()).await;
    assert!((200..300).contains(&taken.status), "{} {}", taken.status, taken.text);
    let payment = page.payment().await;
    assert_eq!((&payment["status"], &payment["provider"]), (&json!("succeeded"), &json!("stripe")));
    assert_eq!(payment["amount"], json!({ "value": 1999, "currency": "CNY" }));
    // Providers repeat themselves.
    assert!(notify(&service, &body, &body, now_s()).await.status < 300);
    page.ping_pong().await;
    assert_eq!(service.payment("stripe-1", &ticket("stripe-1"), "").await.json["version"], 1);
    assert_eq!(service.payment("stripe-2", &ticket("stripe-2"), "").await.json["version"], 0);
    assert!(!service.logs().text().contains("payer@example.org"));
}

#[tokio::test]
async fn without_a_confirm_the_provider_is_told_to_send_again() {
    let proxy = Proxy::start();
    let service = Setup::new().await.config(CONFIG).through(&proxy).set("AMQP__CONNECT_TIMEOUT_S", 1).start().await;
    let body = notification("stripe-3").to_string();
    assert!(notify(&service, &body, &body, now_s()).await.status < 300, "the publisher is connected");
    proxy.silence();
    let begun = std::time::Instant::now();
    let (body, order_id) = (notification("stripe-4").to_string(), "stripe-4");
    let refused = notify(&service, &body, &body, now_s()).await;
    assert!((500..600).contains(&refused.status), "{} {}", refused.status, refused.text);
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());

    proxy.cut_and_pass();
    service.wait_ready().await;
    crate::support::wait_for("it is taken when it is sent again", async || {
        (notify(&service, &body, &body, now_s()).await.status < 300).then_some(())
    })
    .await;
    service.payment_with_status(order_id, &ticket(order_id), "succeeded").await;
}
