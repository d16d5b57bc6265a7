//! What one client address may hold and ask for: directly, and through proxies that are trusted or not.

use reqwest::Method;
use reqwest::header::AUTHORIZATION;

use crate::support::{Answer, EventStream, Page, Service, Setup, ticket, wait_for};

const ORDER: &str = "address-1";

async fn asked(service: &Service, name: &str, value: &str) -> Answer {
    let target = format!("/v1/payments/{ORDER}");
    let request = service.request(Method::GET, &target).header(AUTHORIZATION, format!("Bearer {}", ticket(ORDER)));
    Answer::of(request.header(name, value)).await
}

/// The status of a handshake for a client behind a proxy.
async fn opened(service: &Service, forwarded_for: &str) -> Result<Page, u16> {
    match Page::try_open(service, "/v1/ws", &[("x-forwarded-for", forwarded_for)]).await {
        Ok((mut page, _)) => {
            page.subscribe(&ticket(ORDER)).await;
            Ok(page)
        }
        Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => {
            assert!(answer.headers().contains_key("retry-after"), "{:?}", answer.headers());
            Err(answer.status().as_u16())
        }
        Err(error) => panic!("neither opened nor refused: {error}"),
    }
}

#[tokio::test]
async fn an_address_holds_so_many_connections_and_gets_a_place_back_for_each_that_ends() {
    let setup = Setup::new().await.set("HTTP__UNLIMITED_NETWORKS", "");
    let mut service = setup.set("HTTP__CONNECTIONS_PER_ADDRESS_MAX", 3).start().await;
    service.client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
    let mut pages = Vec::new();
    for _ in 0..3 {
        pages.push(Page::subscribed(&service, &ticket(ORDER)).await.0);
    }
    let refused = asked(&service, "accept", "*/*").await;
    refused.assert_problem(429, "rate_limited");
    assert!(refused.header("retry-after").parse::<u64>().is_ok(), "{refused:?}");
    assert!(service.metric("payment_notifier_http_refused_total", "rate_limited").await >= 1.0);

    pages.pop().unwrap().close().await;
    wait_for("the place is free", async || (asked(&service, "accept", "*/*").await.status == 200).then_some(())).await;
    for page in &mut pages {
        page.ping_pong().await;
    }
}

#[tokio::test]
async fn behind_trusted_proxies_each_client_has_its_own_places() {
    let setup = Setup::new().await.set("HTTP__CONNECTIONS_PER_ADDRESS_MAX", 2);
    let service = setup.set("HTTP__TRUSTED_PROXIES", "127.0.0.1,10.9.0.0/16").start().await;
    let (first, _second) =
        (opened(&service, "203.0.113.7").await.unwrap(), opened(&service, "203.0.113.7").await.unwrap());
    assert_eq!(opened(&service, "203.0.113.7").await.err(), Some(429));
    // A second proxy in the chain, and a client who claims to be somebody else: the rightmost stranger counts.
    assert_eq!(opened(&service, "198.51.100.1, 203.0.113.7, 10.9.0.1").await.err(), Some(429));
    let mut other = opened(&service, "203.0.113.7, 198.51.100.1").await.unwrap();
    // A stream is a connection too, and all of a /64 are one client.
    let stream = |address: &'static str| {
        let target = format!("/v1/payments/{ORDER}/events");
        let request = service.request(Method::GET, &target).header(AUTHORIZATION, format!("Bearer {}", ticket(ORDER)));
        request.header("x-forwarded-for", address).send()
    };
    let streams = [stream("2001:db8:5::1").await.unwrap(), stream("2001:db8:5::2").await.unwrap()];
    assert!(streams.iter().all(|stream| stream.status() == 200));
    assert_eq!(stream("2001:db8:5:0:ffff::3").await.unwrap().status(), 429);
    assert_eq!(stream("2001:db8:5:1::1").await.unwrap().status(), 200);

    drop(first);
    wait_for("the place is free", async || opened(&service, "203.0.113.7").await.ok()).await.ping_pong().await;
    other.ping_pong().await;
}

#[tokio::test]
async fn all_of_an_ipv6_site_hold_no_more_than_a_few_addresses() {
    let setup = Setup::new().await.set("HTTP__CONNECTIONS_PER_ADDRESS_MAX", 1);
    let setup = setup.set("HTTP__ADDRESSES_PER_IPV6_SITE_MAX", 2).set("HTTP__TRUSTED_PROXIES", "127.0.0.0/8");
    let service = setup.start().await;
    let _pages =
        [opened(&service, "2001:db8:5:1::1").await.unwrap(), opened(&service, "2001:db8:5:2::1").await.unwrap()];
    for household in 3..20 {
        assert_eq!(opened(&service, &format!("2001:db8:5:{household:x}::1")).await.err(), Some(429), "{household}");
    }
    opened(&service, "2001:db8:6:1::1").await.unwrap().ping_pong().await;
}

