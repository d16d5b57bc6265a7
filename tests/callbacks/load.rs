use http::HeaderMap;
use payment_notifier::callbacks::{Accounts, Code, Provider, failure_reply};
use payment_notifier::config::{Callbacks, Secret, SerialKey};

use crate::support::{API_V3_KEY, NOW_UNIX_S, WHSEC_NEW, accounts, fixture, merchant, settings};

/// The error after one change to good settings.
fn error(change: impl FnOnce(&mut Callbacks)) -> String {
    let mut settings = settings();
    change(&mut settings);
    Accounts::load(&settings).unwrap_err().to_string()
}

#[test]
fn each_mistake_is_one_line_that_names_its_key() {
    let key_file = |name: &str| error(|s| s.alipay[0].public_key_file = fixture(name));
    let cases = [
        (error(|s| s.wechat_pay[0].merchant_id = "a b".into()), "callbacks.wechat_pay[0].merchant_id must be 1 to 64"),
        (
            error(|s| s.wechat_pay.push(s.wechat_pay[0].clone())),
            "callbacks.wechat_pay[1].merchant_id \"shop\" appears twice",
        ),
        (error(|s| s.wechat_pay[0].api_v3_key = Secret::new("short")), "callbacks.wechat_pay[0].api_v3_key must be"),
        (error(|s| s.wechat_pay[0].keys.clear()), "callbacks.wechat_pay[0].keys must"),
        (error(|s| s.wechat_pay[0].keys[0].serial = " ".into()), "callbacks.wechat_pay[0].keys[0].serial must"),
        (
            error(|s| s.wechat_pay[0].keys[1].serial = s.wechat_pay[0].keys[0].serial.to_lowercase()),
            "callbacks.wechat_pay[0].keys[1].serial \"pub_key_id_",
        ),
        (
            error(|s| s.wechat_pay[0].keys[1].serial = "5157F09E".into()),
            "callbacks.wechat_pay[0].keys[1].serial must be 157F09EFDC096DE15EBE81A47057A7232F1B8E1, the certificate's",
        ),
        (
            error(|s| s.wechat_pay[0].keys[0].public_key_file = "/nowhere.pem".into()),
            "callbacks.wechat_pay[0].keys[0].public_key_file (/nowhere.pem)",
        ),
        (error(|s| s.alipay[0].app_id = String::new()), "callbacks.alipay[0].app_id must not be empty"),
        (error(|s| s.alipay.push(s.alipay[0].clone())), "callbacks.alipay[1].merchant_id"),
        (key_file("test-only-private-key.pem"), "holds a private key"),
        (key_file("test-only-short-public-key.pem"), "of 1024 bits"),
        (key_file("test-only-ec-public-key.pem"), "does not hold an RSA key"),
        (key_file("README.md"), "neither PEM nor base64"),
        (error(|s| s.stripe[0].signing_secrets.clear()), "callbacks.stripe[0].signing_secrets must"),
        (error(|s| s.stripe[0].signing_secrets[1] = Secret::new("")), "callbacks.stripe[0].signing_secrets[1] must"),
        (
            error(|s| s.stripe[0].signing_secrets[0] = Secret::new("sk_live_hunter2hunter2hunter2")),
            "signing_secrets[0]",
        ),
        (error(|s| s.stripe[0].signing_secrets[0] = Secret::new(WHSEC_NEW)), "signing_secrets[1] appears twice"),
        (error(|s| s.stripe.push(s.stripe[0].clone())), "callbacks.stripe[1].merchant_id"),
        (
            error(|s| s.wechat_pay[0].order_id_from = "passback_params".into()),
            "callbacks.wechat_pay[0].order_id_from must be out_trade_no or attach",
        ),
        (
            error(|s| s.alipay[0].order_id_from = "attach".into()),
            "callbacks.alipay[0].order_id_from must be out_trade_no or passback_params",
        ),
        (
            error(|s| s.douyin[0].order_id_from = "extra".into()),
            "callbacks.douyin[0].order_id_from must be out_trade_no or cp_extra",
        ),
        (
            error(|s| s.stripe[0].order_id_from = "order_id".into()),
            "callbacks.stripe[0].order_id_from must be metadata.",
        ),
        (
            error(|s| s.stripe[0].order_id_from = "metadata.".into()),
            "callbacks.stripe[0].order_id_from must be metadata.",
        ),
        (error(|s| s.douyin[0].app_id = String::new()), "callbacks.douyin[0].app_id must not be empty"),
        (
            error(|s| (s.douyin[0].tokens, s.douyin[0].public_key_files) = (vec![], vec![])),
            "callbacks.douyin[0] needs public_key_files or tokens",
        ),
        (
            error(|s| s.douyin[0].public_key_files.push(fixture("test-only-ec-public-key.pem"))),
            "callbacks.douyin[0].public_key_files[1] (",
        ),
        (error(|s| s.douyin[0].tokens = vec![Secret::new("a"); 5]), "callbacks.douyin[0].tokens must be at most 4"),
        (error(|s| s.douyin[0].tokens[1] = Secret::new("")), "callbacks.douyin[0].tokens[1] must be at least"),
        (error(|s| s.douyin[0].tokens[1] = Secret::new("change-me")), "tokens[1] is a placeholder"),
        (error(|s| s.douyin[0].tokens[1] = s.douyin[0].tokens[0].clone()), "tokens[1] appears twice"),
        (error(|s| s.douyin.push(s.douyin[0].clone())), "callbacks.douyin[1].merchant_id"),
    ];
    for (line, wanted) in cases {
        assert!(line.starts_with("configuration: callbacks.") && line.contains(wanted), "{line}");
        assert!(!line.contains('\n') && !line.contains("hunter2") && !line.contains(WHSEC_NEW), "{line}");
    }
}

