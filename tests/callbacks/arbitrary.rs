use http::{HeaderMap, HeaderName, HeaderValue};
use payment_notifier::callbacks::{Accounts, Code, Provider};
use proptest::collection::vec;
use proptest::prelude::*;
use std::sync::LazyLock;

use crate::support::{KEY_SERIAL, NOW_UNIX_S, accounts, merchant};

static ACCOUNTS: LazyLock<Accounts> = LazyLock::new(accounts);

const NAMES: [&str; 9] = [
    "byte-timestamp",
    "byte-nonce-str",
    "byte-signature",
    "wechatpay-timestamp",
    "wechatpay-nonce",
    "wechatpay-signature",
    "wechatpay-serial",
    "wechatpay-signature-type",
    "stripe-signature",
];

fn any_headers() -> impl Strategy<Value = HeaderMap> {
    let value = prop_oneof![
        vec(any::<u8>(), 0..80),
        Just(KEY_SERIAL.as_bytes().to_vec()),
        Just(NOW_UNIX_S.to_string().into_bytes()),
        Just(b"WECHATPAY/SIGNTEST/x".to_vec()),
        "t=[0-9]{1,20}(,v[01]=[0-9a-f]{0,66}){0,4}".prop_map(String::into_bytes),
        "[A-Za-z0-9+/]{340}==".prop_map(String::into_bytes),
    ];
    vec((prop::sample::select(&NAMES[..]), value), 0..8).prop_map(|pairs| {
        let valid = pairs
            .into_iter()
            .filter_map(|(name, value)| Some((HeaderName::from_static(name), HeaderValue::from_bytes(&value).ok()?)));
        valid.collect()
    })
}

fn any_body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..300),
        "([a-z_]{1,12}=[a-zA-Z0-9%+]{0,20}&){0,8}(sign=[A-Za-z0-9%]{0,400})?".prop_map(String::into_bytes),
        r#"\{"type":"payment","timestamp":"[0-9]{1,4}","nonce":"[0-9]","msg":"\{\}","msg_signature":"[0-9a-f]{0,40}"\}"#
            .prop_map(String::into_bytes),
        r#"\{"id":"[a-z]{0,5}","type":"payment_intent\.[a-z]{0,5}","created":-?[0-9]{1,20}\}"#
            .prop_map(String::into_bytes),
    ]
}

proptest! {
    #[test]
    fn nothing_unsigned_is_taken_and_nothing_panics(
        headers in any_headers(), body in any_body(), now_unix_s in any::<i64>()
    ) {
        for provider in Provider::ALL {
            let received = ACCOUNTS.receive(provider.as_str(), &merchant("shop"), &headers, &body, now_unix_s);
            let code = received.unwrap_err().code;
            prop_assert!(matches!(code, Code::BadSignature | Code::UnknownKey | Code::Probe), "{code:?}");
        }
    }
}
