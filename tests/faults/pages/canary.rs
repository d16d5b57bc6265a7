//! Everything that must not be told, as words that can be found again: after all that can be done to a service, none of
//! them is in its logs at the finest level, its metrics, its health, its traces or its settings as shown.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lapin::BasicProperties;
use reqwest::Method;
use ring::hmac;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::ledger::row;
use crate::support::publisher::headers;
use crate::support::ticket::{changed, claims, now_s, secret, signed};
use crate::support::{
    Answer, DeadLetters, EventStream, MERCHANT, Page, Publisher, Service, Setup, event, keys, wait_for, within,
};

const HS256_SECRET: &str = "canary-hs256-secret-0123456789abcdef";
const NEXT_SECRET: &str = "canary-next-secret-0123456789abcdef";
const API_KEY: &str = "canary-api-key-0123456789";
const NEXT_API_KEY: &str = "canary-next-api-key-0123456789";
const ADMIN_TOKEN: &str = "canary-admin-token-0123456789";
const NEXT_ADMIN_TOKEN: &str = "canary-next-admin-token-0123456789";
const API_V3_KEY: &str = "canary-api-v3-key-0123456789abcd";
const SIGNING_SECRET: &str = "whsec_canary_signing_secret";
const KEY_SERVER_PASSWORD: &str = "canary-key-server-password";
const KEY_SERVER_TOKEN: &str = "canary-key-server-token";
const COLLECTOR_PASSWORD: &str = "canary-collector-password";
const PAYER: &str = "canary-payer-openid";
const PAYER_MAIL: &str = "canary-payer@example.org";
const DISPLAY: &str = "canary-display-words";
const GARBAGE: &str = "canary-garbage-body";
const COOKIE: &str = "canary-cookie";
const PASSWORD: &str = "canary-basic-password";

const CANARIES: [&str; 17] = [
    HS256_SECRET,
    NEXT_SECRET,
    API_KEY,
    NEXT_API_KEY,
    ADMIN_TOKEN,
    NEXT_ADMIN_TOKEN,
    API_V3_KEY,
    SIGNING_SECRET,
    KEY_SERVER_PASSWORD,
    KEY_SERVER_TOKEN,
    COLLECTOR_PASSWORD,
    PAYER,
    PAYER_MAIL,
    DISPLAY,
    GARBAGE,
    COOKIE,
    PASSWORD,
];

const ORDER: &str = "told-1";

/// A key server and a collector of the test's own: where they are, and what the collector was sent.
async fn peers() -> (String, Arc<Mutex<Vec<u8>>>) {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let take = |State(sent): State<Arc<Mutex<Vec<u8>>>>, body: Bytes| async move {
        sent.lock().unwrap().extend_from_slice(&body);
    };
    let key_set = json!({ "keys": [keys::ES256.jwk("es")] }).to_string();
    let router = Router::new()
        .route("/v1/traces", post(take))
        .route("/jwks.json", get(|| async { key_set }))
        .with_state(Arc::clone(&sent));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    payment_notifier::runtime::Tasks::new().spawn(async move { axum::serve(listener, router).await.unwrap() });
    (authority, sent)
}

