//! examples/publishers and examples/tickets: each program as a reader runs it, against the real broker and service.

use serde_json::{Value, json};

use crate::support::examples::{LANGUAGES, prepare, publisher, ticket_mint};
use crate::support::ticket::SECRET;
use crate::support::{MERCHANT, Page, Service, Vhost, ticket, tools};

/// Publishes a success by the language's example, with these settings changed: what it said of the event, or of its failure.
async fn publish(language: &str, vhost: &Vhost, settings: &[(&str, &str)]) -> Result<String, String> {
    let mut command = publisher(language);
    for name in ["EXCHANGE", "ROUTING_KEY"] {
        command.env_remove(name);
    }
    command.env("AMQP_URL", vhost.amqp_url()).envs(settings.iter().copied());
    command.args([MERCHANT, language, "succeeded"]);
    let (status, published, said) = tools::end_of(command, String::new()).await;
    if status.success() { Ok(published) } else { Err(said) }
}

/// One line that says so, and nothing of the password.
fn assert_says_not_published(language: &str, vhost: &Vhost, end: Result<String, String>, why: &str) {
    let said = end.expect_err(language);
    assert!(said.starts_with("not published: ") && said.contains(why), "{language}: {said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{language}: {said}");
    assert!(!said.contains(vhost.password()), "{language} tells the password");
}

#[tokio::test]
async fn a_waiting_page_learns_what_each_publisher_publishes() {
    prepare();
    let service = Service::start().await;
    for language in LANGUAGES {
        let (mut page, before) = Page::subscribed(&service, &ticket(language)).await;
        assert_eq!(before, Value::Null);
        publish(language, service.vhost(), &[]).await.expect(language);
        let payment = page.payment_with_status("succeeded").await;
        assert_eq!(payment["amount"], json!({ "value": 1999, "currency": "CNY" }), "{language}");
        assert_eq!((&payment["order_id"], &payment["version"]), (&json!(language), &json!(1)));
    }
}

#[tokio::test]
async fn each_publisher_sends_a_persistent_cloud_event() {
    let vhost = Vhost::create().await;
    vhost.put("exchanges", "payments", &json!({ "type": "fanout" })).await;
    vhost.put("queues", "copy", &json!({})).await;
    vhost.bind("payments", "copy").await;
    for language in LANGUAGES {
        let published = publish(language, &vhost, &[]).await.expect(language);
        let message = vhost.take("copy").await;
        let (properties, payload) = (&message["properties"], message["payload"].as_str().unwrap());
        let event: Value = serde_json::from_str(payload).unwrap();
        assert_eq!(properties["delivery_mode"], 2, "{language}");
        assert_eq!(properties["content_type"], "application/cloudevents+json", "{language}");
        assert_eq!(properties["message_id"], event["id"], "{language}");
        assert_eq!((&event["specversion"], &event["type"]), (&json!("1.0"), &json!("payment.result")), "{language}");
        assert_eq!(event["source"], format!("/merchants/{MERCHANT}"), "{language}");
        let id = event["id"].as_str().unwrap();
        assert!(id.len() >= 32, "{language}: {payload}");
        let line = format!("published {id}; look: scripts/pn order show {MERCHANT} {language}\n");
        assert_eq!(published, line, "{language}");
    }
}

#[tokio::test]
async fn what_no_queue_takes_is_an_error_of_each_publisher() {
    let vhost = Vhost::create().await;
    vhost.put("exchanges", "payments", &json!({ "type": "topic" })).await;
    for language in LANGUAGES {
        let end = publish(language, &vhost, &[]).await;
        assert_says_not_published(language, &vhost, end, "no queue is bound for it");
    }
}

#[tokio::test]
async fn each_publisher_waits_for_the_confirm() {
    let vhost = Vhost::create().await;
    vhost.put("exchanges", "payments", &json!({ "type": "fanout" })).await;
    let full = json!({ "arguments": { "x-max-length": 0, "x-overflow": "reject-publish" } });
    vhost.put("queues", "full", &full).await;
    vhost.bind("payments", "full").await;
    for language in LANGUAGES {
        let end = publish(language, &vhost, &[]).await;
        assert_says_not_published(language, &vhost, end, "");
    }
}

#[tokio::test]
async fn a_broker_that_refuses_or_is_not_there_is_an_error_of_each_publisher() {
    let vhost = Vhost::create().await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = vhost.amqp_url_at(&nobody.to_string());
    for language in LANGUAGES {
        let end = publish(language, &vhost, &[("EXCHANGE", "not-there")]).await;
        assert_says_not_published(language, &vhost, end, "not-there");
        for url in [&nobody, &vhost.amqp_url_at("127.0.0.1:no-port"), "no-address"] {
            let end = publish(language, &vhost, &[("AMQP_URL", url)]).await;
            assert_says_not_published(language, &vhost, end, "");
        }
    }
}

#[tokio::test]
async fn the_service_takes_the_tickets_of_each_language() {
    let service = Service::start().await;
    for language in LANGUAGES {
        let mut command = ticket_mint(language);
        command.env("TICKET_SECRET", SECRET).args([MERCHANT, language, "openid-0001"]);
        let minted = tools::run(command, String::new()).await;
        let minted = minted.trim_end();
        Page::subscribed(&service, minted).await;
        let answer = service.get(&format!("/v1/payments/{language}"), minted).await;
        assert_eq!(answer.status, 200, "{language}");
        let of_another = service.get("/v1/payments/of-another", minted).await;
        assert_ne!(of_another.status, 200, "{language}");
    }
}

#[tokio::test]
async fn no_ticket_is_minted_with_a_short_secret() {
    for language in LANGUAGES {
        let mut command = ticket_mint(language);
        command.env("TICKET_SECRET", &SECRET[..31]).args([MERCHANT, language, "openid-0001"]);
        let (status, minted, said) = tools::end_of(command, String::new()).await;
        assert!(!status.success() && minted.is_empty(), "{language}: {minted}");
        assert_eq!(said, "TICKET_SECRET must have at least 32 bytes\n", "{language}");
    }
}
