//! Keys, settings and signatures.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use payment_notifier::callbacks::{Accounts, Code, Received, Refusal};
use payment_notifier::config::{
    AlipayAccount, Callbacks, DouyinAccount, Secret, SerialKey, StripeAccount, WechatPayAccount,
};
use payment_notifier::payment::{Event, MerchantId, Payment, State};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};

pub(crate) const NOW_UNIX_S: i64 = 1_769_819_400;
pub(crate) const API_V3_KEY: &str = "a7cde1ZJB1kG2e7VfTs3jQzaWizur8Gb";
pub(crate) const KEY_SERIAL: &str = "PUB_KEY_ID_0119000000012026013100000000000001";
pub(crate) const CERTIFICATE_SERIAL: &str = "157F09EFDC096DE15EBE81A47057A7232F1B8E1";
pub(crate) const MCH_ID: &str = "1900000001";
pub(crate) const APP_ID: &str = "2021000000000001";
pub(crate) const SELLER_ID: &str = "2088000000000001";
pub(crate) const TT_APP_ID: &str = "tt07e3715e98c9aac0";
pub(crate) const TOKEN_OLD: &str = "test only token 0";
pub(crate) const TOKEN_NEW: &str = "test only token 1";
pub(crate) const WHSEC_OLD: &str = "whsec_test_only_0000000000000000";
pub(crate) const WHSEC_NEW: &str = "whsec_test_only_1111111111111111";

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/callbacks").join(name)
}

pub(crate) fn merchant(id: &str) -> MerchantId {
    MerchantId::new(id).unwrap()
}

/// One merchant, `shop`, with an account at each provider.
pub(crate) fn settings() -> Callbacks {
    Callbacks {
        wechat_pay: vec![WechatPayAccount {
            merchant_id: "shop".into(),
            api_v3_key: Secret::new(API_V3_KEY),
            mch_id: MCH_ID.into(),
            order_id_from: String::new(),
            keys: vec![
                SerialKey { serial: KEY_SERIAL.into(), public_key_file: fixture("test-only-public-key.pem") },
                SerialKey { serial: CERTIFICATE_SERIAL.into(), public_key_file: fixture("test-only-certificate.pem") },
            ],
        }],
        alipay: vec![AlipayAccount {
            merchant_id: "shop".into(),
            app_id: APP_ID.into(),
            seller_id: SELLER_ID.into(),
            order_id_from: String::new(),
            public_key_file: fixture("test-only-public-key.pem"),
        }],
        douyin: vec![DouyinAccount {
            merchant_id: "shop".into(),
            app_id: TT_APP_ID.into(),
            order_id_from: String::new(),
            public_key_files: vec![fixture("test-only-public-key-pkcs1.pem")],
            tokens: vec![Secret::new(TOKEN_OLD), Secret::new(TOKEN_NEW)],
        }],
        stripe: vec![StripeAccount {
            merchant_id: "shop".into(),
            order_id_from: String::new(),
            signing_secrets: vec![Secret::new(WHSEC_OLD), Secret::new(WHSEC_NEW)],
        }],
    }
}

pub(crate) fn accounts() -> Accounts {
    Accounts::load(&settings()).unwrap()
}

/// The same after one change to the settings.
pub(crate) fn accounts_with(change: impl FnOnce(&mut Callbacks)) -> Accounts {
    let mut settings = settings();
    change(&mut settings);
    Accounts::load(&settings).unwrap()
}

/// A notification as a provider sends it, from `cases`.
pub(crate) fn case(name: &str) -> String {
    std::fs::read_to_string(fixture("cases").join(name)).unwrap()
}

/// What an order ends in, in whatever order its events come.
pub(crate) fn end(events: &[Event]) -> State {
    let ends = (0..events.len()).flat_map(|first| {
        let mut turned = events.to_vec();
        turned.rotate_left(first);
        let backwards = turned.iter().rev().cloned().collect();
        [turned, backwards]
    });
    let ends = ends.map(|events| {
        let mut events = events.into_iter();
        let mut state = State::first(events.next().unwrap());
        for event in events {
            state.merge(event);
        }
        state
    });
    let mut ends: Vec<_> = ends.collect();
    let last = ends.pop().unwrap();
    let gist = |state: &State| (Payment { version: 0, ..state.payment() }, state.conflicts());
    assert!(ends.iter().all(|end| gist(end) == gist(&last)), "{ends:?} {last:?}");
    last
}

/// RSA PKCS#1 v1.5 with SHA-256, in base64, by the private half of the test key.
pub(crate) fn rsa_sign(message: &[u8]) -> String {
    let pem = std::fs::read_to_string(fixture("test-only-private-key.pem")).unwrap();
    let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let pair = RsaKeyPair::from_pkcs8(&STANDARD.decode(base64).unwrap()).unwrap();
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
    STANDARD.encode(signature)
}

pub(crate) fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect()
}

/// The only event.
pub(crate) fn event(received: Result<Received, Refusal>) -> Event {
    let mut received = received.unwrap();
    assert_eq!((received.events.len(), received.ignored), (1, None));
    received.events.remove(0)
}

pub(crate) fn code(received: Result<Received, Refusal>) -> Code {
    received.unwrap_err().code
}

/// An event as `status, occurred_at, refund` in JSON, which is all that the mappings differ in.
pub(crate) fn gist(event: &Event) -> String {
    let refund = event.refund.map(|r| format!(" {} {}", r.status.as_str(), r.amount.map_or(-1, |m| m.value())));
    format!("{} {}{}", event.status, event.occurred_at, refund.unwrap_or_default())
}
