//! `/demo`: off unless it is asked for, and then a cashier that works in a real browser over each transport.

use std::process::Command;

use reqwest::redirect::Policy;

use crate::support::api::Answer;
use crate::support::{Service, Setup, tools};

#[tokio::test]
async fn the_demo_is_off_unless_it_is_asked_for() {
    let service = Service::start().await;
    for path in ["/", "/demo", "/demo/demo.js", "/demo/api/tickets"] {
        assert_eq!(service.get(path, "").await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_real_browser_pays_in_the_demo_over_each_transport() {
    let service = Setup::new().await.set("DEMO__ENABLED", true).start().await;
    assert!(service.logs().text().contains("anyone can mint tickets"));
    let mut command = Command::new("node");
    command
        .args(["--test", "demo.test.mjs"])
        .env("DEMO_URL", format!("http://{}/demo", service.http))
        .env("SCREENSHOTS", service.setup.folder())
        .current_dir(tools::browser_tests());
    println!("{}", tools::run(command, String::new()).await);
}

#[tokio::test]
async fn the_page_may_speak_with_the_provider_that_it_is_told_of() {
    let provider = "http://127.0.0.1:9400";
    let setup = Setup::new().await.set("DEMO__ENABLED", true).set("DEMO__PROVIDER_URL", provider);
    let service = setup.start().await;
    let page = service.get("/demo/compare", "").await;
    assert!(page.header("content-security-policy").ends_with(&format!("connect-src 'self' ws: wss: {provider}")));
    let about = service.get("/demo/api/about", "").await.json;
    assert_eq!(about["provider_url"].as_str(), Some(provider));
}

#[tokio::test]
async fn the_root_leads_to_the_demo_where_it_is_on() {
    let service = Setup::new().await.set("DEMO__ENABLED", true).start().await;
    let client = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().expect("a client");
    let root = Answer::of(client.get(format!("http://{}/", service.http))).await;
    assert_eq!((root.status, root.header("location")), (303, "/demo"), "{}", root.text);
}
