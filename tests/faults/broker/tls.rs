//! A broker that speaks TLS alone with us, by a certificate of the test's own making.

use std::net::TcpListener;

use lapin::BasicProperties;

use super::node::Node;
use crate::support::amqp::{MESSAGE_ID, RawPublisher, short};
use crate::support::{DeadLetters, Page, Publisher, event, ticket};

/// "付款" in GBK.
const GBK: &[u8] = b"\xb8\xb6\xbf\xee";

#[tokio::test]
async fn tls_to_the_broker_carries_events_dead_letters_and_what_has_to_be_mended() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("tls.pem"), folder.path().join("tls.key"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let node = Node::start(&format!(
        "[{{rabbit, [{{ssl_listeners, [{{\"127.0.0.1\", {port}}}]}},
          {{ssl_options, [{{certfile, \"{}\"}}, {{keyfile, \"{}\"}}]}}]}}].",
        certificate.display(),
        key.display()
    ))
    .await;
    let over_tls = async |trusted: &str| {
        let setup = node.setup().await;
        let url = setup.vhost().amqp_url_at(&format!("localhost:{port}")).replacen("amqp://", "amqps://", 1);
        setup.set("AMQP__URL", url).wrapped_by(&["env", &format!("SSL_CERT_FILE={trusted}")])
    };

    let service = over_tls(certificate.to_str().unwrap()).await.start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let (mut page, _) = Page::subscribed(&service, &ticket("tls-1")).await;
    publisher.publish(&event("tls-1", "succeeded")).await;
    assert_eq!(page.payment().await["status"], "succeeded");
    publisher.publish_bytes(b"not json", BasicProperties::default()).await;
    assert_eq!(DeadLetters::of(service.vhost()).await.next().await.reason, "invalid_json");
    let (url, body) = (service.vhost().amqp_url(), event("tls-2", "succeeded").to_string());
    let spoken = tokio::task::spawn_blocking(move || {
        RawPublisher::connect(&url).publish(b"payment.result.x", MESSAGE_ID, &short(GBK), body.as_bytes());
    });
    spoken.await.unwrap();
    service.payment_with_status("tls-2", &ticket("tls-2"), "succeeded").await;
    service.metric_is("payment_notifier_broker_connects_total", "ok", 1.0).await;

    // Whom this system does not trust is not spoken with.
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let trusted = folder.path().join("other.pem");
    std::fs::write(&trusted, other.cert.pem()).unwrap();
    let refused = over_tls(trusted.to_str().unwrap()).await.start_unready().await;
    let reason = refused.wait_unready_for(&["broker", "certificate"]).await;
    assert!(!reason.contains(refused.vhost().password()), "{reason}");
}
