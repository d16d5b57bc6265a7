//! Who has a ticket for one order learns nothing of another: an order that exists looks like one that was made up, in
//! every byte, and the store is not asked.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::ledger::row;
use crate::support::{Answer, Page, Publisher, Service, Setup, event, ticket, wait_for};

const CALLS: [(&str, &str); 5] =
    [("GET", ""), ("GET", "?after=0&wait=1"), ("GET", "/events"), ("POST", "/ack"), ("POST", "/ack?x=1")];

async fn ask(service: &Service, method: &str, order: &str, rest: &str, ticket: &str) -> Answer {
    let target = format!("/v1/payments/{order}{rest}");
    match method {
        "GET" => service.get(&target, ticket).await,
        _ => service.post(&target, ticket, &json!({ "version": 1 })).await,
    }
}

/// Everything of an answer but the time it was made.
fn bytes_of(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let text = |value: &reqwest::header::HeaderValue| value.to_str().unwrap().to_owned();
    let headers = answer.headers.iter().filter(|(name, _)| *name != "date");
    (answer.status, headers.map(|(name, value)| (name.to_string(), text(value))).collect(), answer.text.clone())
}

async fn service_with_one_order() -> Service {
    let service = Setup::new().await.start().await;
    Publisher::connect(service.vhost()).await.publish(&event("existing", "succeeded")).await;
    service.payment_with_status("existing", &ticket("existing"), "succeeded").await;
    service
}

#[tokio::test]
async fn a_foreign_order_looks_like_a_made_up_one_in_every_byte_and_without_a_look_at_the_store() {
    let service = service_with_one_order().await;
    let (foreign, own) = (ticket("another"), ticket("existing"));
    let mut answers = 0;
    for reading_works in [true, false] {
        if !reading_works {
            // From here on whatever looks at the store fails.
            let data = service.database().parent().unwrap().to_owned();
            std::fs::rename(&data, data.with_extension("away")).unwrap();
            // What was read a moment ago may be answered for a moment longer.
            wait_for("reads fail", async || {
                let answer = ask(&service, "GET", "existing", "", &own).await;
                (answer.status == 503).then(|| answer.assert_problem(503, "unavailable"))
            })
            .await;
        }
        for (method, rest) in CALLS {
            let existing = ask(&service, method, "existing", rest, &foreign).await;
            existing.assert_problem(403, "forbidden");
            // As long, and otherwise spelled.
            for made_up in ["made-upx", "existinh", "EXISTING"] {
                let answer = ask(&service, method, made_up, rest, &foreign).await;
                assert_eq!(bytes_of(&answer), bytes_of(&existing), "{method} {rest} {made_up}");
                answers += 1;
            }
        }
        let mut page = Page::open(&service).await;
        let mut frames = Vec::new();
        for order in ["existing", "made-upx"] {
            for kind in ["ack", "unsubscribe"] {
                page.send(&json!({ "type": kind, "order_id": order, "version": 1 })).await;
                let frame = page.frame().await;
                assert_eq!(frame["type"], "error", "{frame}");
                frames.push(frame.to_string().replace(order, ""));
            }
        }
        assert_eq!(frames[..2], frames[2..]);
    }
    row(&format!("enumeration runs={answers} lost=0"));
}

/// For people: `cargo test --test faults -- --ignored --nocapture enumeration`.
#[tokio::test]
#[ignore = "a measurement, which nothing can be asserted of on a busy machine"]
async fn the_times_of_a_foreign_and_of_a_made_up_order() {
    const RUNS: usize = 5000;
    let service = service_with_one_order().await;
    let foreign = ticket("another");
    let mut times: [Vec<Duration>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..RUNS {
        for (order, times) in ["existing", "made-upx"].into_iter().zip(&mut times) {
            let began = Instant::now();
            ask(&service, "GET", order, "", &foreign).await;
            times.push(began.elapsed());
        }
    }
    let mut median = |n: usize| {
        times[n].sort_unstable();
        times[n][RUNS / 2].as_micros()
    };
    row(&format!("enumeration-times runs={RUNS} foreign_us={} made_up_us={}", median(0), median(1)));
}
