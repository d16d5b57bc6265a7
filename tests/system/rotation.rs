//! docs/operations/secrets.md, "Changing a secret": the new one second on every node, then first, then alone. Pages wait all the
//! while, and what one node signs is taken by each other at every moment.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use super::rolling_restart::Waiting;
use crate::postgres_server::Database;
use crate::support::{Answer, MERCHANT, Publisher, Service, Setup, event, tools, wait_for};

const SECRETS: [&str; 2] = ["old-secret-0123456789-0123456789-0123", "new-secret-9876543210-9876543210-9876"];
const API_KEYS: [&str; 2] = ["old-api-key-0123456789", "new-api-key-9876543210"];
const TOKENS: [&str; 2] = ["old-admin-token-0123456789", "new-admin-token-9876543210"];
/// Which of them each step has, the first first.
const STEPS: [&[usize]; 4] = [&[0], &[0, 1], &[1, 0], &[1]];
const DEADLINE: Duration = Duration::from_secs(120);

/// What is set in a step: as a variable has it, or as the lines of a file.
fn listed(all: [&str; 2], step: usize, between: &str) -> String {
    STEPS[step].iter().map(|index| all[*index]).collect::<Vec<_>>().join(between)
}

fn set(mut setup: Setup, step: usize) -> Setup {
    change(&mut setup, step);
    setup.unset("TICKETS__HS256_SECRET")
}

fn change(setup: &mut Setup, step: usize) {
    let file = setup.folder().join("ticket_secret");
    std::fs::write(&file, listed(SECRETS, step, "\n") + "\n").unwrap();
    setup.change("TICKETS__HS256_SECRET_FILE", file.display());
    setup.change("TICKETS__API_KEY", listed(API_KEYS, step, ","));
    setup.change("ADMIN__TOKEN", listed(TOKENS, step, ","));
}

/// Nodes of one store, the step that each is at, and where pages go.
struct Nodes {
    all: Vec<(Service, usize)>,
    address: Arc<Mutex<SocketAddr>>,
    _database: Option<Database>,
}

impl Nodes {
    async fn one() -> Self {
        Self::of(vec![set(Setup::new().await, 0).start().await], None)
    }

    async fn two() -> Self {
        let database = Database::create().await;
        let on = |setup: Setup, instance: &str| {
            let setup = set(setup, 0).set("STORE__URL", database.url()).set("STORE__POSTGRES_CONNECTIONS_MAX", 4);
            setup.set("INSTANCE", instance)
        };
        let first = on(Setup::new().await, "first").start().await;
        let second = on(Setup::beside(&first), "second").start().await;
        Self::of(vec![first, second], Some(database))
    }

    fn of(services: Vec<Service>, database: Option<Database>) -> Self {
        let address = Arc::new(Mutex::new(services[0].http));
        Self { all: services.into_iter().map(|service| (service, 0)).collect(), address, _database: database }
    }

    /// Takes one node after the other to a step.
    async fn go_to(&mut self, step: usize) {
        for index in 0..self.all.len() {
            // Where pages go meanwhile. A lone node's pages find nobody until it is back.
            *self.address.lock().unwrap() = self.all[(index + 1) % self.all.len()].0.http;
            let (node, at) = &mut self.all[index];
            node.terminate();
            assert!(node.wait_end().await.success(), "{}", node.logs().text());
            change(&mut node.setup, step);
            node.start_again().await;
            *at = step;
            let address = node.http;
            *self.address.lock().unwrap() = address;
            self.understand_each_other().await;
        }
    }

    /// What each signs, and what each operator and back end shows, is taken by each.
    async fn understand_each_other(&self) {
        for (signing, at) in &self.all {
            let (key, first) = (API_KEYS[STEPS[*at][0]], SECRETS[STEPS[*at][0]]);
            let by_hand = ticket_by(first, "by-hand");
            let by_command = run(signing, &["ticket", "--merchant", MERCHANT, "--order", "by-command"]).await;
            for (taking, _) in &self.all {
                let minted = minted(taking, key, "minted").await;
                for (order, ticket) in [("by-hand", &by_hand), ("by-command", &by_command), ("minted", &minted)] {
                    for (node, _) in &self.all {
                        let answer = node.payment(order, ticket, "").await;
                        assert_eq!(answer.status, 200, "{order}: {}", answer.text);
                    }
                }
                let admin = format!("http://{}", taking.admin);
                run(signing, &["revoke", "--url", &admin, "--merchant", MERCHANT, "--order", "lifted", "--lift"]).await;
            }
        }
    }