#[test]
fn a_key_is_read_from_every_file_that_a_console_hands_out() {
    let directory = tempfile::tempdir().unwrap();
    let pem = std::fs::read_to_string(fixture("test-only-public-key.pem")).unwrap();
    let bare: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let bare_file = write("bare.txt", &format!("{bare}\n"));
    let windows = write("windows.pem", &pem.replace('\n', "\r\n"));
    let certificate = std::fs::read_to_string(fixture("test-only-certificate.pem")).unwrap();
    let chain = write("chain.pem", &format!("Bag Attributes\n{certificate}{certificate}"));
    let pkcs1 = fixture("test-only-public-key-pkcs1.pem");
    for file in [bare_file, windows, chain, pkcs1, fixture("test-only-certificate.pem")] {
        let mut settings = settings();
        settings.alipay[0].public_key_file = file.clone();
        assert!(Accounts::load(&settings).is_ok(), "{}", file.display());
    }
    for (name, text) in [
        ("empty.pem", String::new()),
        ("cut.pem", pem[..200].to_owned()),
        ("wrong.pem", pem.replace("MII", "AAA")),
        ("wrong.crt", certificate.replace("MII", "AAA")),
        ("other.pem", pem.replace("PUBLIC KEY", "X509 CRL")),
    ] {
        let mut settings = settings();
        settings.wechat_pay[0].keys = vec![SerialKey { serial: "1".into(), public_key_file: write(name, &text) }];
        let line = Accounts::load(&settings).unwrap_err().to_string();
        assert!(line.contains("callbacks.wechat_pay[0].keys[0].public_key_file") && line.contains(name), "{line}");
    }
}

#[test]
fn debug_shows_merchants_and_no_key() {
    let shown = format!("{:?}", accounts());
    assert!(shown.contains("shop"));
    assert!(!shown.contains(API_V3_KEY) && !shown.contains("whsec_") && !shown.contains("token"), "{shown}");
}

#[test]
fn an_unknown_account_is_not_found() {
    let accounts = accounts();
    let mut no_stripe = settings();
    no_stripe.stripe.clear();
    let without = Accounts::load(&no_stripe).unwrap();
    for (accounts, provider, id) in [
        (&accounts, "paypal", "shop"),
        (&accounts, "", "shop"),
        (&accounts, "alipay", "other"),
        (&without, "stripe", "shop"),
    ] {
        let refusal = accounts.receive(provider, &merchant(id), &HeaderMap::new(), b"", NOW_UNIX_S).unwrap_err();
        assert_eq!((refusal.code, refusal.reply.status), (Code::UnknownAccount, 404), "{provider} {id}");
    }
}

#[test]
fn a_failure_makes_each_provider_send_again() {
    for (provider, body) in [
        ("wechat_pay", r#"{"code":"FAIL","message":"unavailable"}"#),
        ("alipay", "failure"),
        ("douyin", r#"{"err_no":1,"err_tips":"unavailable"}"#),
        ("stripe", r#"{"error":"unavailable"}"#),
        ("paypal", "unavailable"),
    ] {
        let reply = failure_reply(provider);
        assert_eq!((reply.status, reply.body.as_ref()), (503, body), "{provider}");
    }
    for provider in Provider::ALL {
        assert_eq!(Provider::from_name(provider.as_str()), Some(provider));
    }
}
