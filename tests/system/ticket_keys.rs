//! Contract section 2: keys from PEM files, from key sets in a file and behind a URL, bound to a merchant or not; and
//! the minting of tickets.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::get;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::sync::RwLock;

use crate::support::keys::{self, KeyPair};
use crate::support::ticket::{API_KEY, SUB, changed, claims, now_s, signed, ticket};
use crate::support::{MERCHANT, Page, Service, Setup, wait_for};

const ORDER: &str = "key-1";

pub(crate) fn ticket_by(pair: KeyPair, kid: Option<&str>, merchant_id: &str) -> String {
    let header = changed(json!({ "alg": pair.name, "typ": "JWT", "kid": kid }), json!({}));
    let header = if kid.is_none() { changed(header, json!({ "kid": null })) } else { header };
    let claims = changed(claims(ORDER), json!({ "merchant_id": merchant_id }));
    signed(&header, &claims, &pair.signing_key(), pair.algorithm)
}

pub(crate) async fn assert_taken(service: &Service, ticket: &str) {
    let answer = service.payment(ORDER, ticket, "").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(Page::subscribed(service, ticket).await.1, Value::Null);
}

pub(crate) async fn assert_refused(service: &Service, ticket: &str) {
    service.payment(ORDER, ticket, "").await.assert_problem(401, "invalid_ticket");
    let mut page = Page::open(service).await;
    page.send(&json!({ "type": "subscribe", "ticket": ticket })).await;
    page.error_then_close("invalid_ticket", 4401).await;
}

