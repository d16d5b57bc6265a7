//! TLS of the program itself: real clients that trust one certificate, and files that change while pages wait.

use std::path::PathBuf;
use std::sync::Arc;

use reqwest::Certificate;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::{Answer, Heard, Page, Publisher, Service, Setup, event, ticket, wait_for, within};

/// A certificate that signed itself, and clients that trust it.
struct Identity {
    certificate: rcgen::Certificate,
    key_pem: String,
}

impl Identity {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        Self { key_pem: made.signing_key.serialize_pem(), certificate: made.cert }
    }

    fn client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(self.certificate.der().to_vec())).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        Arc::new(config.with_root_certificates(roots).with_no_client_auth())
    }

    /// Offers HTTP/2 too, which the service does not speak.
    fn https(&self) -> reqwest::Client {
        let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0);
        let certificate = Certificate::from_pem(self.certificate.pem().as_bytes()).unwrap();
        client.tls_certs_only([certificate]).build().unwrap()
    }
}

/// The two files of the settings.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn of(setup: &Setup) -> Self {
        Self { certificate: setup.folder().join("tls.pem"), key: setup.folder().join("tls.key") }
    }

    fn write(&self, certificate_pem: &str, key_pem: &str) {
        // The service may look between the two: in this order no two that belong together meet before they are meant to.
        std::fs::write(&self.key, key_pem).unwrap();
        std::fs::write(&self.certificate, certificate_pem).unwrap();
    }

    fn hold(&self, identity: &Identity) {
        self.write(&identity.certificate.pem(), &identity.key_pem);
    }
}

async fn with_tls(identity: &Identity) -> (Setup, Files) {
    let setup = Setup::new().await;
    let files = Files::of(&setup);
    files.hold(identity);
    let setup = setup.set("HTTP__TLS_CERT_FILE", files.certificate.display());
    (setup.set("HTTP__TLS_KEY_FILE", files.key.display()), files)
}

fn https(service: &Service, target: &str) -> String {
    format!("https://localhost:{}{target}", service.http.port())
}

#[tokio::test]
async fn pages_wait_over_wss_and_https_and_nobody_is_served_without_tls() {
    let identity = Identity::new();
    let service = with_tls(&identity).await.0.start().await;
    let mut page = Page::open_tls(&service, identity.client()).await.unwrap();
    page.subscribe(&ticket("tls-1")).await;
    Publisher::connect(service.vhost()).await.publish(&event("tls-1", "succeeded")).await;
    assert_eq!(page.payment().await["status"], "succeeded");

    let target = https(&service, "/v1/payments/tls-1");
    let answer = Answer::of(identity.https().get(&target).bearer_auth(ticket("tls-1"))).await;
    assert_eq!((answer.status, &answer.json["status"]), (200, &"succeeded".into()), "{}", answer.text);
    assert!(Identity::new().https().get(&target).send().await.is_err(), "another certificate is not trusted");
    assert!(service.client.get(format!("http://{}/v1/payments/tls-1", service.http)).send().await.is_err());
    // The operators' listener stays as it is.
    assert_eq!(service.admin_get("/readyz").await.status, 200);
    let handshakes = async |result: &str| {
        service.metric("payment_notifier_tls_handshakes_total", &format!("result=\"{result}\"")).await
    };
    for result in ["ok", "failed"] {
        wait_for("both are counted", async || (handshakes(result).await >= 2.0).then_some(())).await;
    }
    let expires = service.metric("payment_notifier_tls_certificate_expires_timestamp_seconds", "").await;
    assert!(expires > 1_700_000_000.0, "{expires}");
}

