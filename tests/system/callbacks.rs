//! Contract section 5 from the provider's request to the page, mostly by the one provider whose signature is a few lines.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};

use crate::support::ticket::now_s;
use crate::support::{Answer, MERCHANT, Page, Proxy, Service, Setup, fixture, ticket, wait_for};

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
async fn a_notification_reaches_the_page_however_the_bodies_of_others_are_read() {
    let mapping = "[[payments.mappings]]\nmerchant_id = \"=other\"\norder_id = \"/number\"\nstatus = \"/state\"\n";
    let service =
        Setup::new().await.config(&format!("[payments]\nbody_pointer = \"/data\"\n{mapping}{CONFIG}")).start().await;
    let (mut page, _) = Page::subscribed(&service, &ticket("own-1")).await;
    let body = notification("own-1").to_string();
    let taken = notify(&service, &body, &body, now_s()).await;
    assert!((200..300).contains(&taken.status), "{} {}", taken.status, taken.text);
    assert_eq!(page.payment().await["status"], "succeeded");
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
    wait_for("the publisher is connected", async || {
        (notify(&service, &body, &body, now_s()).await.status < 300).then_some(())
    })
    .await;
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

#[tokio::test]
async fn a_declined_attempt_says_why_and_the_page_waits_on() {
    let service = Setup::new().await.config(CONFIG).start().await;
    let (mut page, _) = Page::subscribed(&service, &ticket("stripe-5")).await;
    let mut declined = notification("stripe-5");
    declined["type"] = "payment_intent.payment_failed".into();
    declined["id"] = "evt_declined".into();
    let intent = &mut declined["data"]["object"];
    (intent["status"], intent["amount_received"]) = ("requires_payment_method".into(), 0.into());
    intent["last_payment_error"] = json!({ "code": "card_declined", "message": "Your card was declined." });
    let body = declined.to_string();
    assert_eq!(notify(&service, &body, &body, now_s()).await.status, 200);
    let payment = page.payment().await;
    assert_eq!((&payment["status"], &payment["final"]), (&json!("pending"), &json!(false)));
    assert_eq!(payment["reason"]["code"], "card_declined");

    let thin = json!({
        "id": "evt_thin", "object": "v2.core.event", "type": "v1.billing.meter.error_report_triggered",
        "created": "2026-11-28T05:40:52.246Z", "livemode": false, "related_object": null,
    });
    let body = thin.to_string();
    assert_eq!(notify(&service, &body, &body, now_s()).await.status, 200);
    let body = notification("stripe-5").to_string();
    assert_eq!(notify(&service, &body, &body, now_s()).await.status, 200);
    assert_eq!(page.payment().await["status"], "succeeded");
    assert!(!service.logs().text().contains("callback refused"), "nothing is to be warned of");
}

/// As WeChat Pay signs and encrypts.
async fn notify_wechat_pay(service: &Service, event_type: &str, resource: &Value) -> Answer {
    const KEY: &[u8; 32] = b"a7cde1ZJB1kG2e7VfTs3jQzaWizur8Gb";
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, KEY).unwrap());
    let mut sealed = resource.to_string().into_bytes();
    let nonce = Nonce::try_assume_unique_for_key(b"uluk4a9R25RW").unwrap();
    key.seal_in_place_append_tag(nonce, Aad::from(b"transaction"), &mut sealed).unwrap();
    let body = json!({
        "id": "EV-1", "create_time": "2026-01-31T08:30:00+08:00", "event_type": event_type,
        "resource_type": "encrypt-resource", "summary": "",
        "resource": {
            "algorithm": "AEAD_AES_256_GCM", "original_type": "transaction", "associated_data": "transaction",
            "nonce": "uluk4a9R25RW", "ciphertext": STANDARD.encode(sealed),
        },
    });
    let body = body.to_string();
    let at_s = now_s().to_string();
    let pem = std::fs::read_to_string(fixture("callbacks/test-only-private-key.pem")).unwrap();
    let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let pair = RsaKeyPair::from_pkcs8(&STANDARD.decode(base64).unwrap()).unwrap();
    let mut signature = vec![0; pair.public().modulus_len()];
    let message = format!("{at_s}\nEcho\n{body}\n");
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
    let request = service.request(Method::POST, &format!("/v1/callbacks/wechat_pay/{MERCHANT}"));
    let request = request
        .header("wechatpay-serial", "PUB_KEY_ID_01")
        .header("wechatpay-timestamp", at_s)
        .header("wechatpay-nonce", "Echo")
        .header("wechatpay-signature", STANDARD.encode(signature));
    Answer::of(request.body(body)).await
}