/// A key set with a good key of each kind, one bound to a merchant, and some that must not be used.
fn jwks() -> Value {
    let bound = changed(keys::EDDSA.jwk("ed"), json!({ "merchant_id": "bound-shop" }));
    let for_encryption = changed(keys::RS256.jwk("enc"), json!({ "use": "enc" }));
    let shared = json!({ "kty": "oct", "kid": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA" });
    let strange = json!({ "kty": "post-quantum", "kid": "pq" });
    json!({ "keys": [strange, keys::RS256.jwk("rs"), keys::ES256.jwk("es"), bound, for_encryption, shared] })
}

async fn assert_key_set_works(service: &Service) {
    assert_taken(service, &ticket_by(keys::RS256, Some("rs"), MERCHANT)).await;
    assert_taken(service, &ticket_by(keys::ES256, Some("es"), MERCHANT)).await;
    assert_taken(service, &ticket_by(keys::EDDSA, Some("ed"), "bound-shop")).await;
    for (pair, kid, merchant) in [
        (keys::EDDSA, "ed", MERCHANT),
        (keys::RS256, "es", MERCHANT),
        (keys::RS256, "enc", MERCHANT),
        (keys::ES256, "rs", MERCHANT),
        (keys::ES256, "nobody", MERCHANT),
        (keys::ES256, "", MERCHANT),
    ] {
        assert_refused(service, &ticket_by(pair, Some(kid), merchant)).await;
    }
    let oct = jsonwebtoken::EncodingKey::from_secret(b"secret-secret-secret-secret-secret");
    let header = json!({ "alg": "HS256", "kid": "oct" });
    assert_refused(service, &signed(&header, &claims(ORDER), &oct, jsonwebtoken::Algorithm::HS256)).await;
}

#[tokio::test]
async fn pem_keys_of_each_algorithm_are_taken_and_speak_for_their_merchant_alone() {
    let mut config = String::new();
    for (pair, merchant) in keys::ALL.into_iter().zip(["", "bound-shop", ""]) {
        config += &format!(
            "[[tickets.keys]]\nkid = \"{}\"\nalgorithm = \"{}\"\npublic_key_file = \"{}\"\nmerchant_id = \"{merchant}\"\n",
            pair.name.to_lowercase(),
            pair.name,
            pair.public_pem_path(),
        );
    }
    let service = Setup::new().await.config(&config).start().await;
    assert_taken(&service, &ticket_by(keys::RS256, Some("rs256"), MERCHANT)).await;
    assert_taken(&service, &ticket_by(keys::EDDSA, Some("eddsa"), MERCHANT)).await;
    assert_taken(&service, &ticket_by(keys::ES256, Some("es256"), "bound-shop")).await;
    assert_refused(&service, &ticket_by(keys::ES256, Some("es256"), MERCHANT)).await;
    assert_refused(&service, &ticket_by(keys::ES256, Some("rs256"), "bound-shop")).await;
    // A token without a name may be by any key, and still only by that key's algorithm and for its merchant.
    assert_taken(&service, &ticket_by(keys::ES256, None, "bound-shop")).await;
    assert_refused(&service, &ticket_by(keys::ES256, None, MERCHANT)).await;
    let public = jsonwebtoken::EncodingKey::from_secret(&keys::RS256.public_pem());
    for alg in ["HS256", "RS256"] {
        let header = json!({ "alg": alg, "kid": "rs256" });
        assert_refused(&service, &signed(&header, &claims(ORDER), &public, jsonwebtoken::Algorithm::HS256)).await;
    }
}

#[tokio::test]
async fn a_key_set_in_a_file_is_used_without_its_unfit_keys() {
    let setup = Setup::new().await;
    let path = setup.folder().join("jwks.json");
    std::fs::write(&path, jwks().to_string()).unwrap();
    let service = setup.set("TICKETS__JWKS_FILE", path.display()).start().await;
    assert_key_set_works(&service).await;
}

/// A key server whose answer the test decides.
struct KeyServer {
    url: String,
    answer: Arc<Mutex<Option<Value>>>,
    fetches: Arc<AtomicUsize>,
    /// Whoever writes it keeps the server from answering.
    gate: Arc<RwLock<()>>,
    at_once_most: Arc<AtomicUsize>,
    server: tokio::task::JoinHandle<()>,
}

/// Gives its count back also where the service has hung up meanwhile.
struct Asking(Arc<AtomicUsize>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl KeyServer {
    async fn start(answer: Option<Value>) -> Self {
        let (answer, fetches) = (Arc::new(Mutex::new(answer)), Arc::new(AtomicUsize::new(0)));
        let (gate, at_once_most) = (Arc::new(RwLock::new(())), Arc::new(AtomicUsize::new(0)));
        let (answers, counted) = (Arc::clone(&answer), Arc::clone(&fetches));
        let (shut, at_once, most) = (Arc::clone(&gate), Arc::new(AtomicUsize::new(0)), Arc::clone(&at_once_most));
        let serve = move || async move {
            counted.fetch_add(1, Ordering::SeqCst);
            let asking = Asking(at_once);
            most.fetch_max(asking.0.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            drop(shut.read().await);
            drop(asking);
            let answer = answers.lock().unwrap().clone();
            answer.map(|keys| keys.to_string()).ok_or(axum::http::StatusCode::INTERNAL_SERVER_ERROR)
        };
        let router = Router::new().route("/jwks.json", get(serve));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        #[allow(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, answer, fetches, gate, at_once_most, server }
    }

    fn answer_with(&self, answer: Option<Value>) {
        *self.answer.lock().unwrap() = answer;
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_key_set_behind_a_url_is_fetched_once_and_used_like_a_file() {
    let key_server = KeyServer::start(Some(jwks())).await;
    let setup = Setup::new().await;
    let setup = setup.set("TICKETS__JWKS_URL", &key_server.url).set("TICKETS__JWKS_REFETCH_MIN_S", 600);
    let service = setup.unset("TICKETS__API_KEY").start().await;
    assert_key_set_works(&service).await;
    // Once for the set, and once more at most for the names that it does not have: strangers cause no further fetches.
    assert!(key_server.fetches() <= 2, "{} fetches", key_server.fetches());
}

/// Another set with the same names, and what is signed by it.
async fn changed_under(kid: Option<&str>) {
    let set = |pair: KeyPair| {
        let mut jwk = pair.jwk(kid.unwrap_or("unnamed"));
        if kid.is_none() {
            jwk = changed(jwk, json!({ "kid": null }));
        }
        json!({ "keys": [jwk] })
    };
    for (before, after) in [
        // Of one algorithm to another, and from one key to another of the same.
        (keys::RS256, keys::ES256),
        (keys::ES256, keys::EDDSA),
        (keys::EDDSA, keys::RS256),
        (keys::RS256, keys::OTHER_RS256),
        (keys::ES256, keys::OTHER_ES256),
        (keys::EDDSA, keys::OTHER_EDDSA),
    ] {
        let key_server = KeyServer::start(Some(set(before))).await;
        let setup = Setup::new().await.set("TICKETS__JWKS_URL", &key_server.url);
        // Fetched again by its age only after the test.
        let service = setup.set("TICKETS__JWKS_MAX_AGE_S", 600).set("TICKETS__JWKS_REFETCH_MIN_S", 1).start().await;
        let status = async |pair| service.payment(ORDER, &ticket_by(pair, kid, MERCHANT), "").await.status;
        wait_for("the key set is fetched", async || (status(before).await == 200).then_some(())).await;
        key_server.answer_with(Some(set(after)));
        let what = format!("the key that is {after:?} now is found");
        wait_for(&what, async || (status(after).await == 200).then_some(())).await;
        assert_eq!(status(before).await, 401, "the key is gone");
    }
}

#[tokio::test]
async fn a_key_that_changed_under_its_name_is_found() {
    changed_under(Some("same")).await;
}

#[tokio::test]
async fn a_key_that_changed_and_has_no_name_is_found() {
    changed_under(None).await;
}

#[tokio::test]
async fn bad_signatures_of_a_stranger_cause_no_more_than_one_fetch_in_their_time() {
    let key_server = KeyServer::start(Some(json!({ "keys": [keys::ES256.jwk("only")] }))).await;
    let setup = Setup::new().await.set("TICKETS__JWKS_URL", &key_server.url);
    let service = setup.set("TICKETS__JWKS_MAX_AGE_S", 600).set("TICKETS__JWKS_REFETCH_MIN_S", 3).start().await;
    let good = ticket_by(keys::ES256, Some("only"), MERCHANT);
    let status = async |ticket: &str| service.payment(ORDER, ticket, "").await.status;
    wait_for("the key set is fetched", async || (status(&good).await == 200).then_some(())).await;
    let (began, before) = (std::time::Instant::now(), key_server.fetches());
    let mut forged = 0;
    while began.elapsed().as_secs() < 7 {
        for (pair, kid) in [(keys::OTHER_ES256, Some("only")), (keys::OTHER_ES256, None), (keys::EDDSA, Some("none"))] {
            assert_eq!(status(&ticket_by(pair, kid, MERCHANT)).await, 401);
            forged += 1;
        }
        assert_eq!(status(&good).await, 200);
    }
    let (fetches, most) = (key_server.fetches() - before, began.elapsed().as_secs() / 3 + 1);
    assert!(fetches >= 1 && fetches as u64 <= most, "{fetches} fetches for {forged} tickets");
}

#[tokio::test]
async fn a_rotated_key_is_found_and_a_key_server_that_is_down_turns_nobody_away() {
    let key_server = KeyServer::start(None).await;
    let setup = Setup::new().await.set("TICKETS__JWKS_URL", &key_server.url);
    let service = setup.set("TICKETS__JWKS_MAX_AGE_S", 1).set("TICKETS__JWKS_REFETCH_MIN_S", 1).start().await;
    let (old, rotated) = (ticket_by(keys::ES256, Some("old"), MERCHANT), ticket_by(keys::EDDSA, Some("new"), MERCHANT));
    assert_refused(&service, &old).await;

    key_server.answer_with(Some(json!({ "keys": [keys::ES256.jwk("old")] })));
    let taken = async |ticket: &str| (service.payment(ORDER, ticket, "").await.status == 200).then_some(());
    wait_for("the key set is fetched", async || taken(&old).await).await;
    key_server.answer_with(Some(json!({ "keys": [keys::ES256.jwk("old"), keys::EDDSA.jwk("new")] })));
    wait_for("the rotated key is found", async || taken(&rotated).await).await;

    for unusable in [None, Some(json!({ "keys": [] })), Some(json!("nonsense"))] {
        key_server.answer_with(unusable);
        let before = key_server.fetches();
        wait_for("the key set is asked for again", async || {
            assert!(taken(&rotated).await.is_some(), "the keys that are known stay in force");
            (key_server.fetches() > before).then_some(())
        })
        .await;
        assert!(taken(&rotated).await.is_some());
    }
    key_server.server.abort();
    wait_for("a fetch fails for want of a server", async || {
        assert!(taken(&rotated).await.is_some());
        (service.logs().complaints().len() >= 4).then_some(())
    })
    .await;
    assert!(taken(&rotated).await.is_some());
}

#[tokio::test]
async fn a_slow_key_server_holds_only_those_who_need_it_and_is_asked_once_for_all_of_them() {
    let key_server = KeyServer::start(Some(json!({ "keys": [keys::ES256.jwk("old")] }))).await;
    let setup = Setup::new().await.set("TICKETS__JWKS_URL", &key_server.url);
    let service = setup.set("TICKETS__JWKS_MAX_AGE_S", 1).set("TICKETS__JWKS_REFETCH_MIN_S", 1).start().await;
    let (old, rotated) = (ticket_by(keys::ES256, Some("old"), MERCHANT), ticket_by(keys::EDDSA, Some("new"), MERCHANT));
    let taken = async |ticket: &str| (service.payment(ORDER, ticket, "").await.status == 200).then_some(());
    wait_for("the key set is fetched", async || taken(&old).await).await;

    key_server.answer_with(Some(json!({ "keys": [keys::ES256.jwk("old"), keys::EDDSA.jwk("new")] })));
    let shut = key_server.gate.write().await;
    let before = key_server.fetches();
    wait_for("a fetch hangs", async || (key_server.fetches() > before).then_some(())).await;
    for _ in 0..10 {
        assert!(taken(&old).await.is_some(), "the old key needs no answer");
    }
    let waiting = futures_util::future::join_all(
        (0..8).map(|_| wait_for("the rotated key is found", async || taken(&rotated).await)),
    );
    let all_have_come = async || service.metric("payment_notifier_http_connections", "").await >= 8.0;
    tokio::join!(waiting, async {
        wait_for("all of them wait at once", async || all_have_come().await.then_some(())).await;
        drop(shut);
    });
    assert_eq!(key_server.at_once_most.load(Ordering::SeqCst), 1);
}

/// The address of a key server that begins its answers and never ends them.
async fn endless_key_server(first: &'static str, then: String) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
    #[allow(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    tokio::spawn(async move {
        while let Ok((mut asking, _)) = listener.accept().await {
            let mut sent = asking.write_all(first.as_bytes()).await;
            while sent.is_ok() {
                sent = asking.write_all(then.as_bytes()).await;
                if then.len() < 16 {
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            }
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_server_that_never_ends_its_answer_is_given_up_and_holds_nobody() {
    let (whole, chunked) =
        ("HTTP/1.1 200 OK\r\n\r\n{\"keys\":[", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    let cases = [
        ("", "HTTP/1.1 100 Continue\r\n\r\n".repeat(1000)),
        ("HTTP/1.1 200 OK\r\n", "x-a: b\r\n".repeat(1000)),
        (whole, " ".repeat(10_000)),
        (chunked, "1\r\n \r\n".repeat(1000)),
        // A little at a time.
        (whole, " ".to_owned()),
    ];
    let given_up = cases.into_iter().map(|(first, then)| async move {
        let setup = Setup::new().await.set("TICKETS__JWKS_URL", endless_key_server(first, then).await);
        let mut service = setup.set("TICKETS__JWKS_REFETCH_MIN_S", 1).start().await;
        wait_for("the fetch is given up", async || {
            assert_eq!(service.payment(ORDER, &ticket(ORDER), "").await.status, 200);
            let failed = service.metric("payment_notifier_ticket_key_sets_total", "result=\"error\"").await;
            (failed >= 1.0).then_some(())
        })
        .await;
        let began = std::time::Instant::now();
        service.terminate();
        assert!(service.wait_end().await.success());
        assert!(began.elapsed().as_secs() < 15, "{:?}", began.elapsed());
    });
    futures_util::future::join_all(given_up).await;
}

#[tokio::test]
async fn the_last_word_of_a_key_server_that_is_down_is_not_believed_for_ever() {
    let set = json!({ "keys": [keys::ES256.jwk("only")] });
    let key_server = KeyServer::start(Some(set.clone())).await;
    let setup = Setup::new().await.set("TICKETS__JWKS_URL", &key_server.url).set("TICKETS__JWKS_STALE_MAX_S", 8);
    let service = setup.set("TICKETS__JWKS_MAX_AGE_S", 1).set("TICKETS__JWKS_REFETCH_MIN_S", 1).start().await;
    let ticket = ticket_by(keys::ES256, Some("only"), MERCHANT);
    let status = async || service.payment(ORDER, &ticket, "").await.status;
    wait_for("the key set is fetched", async || (status().await == 200).then_some(())).await;
    key_server.answer_with(None);
    wait_for("it is too old", async || (status().await == 401).then_some(())).await;
    let failed = service.metric("payment_notifier_ticket_key_sets_total", "result=\"error\"").await;
    assert!(failed >= 1.0, "{failed}");
    key_server.answer_with(Some(set));
    wait_for("the key server is back", async || (status().await == 200).then_some(())).await;
}

#[tokio::test]
async fn a_key_set_in_a_file_is_read_again_when_it_changes_unless_it_is_broken() {
    let setup = Setup::new().await;
    let path = setup.folder().join("jwks.json");
    // In one step: half a set is a broken one.
    let write = |text: &str| {
        let beside = path.with_extension("new");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(&beside, &path).unwrap();
    };
    let hold = |keys: &Value| write(&json!({ "keys": keys }).to_string());
    hold(&json!([keys::ES256.jwk("first")]));
    let service = setup.set("TICKETS__JWKS_FILE", path.display()).start().await;
    let (first, second) =
        (ticket_by(keys::ES256, Some("first"), MERCHANT), ticket_by(keys::RS256, Some("second"), MERCHANT));
    assert_taken(&service, &first).await;
    assert_refused(&service, &second).await;

    hold(&json!([keys::ES256.jwk("first"), keys::RS256.jwk("second")]));
    let taken = async |ticket: &str| (service.payment(ORDER, ticket, "").await.status == 200).then_some(());
    wait_for("the second key is found", async || taken(&second).await).await;
    assert_taken(&service, &first).await;

    let looks = async |result: &str| {
        let labels = format!("result=\"{result}\"");
        service.metric("payment_notifier_ticket_key_sets_total", &labels).await
    };
    for (broken, errors) in [("", 1.0), ("{\"keys\":[]}", 2.0)] {
        write(broken);
        wait_for("the broken set is noticed", async || (looks("error").await == errors).then_some(())).await;
        assert_taken(&service, &second).await;
    }
    hold(&json!([keys::RS256.jwk("second")]));
    wait_for("the first key is withdrawn", async || taken(&first).await.is_none().then_some(())).await;
    assert_taken(&service, &second).await;
}

#[tokio::test]
async fn back_ends_with_the_api_key_are_given_tickets_that_work_and_nobody_else_is() {
    let service = Service::start().await;
    let body = json!({ "merchant_id": MERCHANT, "order_id": [ORDER, "key-2"], "sub": SUB, "ttl_s": 60 });
    let minted = service.post("/v1/tickets", API_KEY, &body).await;
    assert_eq!(minted.status, 200, "{}", minted.text);
    let expires_at = minted.json["expires_at"].as_str().unwrap();
    let expires_at = time::OffsetDateTime::parse(expires_at, &time::format_description::well_known::Rfc3339).unwrap();
    assert!((now_s() + 55..=now_s() + 60).contains(&expires_at.unix_timestamp()));
    let ticket = minted.json["ticket"].as_str().unwrap();
    for order_id in [ORDER, "key-2"] {
        assert_eq!(service.payment(order_id, ticket, "").await.status, 200);
    }
    service.payment("key-3", ticket, "").await.assert_problem(403, "forbidden");

    for wrong in ["", "wrong", &API_KEY[1..], ticket] {
        service.post("/v1/tickets", wrong, &body).await.assert_problem(401, "invalid_api_key");
    }
    let too_many: Vec<_> = (0..21).map(|n| format!("o-{n}")).collect();
    for change in [
        json!({ "ttl_s": 0 }),
        json!({ "ttl_s": 86_401 }),
        json!({ "ttl_s": -1 }),
        json!({ "sub": "" }),
        json!({ "sub": null }),
        json!({ "order_id": [] }),
        json!({ "order_id": too_many }),
        json!({ "order_id": "a b" }),
        json!({ "order_id": 7 }),
        json!({ "merchant_id": "a/b" }),
        json!({ "merchant_id": null }),
        json!({ "ttl": 60 }),
    ] {
        let answer = service.post("/v1/tickets", API_KEY, &changed(body.clone(), change.clone())).await;
        assert!((400..=422).contains(&answer.status), "{change}: {}", answer.text);
        answer.assert_is_problem();
    }
}

#[tokio::test]
async fn without_an_api_key_in_the_settings_nobody_is_given_tickets() {
    let service = Setup::new().await.unset("TICKETS__API_KEY").start().await;
    let body = json!({ "merchant_id": MERCHANT, "order_id": ORDER, "sub": SUB, "ttl_s": 60 });
    for key in ["", API_KEY] {
        service.post("/v1/tickets", key, &body).await.assert_problem(404, "not_found");
    }
}