async fn service(authority: &str) -> Service {
    let config = format!(
        "[[callbacks.stripe]]\nmerchant_id = \"{MERCHANT}\"\nsigning_secrets = [\"{SIGNING_SECRET}\"]\n\
         [[callbacks.wechat_pay]]\nmerchant_id = \"{MERCHANT}\"\napi_v3_key = \"{API_V3_KEY}\"\nmch_id = \"1900000001\"\n\
         keys = [{{ serial = \"PUB_KEY_ID_1\", public_key_file = \"{}\" }}]\n",
        crate::support::fixture("callbacks/test-only-public-key.pem").display()
    );
    let setup = Setup::new().await.config(&config);
    let jwks = format!("http://keys:{KEY_SERVER_PASSWORD}@{authority}/jwks.json?token={KEY_SERVER_TOKEN}");
    let collector = format!("http://collector:{COLLECTOR_PASSWORD}@{authority}");
    let by_file = |name: &str, contents: String| {
        let path = setup.folder().join(name);
        std::fs::write(&path, contents).unwrap();
        path.display().to_string()
    };
    let secrets = by_file("ticket_secret", format!("{HS256_SECRET}\n{NEXT_SECRET}\n"));
    let tokens = by_file("admin_token", format!("{ADMIN_TOKEN}\n{NEXT_ADMIN_TOKEN}\n"));
    let amqp_url = by_file("amqp_url", setup.get("AMQP__URL").unwrap().to_owned());
    let setup = setup.unset("TICKETS__HS256_SECRET").set("TICKETS__HS256_SECRET_FILE", secrets);
    let setup = setup.set("TICKETS__API_KEY", format!("{API_KEY},{NEXT_API_KEY}")).set("ADMIN__TOKEN_FILE", tokens);
    let setup = setup.unset("AMQP__URL").set("AMQP__URL_FILE", amqp_url);
    let setup = setup.set("TICKETS__JWKS_URL", jwks).set("TICKETS__JWKS_REFETCH_MIN_S", 1);
    let setup = setup.set("TELEMETRY__OTLP_ENDPOINT", collector).set("TELEMETRY__LOG_FILTER", "trace");
    setup.set("HTTP__FRAMES_BURST_MAX", 20).start().await
}

fn ticket(order: &str, changes: Value) -> String {
    let claims = changed(changed(claims(order), json!({ "sub": PAYER })), changes);
    signed(&json!({ "alg": "HS256" }), &claims, &secret(HS256_SECRET.as_bytes()), jsonwebtoken::Algorithm::HS256)
}

/// Good ones and bad ones of each kind.
fn tickets() -> Vec<String> {
    let mut tickets = vec![
        ticket(ORDER, json!({})),
        ticket(ORDER, json!({ "exp": now_s() - 100 })),
        ticket(ORDER, json!({ "nbf": now_s() + 100 })),
        ticket(ORDER, json!({ "aud": "other" })),
        ticket("other", json!({})),
        format!("{}AAAA", ticket(ORDER, json!({}))),
    ];
    for (pair, kid) in [(keys::ES256, "es"), (keys::RS256, "unknown")] {
        let claims = changed(claims(ORDER), json!({ "sub": PAYER }));
        tickets.push(signed(&json!({ "alg": pair.name, "kid": kid }), &claims, &pair.signing_key(), pair.algorithm));
    }
    tickets
}

async fn publish_everything(service: &Service) {
    let publisher = Publisher::connect(service.vhost()).await;
    let mut good = event(ORDER, "processing");
    good["display"] = json!({ "note": DISPLAY });
    good["reason"] = json!({ "code": "x", "message": DISPLAY });
    publisher.publish(&good).await;
    let with = |change: Value| changed(good.clone(), change);
    let bad = [
        GARBAGE.to_owned(),
        format!("{{\"{GARBAGE}\":"),
        json!([GARBAGE]).to_string(),
        with(json!({ "status": GARBAGE })).to_string(),
        with(json!({ "occurred_at": GARBAGE })).to_string(),
        with(json!({ "amount": { "value": GARBAGE, "currency": "CNY" } })).to_string(),
        with(json!({ "amount": { "value": 1, "currency": GARBAGE } })).to_string(),
        with(json!({ "refund": { "status": GARBAGE } })).to_string(),
        with(json!({ "reason": GARBAGE })).to_string(),
        with(json!({ "provider": format!("{GARBAGE}{}", "x".repeat(100)) })).to_string(),
        with(json!({ "display": GARBAGE.repeat(200) })).to_string(),
        with(json!({ "merchant_id": null })).to_string(),
        with(json!({ "status": "failed" })).to_string(),
        format!("{}{}{}", "[".repeat(40), json!(GARBAGE), "]".repeat(40)),
        GARBAGE.repeat(5000),
    ];
    let mut letters = DeadLetters::of(service.vhost()).await;
    for body in &bad {
        let properties = BasicProperties::default().with_headers(headers(&[
            ("x-note", GARBAGE),
            ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            ("tracestate", "a=b"),
        ]));
        publisher.publish_bytes(body.as_bytes(), properties).await;
        letters.next().await;
    }
    service.payment_with_status(ORDER, &ticket(ORDER, json!({})), "processing").await;
}