async fn wechat_pay(order_id_from: &str) -> Service {
    let key = fixture("callbacks/test-only-public-key.pem").display().to_string();
    let config = format!(
        "[[callbacks.wechat_pay]]\nmerchant_id = \"shop\"\napi_v3_key = \"a7cde1ZJB1kG2e7VfTs3jQzaWizur8Gb\"\n\
         order_id_from = {order_id_from:?}\nkeys = [{{ serial = \"PUB_KEY_ID_01\", public_key_file = {key:?} }}]\n"
    );
    Setup::new().await.config(&config).start().await
}

#[tokio::test]
async fn a_combined_payment_reaches_the_page_of_each_order_and_profit_sharing_none() {
    let service = wechat_pay("attach").await;
    let order = |order_id: &str, fen: i64| {
        json!({
            "mchid": "1900000001", "out_trade_no": format!("attempt-{order_id}"), "attach": order_id,
            "transaction_id": format!("4200{order_id}"), "trade_type": "JSAPI", "trade_state": "SUCCESS",
            "success_time": "2026-01-31T08:29:58+08:00", "amount": { "total_amount": fen, "currency": "CNY" },
        })
    };
    let orders: Vec<String> = (0..50).map(|n| format!("combined-{n}")).collect();
    let combined = json!({
        "combine_mchid": "1900000001", "combine_out_trade_no": "combined",
        "sub_orders": orders.iter().zip(1..).map(|(order_id, fen)| order(order_id, fen)).collect::<Value>(),
    });
    let (mut page, _) = Page::subscribed(&service, &ticket("combined-7")).await;
    let taken = notify_wechat_pay(&service, "TRANSACTION.SUCCESS", &combined).await;
    assert_eq!((taken.status, taken.text.as_str()), (204, ""));
    assert_eq!(page.payment().await["amount"], json!({ "value": 8, "currency": "CNY" }));
    for order_id in &orders {
        service.payment_with_status(order_id, &ticket(order_id.as_str()), "succeeded").await;
    }
    let sharing = json!({
        "mchid": "1900000001", "transaction_id": "4200combined-7", "order_id": "3008450740201411110007820472",
        "out_order_no": "P20150806125346", "success_time": "2026-01-31T08:40:00+08:00",
        "receiver": { "type": "MERCHANT_ID", "account": "1900000100", "amount": 1, "description": "" },
    });
    assert_eq!(notify_wechat_pay(&service, "TRANSACTION.SUCCESS", &sharing).await.status, 204);
    assert!(!service.logs().text().contains("callback refused"), "nothing is to be warned of");

    let mut half = json!({
        "combine_mchid": "1900000001", "combine_out_trade_no": "half",
        "sub_orders": [order("half-0", 1), order("half-1", 2)],
    });
    half["sub_orders"][0]["attach"] = "".into();
    let refused = notify_wechat_pay(&service, "TRANSACTION.SUCCESS", &half).await;
    assert_eq!((refused.status, refused.text.as_str()), (400, r#"{"code":"FAIL","message":"malformed"}"#));
    service.payment_with_status("half-1", &ticket("half-1"), "succeeded").await;
    wait_for("the log says what to set", async || {
        let logs = service.logs().text();
        (logs.contains("attach is empty") && logs.contains("set order_id_from")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_order_number_with_every_character_that_wechat_pay_allows_is_stored() {
    let service = wechat_pay("out_trade_no").await;
    let paid = json!({
        "mchid": "1900000001", "out_trade_no": "a*b|c@d-_", "transaction_id": "4200", "trade_state": "SUCCESS",
        "success_time": "2026-01-31T08:29:58+08:00", "amount": { "total": 1999, "currency": "CNY" },
    });
    let (mut page, _) = Page::subscribed(&service, &ticket("a*b|c@d-_")).await;
    assert_eq!(notify_wechat_pay(&service, "TRANSACTION.SUCCESS", &paid).await.status, 204);
    assert_eq!(page.payment().await["status"], "succeeded");
}
