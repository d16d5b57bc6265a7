//! Public keys for tickets that must not be taken, whichever way they come.

use serde_json::{Value, json};

use super::ticket_keys::{assert_refused, assert_taken, ticket_by};
use crate::support::ticket::{self, changed};
use crate::support::{MERCHANT, Setup, fixture, keys, tools};

/// How `config check` ends with one PEM file, and what it says.
async fn checked(pem: &std::path::Path, algorithm: &str) -> (bool, String) {
    let config = format!(
        "[[tickets.keys]]\nalgorithm = \"{algorithm}\"\npublic_key_file = \"{}\"\nmerchant_id = \"shop\"\n",
        pem.display()
    );
    let setup = Setup::new().await.config(&config);
    let (status, _, err) = tools::end_of(setup.command(&["config", "check"]), String::new()).await;
    assert!(!err.contains("panicked") && err.lines().count() <= 1, "{err}");
    (status.success(), err)
}

#[tokio::test]
async fn a_public_key_that_is_weak_or_of_another_kind_is_refused_before_any_ticket_comes() {
    for (file, algorithm, said) in [
        ("callbacks/test-only-short-public-key.pem", "RS256", "an RSA key of 1024 bits, at least 2048 are needed"),
        ("test-only-short-rsa-pkcs1.public.pem", "RS256", "an RSA key of 1024 bits, at least 2048 are needed"),
        ("test-only-long-rsa.public.pem", "RS256", "an RSA key of 4160 bits, at most 4096"),
        ("test-only-rs256.private.pem", "RS256", "a private key"),
        ("test-only-es256.private.pem", "ES256", "a private key"),
        ("test-only-es256.public.pem", "RS256", "does not hold a public key for RS256"),
        ("test-only-rs256.public.pem", "ES256", "does not hold a public key for ES256"),
        ("test-only-rs256-pkcs1.public.pem", "ES256", "not a public key for ES256"),
        ("test-only-p384.public.pem", "ES256", "does not hold a public key for ES256"),
        ("test-only-x25519.public.pem", "EdDSA", "does not hold a public key for EdDSA"),
        ("test-only-es256.public.pem", "EdDSA", "does not hold a public key for EdDSA"),
        ("callbacks/README.md", "RS256", "is not PEM"),
    ] {
        let path = fixture(file);
        let (success, err) = checked(&path, algorithm).await;
        assert!(!success && err.contains(said) && err.contains(path.to_str().unwrap()), "{file} {algorithm}: {err}");
    }
    for (file, algorithm) in [
        ("test-only-rs256.public.pem", "RS256"),
        ("test-only-rs256-pkcs1.public.pem", "RS256"),
        ("callbacks/test-only-certificate.pem", "RS256"),
        ("test-only-es256.public.pem", "ES256"),
        ("test-only-eddsa.public.pem", "EdDSA"),
    ] {
        assert_eq!(checked(&fixture(file), algorithm).await, (true, String::new()), "{file}");
    }
}

#[tokio::test]
async fn keys_of_a_set_that_are_weak_or_broken_are_passed_over_and_end_nothing() {
    let setup = Setup::new().await;
    let path = setup.folder().join("jwks.json");
    let number = |text: &Value| ticket::base64([vec![0; 160], vec![0xff; 127], text.to_string().into_bytes()].concat());
    let with = |jwk: Value, kid: &str, change: Value| changed(changed(jwk, json!({ "kid": kid })), change);
    let bad = [
        // 1024 bits with zeros in front of them, an exponent that signs nothing, points that are too short or none.
        with(keys::RS256.jwk(""), "padded", json!({ "n": number(&json!(1)) })),
        with(keys::RS256.jwk(""), "exponent", json!({ "e": "AQ" })),
        with(keys::EDDSA.jwk(""), "short", json!({ "x": "AAAA" })),
        with(keys::EDDSA.jwk(""), "long", json!({ "x": ticket::base64([1; 33]) })),
        with(keys::ES256.jwk(""), "nowhere", json!({ "x": ticket::base64([1; 32]) })),
        with(keys::ES256.jwk(""), "cut", json!({ "y": ticket::base64([1; 31]) })),
    ];
    for jwk in &bad {
        std::fs::write(&path, json!({ "keys": [jwk] }).to_string()).unwrap();
        let mut command = setup.command(&["config", "check"]);
        command.env("PAYMENT_NOTIFIER__TICKETS__JWKS_FILE", &path);
        let (status, _, err) = tools::end_of(command, String::new()).await;
        assert!(!status.success() && err.contains("tickets.jwks_file"), "{jwk}: {err}");
    }
    let all: Vec<Value> = bad.into_iter().chain([keys::ES256.jwk("good")]).collect();
    std::fs::write(&path, json!({ "keys": all }).to_string()).unwrap();
    let service = setup.set("TICKETS__JWKS_FILE", path.display()).start().await;
    for (pair, kid) in [
        (keys::RS256, "padded"),
        (keys::RS256, "exponent"),
        (keys::EDDSA, "short"),
        (keys::EDDSA, "long"),
        (keys::ES256, "nowhere"),
        (keys::ES256, "cut"),
    ] {
        assert_refused(&service, &ticket_by(pair, Some(kid), MERCHANT)).await;
    }
    assert_taken(&service, &ticket_by(keys::ES256, Some("good"), MERCHANT)).await;
    assert_eq!(service.logs().text().matches("panicked").count(), 0);
}