async fn ask_everything(service: &Service, tickets: &[String]) {
    for ticket in tickets {
        for rest in ["", "?after=9&wait=0", "/events"] {
            let target = format!("/v1/payments/{ORDER}{rest}");
            let by_header = service.request(Method::GET, &target).bearer_auth(ticket).header("cookie", COOKIE);
            // A stream never ends by itself: its head is enough.
            drop(within("an answer", by_header.basic_auth_too().send()).await);
            let join = if rest.contains('?') { '&' } else { '?' };
            let by_query = service.request(Method::GET, &format!("{target}{join}ticket={ticket}"));
            drop(within("an answer", by_query.send()).await);
        }
        let ack = format!("/v1/payments/{ORDER}/ack");
        for body in [json!({ "version": 1 }), json!({ "version": GARBAGE }), json!(GARBAGE)] {
            service.post(&ack, ticket, &body).await;
        }
        Page::open_with(service, &format!("/v1/ws?ticket={ticket}"), &[("cookie", COOKIE)]).await.0.frame().await;
        let mut page = Page::open(service).await;
        page.send(&json!({ "type": "subscribe", "ticket": ticket })).await;
        page.frame().await;
    }
    for text in [GARBAGE.to_owned(), format!("{{\"type\":\"subscribe\",\"ticket\":\"{}\",}}", tickets[0])] {
        let mut page = Page::open(service).await;
        page.send_message(Message::text(text)).await;
        page.error("bad_request").await;
    }
    let mut page = Page::open(service).await;
    page.flood(&json!({ "type": "subscribe", "ticket": tickets[0] }), 100).await;
    let mut stream = EventStream::open(service, ORDER, &tickets[0]).await;
    stream.payment().await;
    for key in [API_KEY, NEXT_API_KEY, PASSWORD] {
        let body = json!({ "merchant_id": MERCHANT, "order_id": ORDER, "sub": PAYER, "ttl_s": 60 });
        service.post("/v1/tickets", key, &body).await;
        service.post("/v1/tickets", key, &json!({ "sub": PAYER, "what": GARBAGE })).await;
    }
}

async fn call_back(service: &Service) {
    let body = json!({
        "id": "evt_1", "object": "event", "type": "payment_intent.succeeded", "created": now_s(),
        "data": { "object": {
            "id": "pi_1", "object": "payment_intent", "status": "succeeded", "amount": 1999, "amount_received": 1999,
            "currency": "cny", "metadata": { "order_id": ORDER, "note": DISPLAY }, "receipt_email": PAYER_MAIL,
        } },
    })
    .to_string();
    let at_s = now_s();
    let tag =
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SIGNING_SECRET.as_bytes()), format!("{at_s}.{body}").as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    for signature in [format!("t={at_s},v1={hex}"), format!("t={at_s},v1={}", "0".repeat(64)), GARBAGE.to_owned()] {
        for provider in ["stripe", "wechat_pay", "alipay"] {
            let request = service.request(Method::POST, &format!("/v1/callbacks/{provider}/{MERCHANT}"));
            let request = request.header("stripe-signature", &signature).header("wechatpay-signature", &signature);
            Answer::of(request.body(body.clone())).await;
        }
    }
}

