//! Tickets of every forgery that RFC 8725 warns of, against a service that knows a key of each kind.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::ledger::row;
use crate::support::keys::{self, KeyPair};
use crate::support::ticket::{SECRET, base64, changed, claims, secret, signed, unsigned};
use crate::support::{Page, Service, Setup, ticket};

const ORDER: &str = "forged-1";

/// Each public key in a file, by a `kid` as its algorithm is called.
async fn service() -> Service {
    let of_key = |pair: &KeyPair| {
        let (name, file) = (pair.name, pair.public_pem_path());
        format!("[[tickets.keys]]\nkid = \"{name}\"\nalgorithm = \"{name}\"\npublic_key_file = \"{file}\"\n")
    };
    let config: String = keys::ALL.iter().map(of_key).collect();
    Setup::new().await.config(&config).start().await
}

/// A server that a token may name. Nobody may call it.
fn key_server() -> (String, Arc<AtomicUsize>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    std::thread::spawn(move || {
        for _ in listener.incoming().map_while(Result::ok) {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    (url, calls)
}

fn by_attacker(header: Value) -> String {
    let key = secret(b"a secret that only the attacker knows");
    signed(&changed(json!({ "alg": "HS256" }), header), &claims(ORDER), &key, Algorithm::HS256)
}

fn by_own_secret(header: Value, claims: &Value) -> String {
    signed(&changed(json!({ "alg": "HS256" }), header), claims, &secret(SECRET.as_bytes()), Algorithm::HS256)
}

/// By the service's own secret, over claims as text, which need not be what JSON libraries write.
fn over_text(claims: &str) -> String {
    let message = format!("{}.{}", base64(r#"{"alg":"HS256"}"#), base64(claims));
    let key = secret(SECRET.as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

/// What stands in the claims twice: two readers could each believe another.
fn doubled_claims() -> Vec<String> {
    let whole = claims(ORDER).to_string();
    let open = whole.strip_suffix('}').unwrap();
    let second = [
        r#""order_id":"other""#,
        r#""merchant_id":"other""#,
        r#""sub":"other""#,
        r#""exp":99999999999"#,
        r#""aud":"another-service""#,
        r#""aud":"payment-notifier""#,
    ];
    second.iter().map(|second| over_text(&format!("{open},{second}}}"))).collect()
}

/// `alg` says one thing, the signature is by another.
fn confusions() -> Vec<String> {
    let mut forged = Vec::new();
    for pair in keys::ALL {
        let (pem, kid) = (pair.public_pem(), pair.name);
        let trimmed = pem.trim_ascii();
        for (public, alg) in [(&pem[..], "HS256"), (trimmed, "HS256"), (&pem[..], pair.name), (&pem[..], "HS512")] {
            for header in [json!({ "alg": alg, "kid": kid }), json!({ "alg": alg })] {
                forged.push(signed(&header, &claims(ORDER), &secret(public), Algorithm::HS256));
            }
        }
        for alg in ["none", "None", "NONE", "nOnE", "", "RS512", "PS256", "ES384"] {
            let message = unsigned(&json!({ "alg": alg, "kid": kid }), &claims(ORDER));
            forged.push(format!("{message}."));
            forged.push(format!("{message}.{}", base64([0; 64])));
        }
        // Signatures of nothing but zeros have been taken for good by others.
        let message = unsigned(&json!({ "alg": pair.name, "kid": kid }), &claims(ORDER));
        for length in [0, 1, 32, 64, 256] {
            forged.push(format!("{message}.{}", base64(vec![0_u8; length])));
        }
        // One key's name over another's signature.
        for other in keys::ALL.iter().filter(|other| other.name != pair.name) {
            let header = json!({ "alg": other.name, "kid": kid });
            forged.push(signed(&header, &claims(ORDER), &other.signing_key(), other.algorithm));
        }
    }
    forged
}

fn odd_headers(url: &str) -> Vec<String> {
    let attacker = keys::RS256.jwk("attacker");
    let kids = [
        "../../../../dev/null",
        "/dev/null",
        "file:///proc/self/environ",
        "x' UNION SELECT 'secret' --",
        "RS256\u{0}",
        "|id",
        "",
        &"k".repeat(2000),
    ];
    let mut forged: Vec<String> = kids.iter().map(|kid| by_attacker(json!({ "kid": kid }))).collect();
    for header in [
        json!({ "jku": format!("{url}/jwks.json"), "kid": "attacker" }),
        json!({ "x5u": format!("{url}/cert.pem") }),
        json!({ "jwk": attacker }),
        json!({ "x5c": ["MIIB"] }),
        json!({ "crit": ["jku"], "jku": url }),
        json!({ "kid": 7 }),
        json!({ "kid": ["RS256"] }),
        json!({ "kid": { "$ne": null } }),
    ] {
        forged.push(by_attacker(header.clone()));
        let header = changed(header, json!({ "alg": "ES256" }));
        forged.push(signed(&header, &claims(ORDER), &secret(b"attacker"), Algorithm::HS256));
    }
    // Even by the right secret: what must be understood and is not, is refused.
    for header in [
        json!({ "crit": ["b64"], "b64": false }),
        json!({ "crit": ["exp"] }),
        json!({ "crit": [] }),
        json!({ "zip": "DEF" }),
        json!({ "alg": ["HS256"] }),
    ] {
        forged.push(by_own_secret(header, &claims(ORDER)));
    }
    forged
}

/// Other spellings of a good ticket would be other tickets to whoever counts by them.
fn other_spellings() -> Vec<String> {
    let good = ticket(ORDER);
    let (message, signature) = good.rsplit_once('.').unwrap();
    let last = signature.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let next = alphabet.chars().nth(alphabet.find(last).unwrap() ^ 1).unwrap();
    vec![
        format!("{good}="),
        format!("{message}.{}{next}", &signature[..signature.len() - 1]),
        format!("{message}.{signature}A"),
        good.replace('.', ".="),
        format!("{message}\n.{signature}").replace('\n', "%0A"),
    ]
}

#[tokio::test]
async fn every_forged_ticket_is_refused_and_no_address_in_one_is_called() {
    let service = service().await;
    let (url, calls) = key_server();
    assert_eq!(service.payment(ORDER, &ticket(ORDER), "").await.status, 200);
    for pair in keys::ALL {
        let header = json!({ "alg": pair.name, "kid": pair.name });
        let good = signed(&header, &claims(ORDER), &pair.signing_key(), pair.algorithm);
        assert_eq!(service.payment(ORDER, &good, "").await.status, 200, "{}", pair.name);
    }
    let forged = [confusions(), odd_headers(&url), doubled_claims(), other_spellings()].concat();
    for (n, bad) in forged.iter().enumerate() {
        let answer = service.payment(ORDER, bad, "").await;
        assert_eq!((answer.status, answer.code()), (401, "invalid_ticket"), "{n} {bad}: {}", answer.text);
        answer.assert_is_problem();
    }
    for bad in forged.iter().step_by(7) {
        let mut page = Page::open(&service).await;
        page.send(&json!({ "type": "subscribe", "ticket": bad })).await;
        page.error_then_close("invalid_ticket", 4401).await;
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0, "an address in a ticket was called");
    row(&format!("forged-tickets runs={} lost=0", forged.len()));
}
