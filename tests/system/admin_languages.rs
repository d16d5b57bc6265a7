//! The operators' page in English and in Chinese: chosen by the browser or on the page, and no sentence of one in the other.

use lapin::BasicProperties;
use reqwest::redirect::Policy;
use serde_json::json;

use super::dead_letters_cli::{LETTERS, wait_for_ready};
use crate::support::api::Answer;
use crate::support::ticket::changed;
use crate::support::{EventStream, Publisher, Service, Setup, event, ticket, wait_for};

const CHINESE: &str = "zh-CN,zh;q=0.9,en;q=0.8";
const ENGLISH: &str = "en-GB";

async fn page(service: &Service, path: &str, language: &str) -> Answer {
    let request = service.client.get(format!("http://{}{path}", service.admin));
    Answer::of(request.header("accept-language", language)).await
}

/// What is read on a page: neither tags, nor codes, nor what is marked to be of another language.
fn read_aloud(html: &str) -> String {
    let mut rest = html;
    let mut text = String::new();
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        text.push(' ');
        let (tag, after) = after.split_once('>').expect("each tag ends");
        let name = tag.split([' ', '/']).next().unwrap_or_default();
        let is_foreign = matches!(name, "code" | "pre" | "title") || (tag.contains(" lang=") && name != "html");
        // None of them has another one of its name inside.
        rest = match after.split_once(&format!("</{name}>")).filter(|_| is_foreign) {
            Some((_, after)) => after,
            None => after,
        };
        // What screen readers say.
        for attribute in ["aria-label=\"", "title=\"", "data-when-live=\"", "data-when-stale=\""] {
            if let Some((_, value)) = tag.split_once(attribute) {
                text.push_str(value.split('"').next().unwrap_or_default());
                text.push(' ');
            }
        }
    }
    text
}

/// Two words in a row that are English.
fn english_in(text: &str) -> Option<String> {
    let is_word = |word: &&str| word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let words: Vec<_> = text.split_whitespace().map(|word| word.trim_matches([',', '.', ';', ':', '?'])).collect();
    words.windows(2).find(|pair| pair.iter().all(is_word)).map(|pair| pair.join(" "))
}

fn is_chinese(c: char) -> bool {
    ('\u{3000}'..='\u{9fff}').contains(&c) || ('\u{ff00}'..='\u{ffef}').contains(&c)
}

/// A service whose pages show each kind of thing: a whole timeline, an unknown order, dead letters.
async fn with_everything() -> Service {
    let setup = Setup::new().await.set("ESCALATION__ORDERS", "all").set("ESCALATION__AFTER", "1s");
    let service = setup.start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    for (event_id, status, second) in [
        ("e-5", "processing", 5),
        ("e-7", "succeeded", 7),
        ("e-7", "succeeded", 7),
        ("e-6", "processing", 6),
        ("e-9", "failed", 9),
    ] {
        let occurred_at = format!("2026-01-31T08:30:0{second}+08:00");
        let changes = json!({ "event_id": event_id, "occurred_at": occurred_at });
        publisher.publish(&changed(event("spoken-1", status), changes)).await;
    }
    publisher.publish(&changed(event("lost-1", "succeeded"), json!({ "status": "PAID" }))).await;
    publisher.publish_bytes(b"no json", BasicProperties::default()).await;
    service.payment_with_status("spoken-1", &ticket("spoken-1"), "succeeded").await;
    EventStream::open(&service, "spoken-1", &ticket("spoken-1")).await.payment().await;
    wait_for_ready(&service, LETTERS, 2).await;
    wait_for("the timeline is whole", async || {
        let order = service.admin_get("/v1/orders/shop/spoken-1").await.text;
        ["watched", "pushed", "conflict", "undelivered"].iter().all(|kind| order.contains(kind)).then_some(())
    })
    .await;
    service
}

#[tokio::test]
async fn each_page_is_whole_in_both_languages() {
    let service = with_everything().await;
    let letters = service.admin_get("/v1/dead-letters").await.json;
    let id = letters["dead_letters"][0]["id"].as_str().expect("a dead letter").to_owned();
    let pages = [
        ("/", 200),
        ("/orders", 200),
        ("/orders?number=%3Cb%3E", 404),
        ("/orders?number=%00", 400),
        ("/orders?merchant_id=shop&number=..", 404),
        ("/orders/shop/spoken-1", 200),
        ("/orders/shop/never", 200),
        ("/dead-letters", 200),
        ("/dead-letters?order=none", 200),
        ("/dead-letters/0123456789ab", 404),
        (&format!("/dead-letters/{id}"), 200),
        (&format!("/dead-letters/{id}?body=true"), 200),
        (&format!("/dead-letters/{id}/replay"), 200),
        (&format!("/dead-letters/{id}/discard"), 200),
    ];
    for (path, status) in pages {
        let chinese = page(&service, path, CHINESE).await;
        assert_eq!(chinese.status, status, "{path}: {}", chinese.text);
        assert!(chinese.text.contains("<html lang=\"zh-CN\">"), "{path}: {}", chinese.text);
        let text = read_aloud(&chinese.text);
        assert!(text.chars().filter(|c| is_chinese(*c)).count() > 20, "{path}: {text}");
        assert_eq!(english_in(&text), None, "{path}: {text}");
        let english = page(&service, path, ENGLISH).await;
        assert!(english.status == status && english.text.contains("<html lang=\"en\">"), "{path}: {}", english.text);
        let text = read_aloud(&english.text);
        assert_eq!(text.chars().find(|c| is_chinese(*c)), None, "{path}: {text}");
        assert!(english_in(&text).is_some(), "the test knows English where it sees it: {path}: {text}");
    }
}

#[tokio::test]
async fn the_language_that_is_chosen_on_the_page_is_kept() {
    let service = Setup::new().await.set("ADMIN__TOKEN", "the-token-of-the-browser").start().await;
    let client = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().expect("a client");
    let get = async |path: &str, headers: &[(&str, &str)]| {
        let request = client.get(format!("http://{}{path}", service.admin));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        Answer::of(request).await
    };
    let login = ("authorization", "Bearer the-token-of-the-browser");
    let home = get("/", &[login]).await;
    assert!(home.text.contains(r#"href="/?language=zh-CN" lang="zh-CN" hreflang="zh-CN">中文</a>"#), "{}", home.text);
    let choice = get("/orders?merchant_id=a&language=zh-CN&order_id=b", &[login]).await;
    assert_eq!((choice.status, choice.header("location")), (303, "/orders?merchant_id=a&order_id=b"));
    let cookie = choice.header("set-cookie");
    assert!(cookie.ends_with("; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax"), "{cookie}");
    let cookie = ("cookie", cookie.split(';').next().expect("a cookie"));
    let chosen = get("/", &[login, cookie, ("accept-language", ENGLISH)]).await;
    assert!(chosen.text.contains("就绪") && chosen.text.contains(r#"href="/?language=en""#), "{}", chosen.text);
    // Who is not let in is told why in the language too, and nothing else.
    let refused = get("/", &[cookie]).await;
    assert!(refused.status == 401 && refused.text.contains("缺少运维令牌"), "{}", refused.text);
    // Programs are answered in English whatever is chosen.
    let order = get("/v1/orders/shop/never", &[login, cookie, ("accept-language", CHINESE)]).await;
    assert_eq!(order.json["detail"], "this order is unknown");
}