#[tokio::test]
async fn a_proxy_in_a_network_without_limits_that_is_not_trusted_is_warned_of_once() {
    for (header, value) in
        [("x-forwarded-for", "203.0.113.7"), ("forwarded", "for=203.0.113.7"), ("x-real-ip", "203.0.113.7")]
    {
        let service = Service::start().await;
        assert_eq!(asked(&service, "accept", "*/*").await.status, 200);
        assert!(service.logs().complaints().is_empty(), "{:?}", service.logs().complaints());
        for _ in 0..3 {
            assert_eq!(asked(&service, header, value).await.status, 200);
        }
        let told = wait_for("a warning", async || service.logs().complaints().first().cloned()).await;
        for part in [header, "127.0.0.0/8", "http.trusted_proxies", "http.unlimited_networks"] {
            assert!(told.contains(part), "{told}");
        }
        assert!(!told.contains("203.0.113.7"), "{told}");
        assert_eq!(service.logs().complaints().len(), 1);
    }
    // Whoever is trusted, and whoever has limits of his own, may send it.
    for (setting, networks) in [("HTTP__TRUSTED_PROXIES", "127.0.0.0/8"), ("HTTP__UNLIMITED_NETWORKS", "")] {
        let service = Setup::new().await.set(setting, networks).start().await;
        assert_eq!(asked(&service, "x-forwarded-for", "203.0.113.7").await.status, 200);
        assert!(service.logs().complaints().is_empty(), "{:?}", service.logs().complaints());
    }
}

#[tokio::test]
async fn nobody_is_believed_who_is_not_trusted() {
    let setup = Setup::new().await.set("HTTP__UNLIMITED_NETWORKS", "");
    let service = setup.set("HTTP__CONNECTIONS_PER_ADDRESS_MAX", 2).start().await;
    let _pages = [opened(&service, "203.0.113.1").await.unwrap(), opened(&service, "203.0.113.2").await.unwrap()];
    let refused = Page::try_open(&service, "/v1/ws", &[("x-forwarded-for", "203.0.113.3")]).await;
    let Err(tokio_tungstenite::tungstenite::Error::Http(answer)) = refused else {
        panic!("let in by a made-up address")
    };
    assert_eq!(answer.status(), 429);
}

#[tokio::test]
async fn only_the_header_of_the_settings_is_read() {
    let setup = Setup::new().await.set("HTTP__TRUSTED_PROXIES", "127.0.0.0/8");
    let setup = setup.set("HTTP__FORWARDED_HEADER", "forwarded").set("HTTP__REQUESTS_PER_ADDRESS_BURST_MAX", 2);
    let service = setup.set("HTTP__REQUESTS_PER_ADDRESS_PER_S_MAX", 1).start().await;
    for _ in 0..10 {
        let answer = asked(&service, "x-forwarded-for", "203.0.113.7").await;
        assert_eq!(answer.status, 200, "the proxy itself has no limit: {}", answer.text);
    }
    wait_for("the client is over its rate", async || {
        (asked(&service, "forwarded", "for=203.0.113.7;proto=https").await.status == 429).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_address_asks_so_fast_and_no_faster() {
    let setup = Setup::new().await.set("HTTP__UNLIMITED_NETWORKS", "").set("HTTP__REQUESTS_PER_ADDRESS_BURST_MAX", 5);
    let service = setup.set("HTTP__REQUESTS_PER_ADDRESS_PER_S_MAX", 1).start().await;
    let refused = wait_for("a request too many", async || {
        let answer = asked(&service, "accept", "*/*").await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    refused.assert_problem(429, "rate_limited");
    // Nor may it ask what browsers ask before they ask.
    wait_for("a question too many", async || {
        let answer = Answer::of(service.request(Method::OPTIONS, "/v1/tickets")).await;
        (answer.status == 429).then_some(())
    })
    .await;
    wait_for("it may ask again", async || (asked(&service, "accept", "*/*").await.status == 200).then_some(())).await;
}

#[tokio::test]
async fn subscribe_frames_count_as_requests_of_the_address() {
    let setup = Setup::new().await.set("HTTP__UNLIMITED_NETWORKS", "").set("HTTP__REQUESTS_PER_ADDRESS_BURST_MAX", 8);
    let service = setup.set("HTTP__REQUESTS_PER_ADDRESS_PER_S_MAX", 1).start().await;
    let mut page = Page::open(&service).await;
    page.subscribe(&ticket(ORDER)).await;
    let subscribe = serde_json::json!({ "type": "subscribe", "ticket": ticket(ORDER) });
    page.flood(&subscribe, 20).await;
    let refusal = loop {
        let frame = page.frame().await;
        if frame["type"] == "error" {
            break frame;
        }
    };
    assert_eq!(refusal["code"], "rate_limited", "{refusal}");
}

#[tokio::test]
async fn this_machine_and_private_networks_have_no_such_limits_by_default() {
    let setup = Setup::new().await.set("HTTP__CONNECTIONS_PER_ADDRESS_MAX", 1);
    let service = setup.set("HTTP__REQUESTS_PER_ADDRESS_BURST_MAX", 1).start().await;
    let _pages = [Page::subscribed(&service, &ticket(ORDER)).await, Page::subscribed(&service, &ticket(ORDER)).await];
    EventStream::open(&service, ORDER, &ticket(ORDER)).await.payment().await;
}