    async fn pages_waiting(&self) -> usize {
        let mut pages = 0;
        for (node, at) in &self.all {
            let request =
                node.client.get(format!("http://{}/v1/status", node.admin)).bearer_auth(TOKENS[STEPS[*at][0]]);
            let waiting = Answer::of(request).await.json["pages_waiting"].take();
            let each = waiting.as_object().into_iter().flatten();
            pages += each.filter_map(|(_, pages)| usize::try_from(pages.as_u64()?).ok()).sum::<usize>();
        }
        pages
    }

    /// Pages of each kind that wait for an order each, by a ticket of this secret.
    fn pages(&self, secret: &str, orders: &str) -> Vec<(String, Waiting)> {
        let page = |kind: &str| {
            let order = format!("{orders}-{kind}");
            let page = Waiting::with_ticket(&self.address, order.clone(), ticket_by(secret, &order));
            (order, page)
        };
        ["socket", "poll", "stream"].map(page).into()
    }
}

async fn run(node: &Service, arguments: &[&str]) -> String {
    let (status, out, err) = tools::end_of(node.setup.command(arguments), String::new()).await;
    assert!(status.success(), "{arguments:?}: {err}");
    out.trim().to_owned()
}

async fn minted(node: &Service, key: &str, order: &str) -> String {
    let body = json!({ "merchant_id": MERCHANT, "order_id": order, "sub": "back-end", "ttl_s": 600 });
    let answer = node.post("/v1/tickets", key, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json["ticket"].as_str().unwrap().to_owned()
}

fn ticket_by(secret: &str, order: &str) -> String {
    use crate::support::ticket::{claims, secret as key, signed};
    signed(&json!({ "alg": "HS256" }), &claims(order), &key(secret.as_bytes()), jsonwebtoken::Algorithm::HS256)
}

/// Pages wait while the nodes go through the steps, and then have their results.
async fn wait_through(nodes: &mut Nodes, secret: &str, orders: &str, steps: &[usize]) {
    let publisher = Publisher::connect(nodes.all[0].0.vhost()).await;
    let pages = nodes.pages(secret, orders);
    let names: Vec<String> = pages.iter().map(|(order, _)| order.clone()).collect();
    let waiting = pages.into_iter().enumerate().map(|(index, (_, page))| async move {
        match index {
            0 => page.by_websocket().await,
            1 => page.by_long_poll().await,
            _ => page.by_event_stream().await,
        }
    });
    let rotating = async {
        for order in &names {
            publisher.publish(&event(order, "processing")).await;
        }
        wait_for("all pages wait", async || (nodes.pages_waiting().await == names.len()).then_some(())).await;
        for step in steps {
            nodes.go_to(*step).await;
        }
        for order in &names {
            publisher.publish(&event(order, "succeeded")).await;
        }
    };
    let both = async { tokio::join!(join_all(waiting), rotating) };
    // A page that is told anything but its payment, or to come back, fails the test.
    let (pages, ()) = tokio::time::timeout(DEADLINE, both).await.expect("each page has its result");
    assert!(pages.iter().all(Waiting::is_over));
    assert!(pages.iter().all(|page| page.connections() > 1), "they waited across a restart");
}

async fn assert_rotates(mut nodes: Nodes) {
    nodes.understand_each_other().await;
    wait_through(&mut nodes, SECRETS[0], "old", &[1, 2]).await;
    wait_through(&mut nodes, SECRETS[1], "new", &[3]).await;
    for (node, _) in &nodes.all {
        node.payment("old-1", &ticket_by(SECRETS[0], "old-1"), "").await.assert_problem(401, "invalid_ticket");
        let body = json!({ "merchant_id": MERCHANT, "order_id": "old-1", "sub": "back-end", "ttl_s": 600 });
        node.post("/v1/tickets", API_KEYS[0], &body).await.assert_problem(401, "invalid_api_key");
        for (token, status) in TOKENS.into_iter().zip([401, 200]) {
            let request = node.client.request(Method::GET, format!("http://{}/v1/status", node.admin));
            assert_eq!(Answer::of(request.bearer_auth(token)).await.status, status);
        }
        let shown = run(node, &["config", "show"]).await;
        assert!(SECRETS.iter().chain(&API_KEYS).chain(&TOKENS).all(|secret| !shown.contains(secret)), "{shown}");
    }
}

#[tokio::test]
async fn secrets_change_on_one_node_and_no_page_is_turned_away() {
    assert_rotates(Nodes::one().await).await;
}

#[tokio::test]
async fn secrets_change_on_two_nodes_one_after_the_other_and_no_page_is_turned_away() {
    assert_rotates(Nodes::two().await).await;
}
