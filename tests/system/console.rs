//! What operators see and do in RabbitMQ's console: each procedure of `docs/operations/console.md` that a program can do.

use lapin::BasicProperties;
use serde_json::{Value, json};

use super::dead_letters_cli::{LETTERS, RESULTS, ready, stopped, wait_for_ready};
use super::topology::{permissions_of, shipped_definitions};
use crate::support::{DeadLetters, Publisher, Service, Setup, Vhost, event, ticket, wait_for};

/// The policy of a queue, as it is put into the console's form.
async fn set_policy(vhost: &Vhost, queue: &str, definition: Value) {
    let pattern = format!("^{}$", queue.replace('.', "\\."));
    let policy = json!({ "pattern": pattern, "apply-to": "queues", "priority": 10, "definition": definition });
    vhost.put("policies", queue, &policy).await;
    wait_for("the console shows the policy in force", async || {
        (vhost.get("queues", queue).await["effective_policy_definition"] == definition).then_some(())
    })
    .await;
}

/// How often a message of the results queue is delivered before the broker dead-letters it. Asked until it is what the
/// policy says: a queue takes a policy over in its own time.
async fn wait_for_deliveries(vhost: &Vhost, expected: u32) {
    let publisher = Publisher::connect(vhost).await;
    wait_for(&format!("{expected} deliveries"), async || {
        publisher.publish(&event("limited-1", "succeeded")).await;
        let deliveries = publisher.refuse_until_gone(RESULTS).await;
        wait_for("the message is in the dead letters", async || (vhost.ready(LETTERS).await == 1).then_some(())).await;
        vhost.take(LETTERS).await;
        (deliveries == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn connections_channels_and_consumers_say_program_node_and_purpose() {
    let service = Setup::new().await.set("INSTANCE", "till-7").start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    // Dead letters are what the service itself publishes.
    publisher.publish_bytes(b"hunter2", BasicProperties::default()).await;
    let connections = wait_for("the console knows both connections", async || {
        let list = service.vhost().get("vhosts", "connections").await;
        let ours = list.as_array().into_iter().flatten().filter(|c| c["client_properties"]["node"].is_string());
        let ours: Vec<_> = ours.cloned().collect();
        (ours.len() == 2).then_some(ours)
    })
    .await;
    for purpose in ["consumer", "dead-letters-out"] {
        let name = format!("payment-notifier {purpose} till-7");
        let one = connections.iter().find(|c| c["user_provided_name"] == name.as_str());
        let properties = &one.unwrap_or_else(|| panic!("{name} in {connections:?}"))["client_properties"];
        for (property, value) in [
            ("product", "payment-notifier"),
            ("version", env!("CARGO_PKG_VERSION")),
            ("platform", "rust"),
            ("node", "till-7"),
            ("purpose", purpose),
        ] {
            assert_eq!(properties[property], value, "{property} of {name}");
        }
    }
    let consumer = wait_for("the console knows the consumer", async || {
        let queue = service.vhost().get("queues", RESULTS).await;
        queue["consumer_details"].get(0).cloned()
    })
    .await;
    assert_eq!(consumer["consumer_tag"], "payment-notifier.results.till-7");
    assert_eq!((&consumer["prefetch_count"], &consumer["ack_required"]), (&json!(300), &json!(true)));
}

#[tokio::test]
async fn faults_and_logs_name_the_queue() {
    let setup = Setup::new().await;
    setup.vhost().import(&shipped_definitions()).await;
    let service = setup.set("AMQP__DECLARE", false).start().await;
    service.vhost().remove("queues", RESULTS).await;
    let fault = wait_for("the fault names the queue", async || {
        let faults = service.admin_get("/readyz").await.json["faults"].clone();
        faults["consumer"].as_str().map(str::to_owned)
    })
    .await;
    assert!(fault.contains("queue \"payment-notifier.results\""), "{fault}");
    let told = wait_for("the log names the queue", async || {
        let lines = service.logs().json().into_iter();
        lines
            .map(|line| line["fields"].clone())
            .find(|fields| fields["message"] == "consumer ended, setting it up again")
    })
    .await;
    assert_eq!(told["queue"], RESULTS);
}

#[tokio::test]
async fn the_shipped_definitions_are_imported_whole_with_their_users() {
    let setup = Setup::new().await;
    // All of the file, under names that other tests do not have.
    let mut definitions = shipped_definitions();
    let vhost = setup.vhost().name().to_owned();
    let users: Vec<_> = ["publisher", "notifier", "monitor"].map(|name| (name, format!("{name}-of-{vhost}"))).into();
    for kind in ["users", "vhosts", "permissions", "policies", "exchanges", "queues", "bindings"] {
        for one in definitions[kind].as_array_mut().unwrap() {
            for member in ["vhost", "name", "user"] {
                let is_vhost = member == "vhost" || (kind == "vhosts" && member == "name");
                let is_user = member == "user" || (kind == "users" && member == "name");
                let given = one[member].as_str().unwrap_or_default().to_owned();
                if is_vhost && given == "payments" {
                    one[member] = json!(vhost);
                } else if let Some((_, new)) = users.iter().find(|(old, _)| is_user && given == *old) {
                    one[member] = json!(new);
                }
            }
        }
    }
    setup.vhost().import_all(definitions).await;
    let known =
        users.into_iter().map(|(role, name)| setup.vhost().user_named(name, format!("{role}-development-only")));
    let known: Vec<_> = known.collect();

    let service = setup.set("AMQP__URL", known[1].amqp_url()).set("AMQP__DECLARE", false).start().await;
    Publisher::connect_to(&known[0].amqp_url()).await.publish(&event("imported-1", "succeeded")).await;
    service.payment_with_status("imported-1", &ticket("imported-1"), "succeeded").await;
    let queue = wait_for("the console shows the policy", async || {
        let queue = service.vhost().get("queues", RESULTS).await;
        (queue["effective_policy_definition"]["delivery-limit"] == 20).then_some(queue)
    })
    .await;
    assert_eq!(queue["arguments"], json!({ "x-queue-type": "quorum" }));
}

#[tokio::test]
async fn a_policy_raises_and_lowers_the_delivery_limit_of_a_queue_without_arguments() {
    let setup = Setup::new().await;
    setup.vhost().import(&shipped_definitions()).await;
    for limit in [2, 30, 4] {
        let definition = json!({
            "dead-letter-exchange": "payment-notifier.dead-letters", "dead-letter-strategy": "at-least-once",
            "overflow": "reject-publish", "delivery-limit": limit,
        });
        set_policy(setup.vhost(), RESULTS, definition).await;
        wait_for_deliveries(setup.vhost(), limit + 1).await;
    }
}

#[tokio::test]
async fn beside_arguments_a_policy_lowers_the_delivery_limit_and_neither_raises_it_nor_leads_elsewhere() {
    let service = stopped(Setup::new().await.set("AMQP__DELIVERY_LIMIT", 6).start().await).await;
    let vhost = service.vhost();
    vhost.put("exchanges", "elsewhere", &json!({ "type": "fanout", "durable": true })).await;
    for (limit, expected) in [(3, 4), (30, 7)] {
        let definition = json!({ "delivery-limit": limit, "dead-letter-exchange": "elsewhere" });
        set_policy(vhost, RESULTS, definition).await;
        wait_for_deliveries(vhost, expected).await;
    }
}

#[tokio::test]
async fn the_console_pauses_a_consumer_by_its_permission_and_pages_are_still_answered() {
    let setup = Setup::new().await;
    setup.vhost().import(&shipped_definitions()).await;
    let permissions = permissions_of("notifier");
    let notifier = setup.vhost().user(&permissions).await;
    let service = setup.set("AMQP__URL", notifier.amqp_url()).set("AMQP__DECLARE", false).start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    publisher.publish(&event("paused-1", "processing")).await;
    let ticket = ticket("paused-1");
    service.payment_with_status("paused-1", &ticket, "processing").await;

    let mut without_read = permissions.clone();
    without_read["read"] = json!("^$");
    service.vhost().put("permissions", notifier.name(), &without_read).await;
    wait_for("the console closes the connection", async || {
        (service.vhost().close_connections("consumer").await > 0).then_some(())
    })
    .await;
    wait_for("the fault says so", async || {
        let why = service.admin_get("/readyz").await.text;
        (why.contains("payment-notifier.results") && why.contains("ACCESS_REFUSED")).then_some(())
    })
    .await;
    publisher.publish(&event("paused-1", "succeeded")).await;
    assert_eq!(ready(&service, RESULTS).await, 1);
    assert_eq!(service.payment("paused-1", &ticket, "").await.json["status"], "processing");

    service.vhost().put("permissions", notifier.name(), &permissions).await;
    service.payment_with_status("paused-1", &ticket, "succeeded").await;
    service.wait_ready().await;
}

#[tokio::test]
async fn a_password_is_rotated_under_a_running_service_and_nothing_is_lost() {
    let setup = Setup::new().await;
    setup.vhost().import(&shipped_definitions()).await;
    let mut notifier = setup.vhost().user(&permissions_of("notifier")).await;
    let old_url = notifier.amqp_url();
    let mut service = setup.set("AMQP__URL", old_url).set("AMQP__DECLARE", false).start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let orders = ["rotated-1", "rotated-2", "rotated-3"];
    let ticket = ticket(json!(orders));

    notifier.set_password("another-password").await;
    // A connection that stands is not asked again.
    publisher.publish(&event(orders[0], "succeeded")).await;
    service.payment_with_status(orders[0], &ticket, "succeeded").await;
    // One that has to be made anew is refused, by name, and what is published waits.
    wait_for("the connection is closed", async || {
        (service.vhost().close_connections("consumer").await > 0).then_some(())
    })
    .await;
    wait_for("the fault says so", async || {
        service.admin_get("/readyz").await.text.contains("ACCESS_REFUSED").then_some(())
    })
    .await;
    publisher.publish(&event(orders[1], "succeeded")).await;
    service.terminate();
    assert!(service.wait_end().await.success(), "{}", service.logs().text());
    publisher.publish(&event(orders[2], "succeeded")).await;
    service.setup.change("AMQP__URL", notifier.amqp_url());
    service.start_again().await;
    for order_id in orders {
        service.payment_with_status(order_id, &ticket, "succeeded").await;
    }
    wait_for_ready(&service, RESULTS, 0).await;
}

#[tokio::test]
async fn a_second_user_takes_over_from_the_first_without_a_pause() {
    let first = Service::start().await;
    let user = first.vhost().user(&permissions_of("notifier")).await;
    let second = Setup::beside(&first).set("AMQP__URL", user.amqp_url()).set("AMQP__DECLARE", false).start().await;
    let publisher = Publisher::connect(first.vhost()).await;
    let first = stopped(first).await;
    publisher.publish(&event("taken-1", "succeeded")).await;
    publisher.publish_bytes(b"hunter2", BasicProperties::default()).await;
    assert_eq!(DeadLetters::of(first.vhost()).await.next().await.reason, "invalid_json");
    second.payment_with_status("taken-1", &ticket("taken-1"), "succeeded").await;
    wait_for_ready(&second, RESULTS, 0).await;
}