#[tokio::test]
async fn who_begins_handshakes_and_sends_nothing_holds_up_nobody_else() {
    let identity = Identity::new();
    let setup = with_tls(&identity).await.0.set("HTTP__UNLIMITED_NETWORKS", "").set("HTTP__TLS_HANDSHAKES_MAX", 16);
    let service = setup.start().await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.9:0".parse().unwrap()).unwrap();
        silent.push(within("the connection opens", socket.connect(service.http)).await.unwrap());
    }
    service.metric_is("payment_notifier_tls_handshakes_total", "result=\"refused\"", 38.0).await;
    let target = https(&service, "/v1/payments/tls-9");
    let answer = Answer::of(identity.https().get(&target).bearer_auth(ticket("tls-9"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    drop(silent);
}

#[tokio::test]
async fn a_changed_certificate_is_used_without_a_restart_and_a_broken_one_is_not() {
    let (first, second) = (Identity::new(), Identity::new());
    let (setup, files) = with_tls(&first).await;
    let service = setup.start().await;
    let mut page = Page::open_tls(&service, first.client()).await.unwrap();
    page.subscribe(&ticket("tls-2")).await;
    let loads = async |result: &str| {
        service.metric("payment_notifier_tls_certificate_loads_total", &format!("result=\"{result}\"")).await
    };

    let broken = [
        (second.certificate.pem(), first.key_pem.clone()),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(), first.key_pem.clone()),
        (second.certificate.pem(), String::new()),
    ];
    for (certificate, key) in broken {
        let before = loads("error").await;
        files.write(&certificate, &key);
        wait_for("the broken certificate is noticed", async || (loads("error").await > before).then_some(())).await;
        assert!(Page::open_tls(&service, first.client()).await.is_ok(), "the one before stays in force");
    }
    let complaints = wait_for("the log says so", async || {
        let complaints = service.logs().complaints();
        complaints.iter().any(|line| line.contains("the previous one stays")).then_some(complaints)
    })
    .await;
    assert!(!complaints.iter().any(|line| line.contains("PRIVATE KEY")), "{complaints:?}");

    files.hold(&second);
    wait_for("the second certificate is in force", async || {
        Page::open_tls(&service, second.client()).await.ok().map(drop)
    })
    .await;
    assert!(Page::open_tls(&service, first.client()).await.is_err());
    assert_eq!(loads("ok").await, 2.0);
    // Who came by the first certificate is still there.
    Publisher::connect(service.vhost()).await.publish(&event("tls-2", "succeeded")).await;
    assert_eq!(page.payment().await["status"], "succeeded");
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_given_up_and_more_than_the_bound_are_closed() {
    let identity = Identity::new();
    let setup = with_tls(&identity).await.0.set("HTTP__TLS_HANDSHAKES_MAX", 1);
    let service = setup.set("HTTP__TLS_HANDSHAKE_TIMEOUT_S", 5).start().await;
    let handshakes = async |result: &str| {
        service.metric("payment_notifier_tls_handshakes_total", &format!("result=\"{result}\"")).await
    };
    let mut silent = TcpStream::connect(service.http).await.unwrap();
    // Until the silent one has the only place, another may get through.
    wait_for("a second handshake is refused", async || {
        let refused = Page::open_tls(&service, identity.client()).await.is_err();
        (refused && handshakes("refused").await >= 1.0).then_some(())
    })
    .await;
    assert_eq!(within("the end", silent.read(&mut [0; 16])).await.unwrap_or(0), 0, "closed without a word");
    wait_for("it is counted", async || (handshakes("timed_out").await == 1.0).then_some(())).await;
    Page::open_tls(&service, identity.client()).await.unwrap().subscribe(&ticket("tls-3")).await;
}

/// A record of that kind.
fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 3, 3, 0, u8::try_from(body.len()).expect("short")], body].concat()
}

#[tokio::test]
async fn a_handshake_without_end_is_cut_off_in_time_however_it_comes() {
    let identity = Identity::new();
    let service = with_tls(&identity).await.0.set("HTTP__TLS_HANDSHAKE_TIMEOUT_S", 2).start().await;
    let cases = [
        // A first message of 16 MiB, a byte at a time.
        (record(22, &[1, 0xff, 0xff, 0xff]), record(22, &[0])),
        (Vec::new(), record(22, &[])),
        (Vec::new(), record(20, &[1])),
        (Vec::new(), record(21, &[1, 90])),
    ];
    let both = cases.iter().flat_map(|(first, then)| [(first, then, false), (first, then, true)]);
    let open_for = both.map(|(first, then, slowly)| {
        let address = service.http;
        async move {
            let began = std::time::Instant::now();
            let (mut reading, mut writing) = TcpStream::connect(address).await.unwrap().into_split();
            let write = async {
                let many = if slowly { then.clone() } else { then.repeat(1000) };
                let mut sent = writing.write_all(first).await;
                while sent.is_ok() {
                    sent = writing.write_all(&many).await;
                    if slowly {
                        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    }
                }
                std::future::pending::<()>().await;
            };
            let mut nowhere = tokio::io::sink();
            let read = tokio::io::copy(&mut reading, &mut nowhere);
            let closed = async {
                tokio::select! { () = write => {}, _ = read => {} }
            };
            within("the connection is closed", closed).await;
            began.elapsed()
        }
    });
    let longest = futures_util::future::join_all(open_for).await.into_iter().max().unwrap();
    assert!(longest.as_secs() < 12, "{longest:?}");
    Page::open_tls(&service, identity.client()).await.unwrap().subscribe(&ticket("tls-5")).await;
}

#[tokio::test]
async fn a_node_that_drains_says_so_over_tls_too() {
    let identity = Identity::new();
    let mut service = with_tls(&identity).await.0.start().await;
    let mut page = Page::open_tls(&service, identity.client()).await.unwrap();
    page.subscribe(&ticket("tls-4")).await;
    service.terminate();
    assert_eq!(page.frame().await["type"], "reconnect");
    assert_eq!(page.hear().await, Heard::Closed(Some(1012)));
    assert!(service.wait_end().await.success());
}