/// What is said of secrets where they are no good, or not where they belong.
fn refusals(setup: &Setup) -> Vec<(&'static str, String)> {
    let file = |name: &str| setup.folder().join(name).display().to_string();
    let twice = setup.folder().join("twice");
    std::fs::write(&twice, format!("{HS256_SECRET}\n{HS256_SECRET}\n")).unwrap();
    let cases = [
        ("TICKETS__HS256_SECRET_FILE", file("twice")),
        ("TICKETS__HS256_SECRET", HS256_SECRET.to_owned()),
        ("TICKETS__API_KEY", format!("{API_KEY},{API_KEY}")),
        ("TICKETS__API_KEY", format!("{API_KEY},{}", &NEXT_API_KEY[..12])),
        ("TICKETS__API_KEY_FILE", file("admin_token")),
        ("TELEMETRY__LOG_FORMAT_FILE", file("amqp_url")),
        ("AMQP__PREFETCH_FILE", file("amqp_url")),
        ("HTTP__LISTEN_FILE", file("amqp_url")),
        ("HTTP__ALLOWED_ORIGINS_FILE", file("admin_token")),
        ("HTTP__TRUSTED_PROXIES_FILE", file("admin_token")),
        ("INQUIRY__AFTER_FILE", file("admin_token")),
        ("STORE__URL_FILE", file("amqp_url")),
        ("STORE__URL_FILE", file("admin_token")),
        ("TICKETS__JWKS_URL_FILE", file("amqp_url")),
        ("AMQP__URL", HS256_SECRET.to_owned()),
        ("CALLBACKS__STRIPE_FILE", file("admin_token")),
    ];
    let said = cases.map(|(key, value)| {
        let mut command = setup.command(&["config", "check"]);
        command.env(format!("PAYMENT_NOTIFIER__{key}"), value);
        if let Some(other) = ["STORE__URL", "TICKETS__JWKS_URL"].iter().find(|other| key == format!("{other}_FILE")) {
            command.env_remove(format!("PAYMENT_NOTIFIER__{other}"));
        }
        let output = command.output().unwrap();
        assert!(!output.status.success(), "{key}");
        ("a refusal", String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    });
    said.into()
}

/// A header that is no ticket, beside the one that is.
trait BasicAuthToo {
    fn basic_auth_too(self) -> Self;
}

impl BasicAuthToo for reqwest::RequestBuilder {
    fn basic_auth_too(self) -> Self {
        self.header("proxy-authorization", format!("Basic {PASSWORD}"))
    }
}

#[tokio::test]
async fn no_log_metric_trace_or_answer_for_operators_holds_a_secret_a_ticket_a_payer_or_a_body() {
    let (authority, sent) = peers().await;
    let mut service = service(&authority).await;
    let tickets = tickets();
    publish_everything(&service).await;
    ask_everything(&service, &tickets).await;
    call_back(&service).await;
    let mut told = Vec::new();
    for target in ["/metrics", "/readyz", "/readyz?verbose", "/livez", "/healthz", "/v1/status", "/", "/nothing"] {
        for token in [ADMIN_TOKEN, NEXT_ADMIN_TOKEN, PASSWORD] {
            let request = service.client.get(format!("http://{}{target}", service.admin)).bearer_auth(token);
            told.push((target, Answer::of(request).await.text));
        }
    }
    service.vhost().delete().await;
    told.push(("/readyz without a broker", service.wait_unready().await));
    service.vhost().make().await;
    service.wait_ready().await;
    for arguments in [["config", "show"], ["config", "check"], ["config", "env"]] {
        let output = service.setup.command(&arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}");
        let both = [output.stdout, output.stderr].concat();
        told.push(("a command", String::from_utf8(both).unwrap()));
    }
    told.extend(refusals(&service.setup));
    service.terminate();
    service.wait_end().await;
    wait_for("spans have arrived", async || (!sent.lock().unwrap().is_empty()).then_some(())).await;
    told.push(("the log", service.logs().text()));
    told.push(("the collector", String::from_utf8_lossy(&sent.lock().unwrap()).into_owned()));

    let log = &told[told.len() - 2].1;
    assert!(log.contains("\"TRACE\""), "the level is in force");
    let mut hidden: Vec<String> = CANARIES.iter().map(|canary| (*canary).to_owned()).collect();
    hidden.push(service.vhost().password().to_owned());
    // A login is as good in the form that a header has it in.
    for login in [format!("keys:{KEY_SERVER_PASSWORD}"), format!("collector:{COLLECTOR_PASSWORD}")] {
        hidden.push(STANDARD.encode(login));
    }
    // The first part of a ticket is the same few words for all; the others are its own.
    hidden.extend(tickets.iter().flat_map(|ticket| ticket.split('.').skip(1).map(|part| part[..24].to_owned())));
    for (where_, text) in &told {
        for secret in &hidden {
            let line = text.lines().find(|line| line.contains(secret.as_str()));
            assert!(line.is_none(), "{secret} in {where_}: {:.600}", line.unwrap_or_default());
        }
    }
    let bytes: usize = told.iter().map(|(_, text)| text.len()).sum();
    row(&format!("canaries runs={} lost=0 looked_through_kib={}", hidden.len(), bytes / 1024));
}
