//! Messages that no well-behaved client sends: texts that are not UTF-8, headers nested without end. RabbitMQ passes them
//! on as they are, and whoever refuses to read them loses the connection, and all that is delivered on it.

use crate::amqp::{
    APP_ID, CLUSTER_ID, CONTENT_ENCODING, CONTENT_TYPE, CORRELATION_ID, HEADERS, MESSAGE_ID, REPLY_TO, RawPublisher,
    TYPE, long, nested, short,
};
use crate::harness::{Node, World, body, key, until};
use payment_notifier::payment::Status;

/// "付款" in GBK.
const GBK: &[u8] = b"\xb8\xb6\xbf\xee";
const KEY: &[u8] = b"payment.result.wire";

/// A routing key, flags, properties.
type Odd = (Vec<u8>, u16, Vec<u8>);

fn field(name: &[u8], value: &[u8]) -> Vec<u8> {
    [&short(name)[..], value].concat()
}

/// RabbitMQ looks at `expiration` and `user-id` itself.
fn odd() -> Vec<Odd> {
    let shorts = [CONTENT_TYPE, CONTENT_ENCODING, CORRELATION_ID, REPLY_TO, MESSAGE_ID, TYPE, APP_ID, CLUSTER_ID];
    let inner = [&b"F"[..], &long(&field(GBK, b"V"))].concat();
    // As large as a frame may be, to which RabbitMQ adds its own.
    let full = field(b"k", &[&b"S"[..], &long(&vec![b'a'; 131_072 - 8 - 14 - 4 - 7])].concat());
    // Far beyond what a stack holds. RabbitMQ 4.0 itself takes a second for so many levels, by their square.
    let headers = [
        field(GBK, b"t\x01"),
        field(b"in", &inner),
        field(b"list", &[&b"A"[..], &long(&inner)].concat()),
        nested(b'F', 5_000),
        nested(b'A', 5_000),
        full,
    ];
    let by_property = shorts.into_iter().map(|bit| (KEY.to_vec(), bit, short(GBK)));
    let by_header = headers.into_iter().map(|fields| (KEY.to_vec(), HEADERS, long(&fields)));
    let by_key = [(b"payment.result.\xb8\xb6".to_vec(), 0, Vec::new())];
    by_property.chain(by_header).chain(by_key).collect()
}

/// Publishes in order, by hand.
async fn publish(world: &World, messages: Vec<(Odd, Vec<u8>)>) {
    let url = world.amqp.url.expose().to_owned();
    let spoken = tokio::task::spawn_blocking(move || {
        let mut publisher = RawPublisher::connect(&url);
        for ((key, flags, properties), body) in messages {
            publisher.publish(&key, flags, &properties, &body);
        }
    });
    spoken.await.unwrap();
}

fn good(order: &str) -> Vec<u8> {
    body(order, "e", Status::Succeeded).into_bytes()
}

fn plain(order: &str) -> (Odd, Vec<u8>) {
    ((KEY.to_vec(), 0, Vec::new()), good(order))
}

/// One connection for all of it, and no delivery spent.
fn assert_undisturbed(node: &Node) {
    assert_eq!(node.metric("broker_connects_total{result=\"ok\"}"), 1.0);
    assert_eq!(node.metric("broker_connects_total{result=\"error\"}"), 0.0);
    assert_eq!((node.metric("redeliveries_total"), node.metric("acks_lost_total")), (0.0, 0.0));
    assert_eq!(node.faults(), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_body_is_stored_and_a_bad_one_put_aside_whatever_its_properties_are() {
    let world = World::new("odd").await;
    let node = Node::start(&world).await;
    let kinds = odd();
    let messages = kinds.iter().enumerate().flat_map(|(at, odd)| {
        let stands_behind = plain(&format!("behind-{at}"));
        [(odd.clone(), good(&format!("odd-{at}"))), (odd.clone(), b"not json".to_vec()), stands_behind]
    });
    publish(&world, messages.collect()).await;
    let count = kinds.len();
    until("all good bodies are stored", async || node.store.len() == 2 * count).await;
    until("all bad bodies are put aside", async || {
        node.metric("dead_letters_total{reason=\"invalid_json\"}") == count as f64
    })
    .await;
    until("all are acknowledged", async || node.metric("deliveries_unacknowledged") == 0.0).await;
    for at in 0..count {
        assert_eq!(node.store.version(&key(&format!("odd-{at}"))), Some(1), "{at}");
    }
    assert_undisturbed(&node);
    // RabbitMQ's own additions make the full frame too large with its second delivery only.
    assert!(node.metric("messages_mended_total") >= 2.0 * (count - 1) as f64);
    node.stop().await;
    world.queue_becomes(&world.amqp.queue, (0, 0)).await;
    world.queue_becomes(&world.amqp.dead_letter_queue, (u32::try_from(count).unwrap(), 0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_behind_messages_that_are_no_text_does_not_wait_however_many_they_are() {
    let world = World::new("wire").await;
    let node = Node::start(&world).await;
    let gbk = |order: &str| ((KEY.to_vec(), MESSAGE_ID | TYPE, [short(GBK), short(GBK)].concat()), good(order));
    let mut expected = 0;
    for (odd, among) in [(1_usize, 10_usize), (2, 10), (3, 10), (12, 600), (301, 310)] {
        // Evenly among the others, the first at the front; more than the prefetch holds are all in a row.
        let every = if odd > 300 { 1 } else { among / odd };
        let messages = (0..among).map(|at| {
            let order = format!("o-{odd}-{at}");
            if at.is_multiple_of(every) && at / every < odd { gbk(&order) } else { plain(&order) }
        });
        publish(&world, messages.collect()).await;
        expected += among;
        until("all are stored", async || node.store.len() == expected).await;
    }
    until("all are acknowledged", async || node.metric("deliveries_unacknowledged") == 0.0).await;
    assert_undisturbed(&node);
    assert_eq!(node.metric("messages_mended_total"), 319.0);
    node.stop().await;
    world.queue_becomes(&world.amqp.queue, (0, 0)).await;
    world.queue_becomes(&world.amqp.dead_letter_queue, (0, 0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_id_that_is_no_text_is_nobodys_event_id() {
    let world = World::new("ids").await;
    let node = Node::start(&world).await;
    let without_id = |status: Status| {
        let whole = body("o", "gone", status);
        let start = whole.find("\"event_id\"").unwrap();
        let end = start + whole[start..].find(',').unwrap() + 1;
        [&whole[..start], &whole[end..]].concat().into_bytes()
    };
    let by_id = |id: &[u8], status| ((KEY.to_vec(), MESSAGE_ID, short(id)), without_id(status));
    // Two ids of four bytes, of which none is UTF-8: one and the same where they are marked.
    let messages = vec![by_id(GBK, Status::Pending), by_id(b"\xff\xfe\xfd\xfc", Status::Succeeded)];
    publish(&world, messages.clone()).await;
    until("both are stored", async || node.metric("events_total{outcome=\"applied\"}") == 2.0).await;
    publish(&world, messages).await;
    until("the same again is known", async || node.metric("events_total{outcome=\"duplicate\"}") == 2.0).await;
    assert_undisturbed(&node);
    node.stop().await;
    world.queue_becomes(&world.amqp.dead_letter_queue, (0, 0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_fill_a_frame_are_read_when_rabbitmq_adds_its_own_to_them() {
    let world = World::new("full").await;
    let node = Node::start(&world).await;
    let shut = node.store.gate.write().await;
    let full = odd().into_iter().find(|(_, _, properties)| properties.starts_with(&[0, 1, 0xff, 0xe6])).unwrap();
    publish(&world, vec![(full.clone(), good("full")), (full, b"not json".to_vec()), plain("behind")]).await;
    until("all are delivered", async || node.metric("deliveries_total") == 3.0).await;
    // What it gives back unsettled is delivered again, and then RabbitMQ says in the headers how often.
    node.stop().await;
    drop(shut);
    let node = Node::start(&world).await;
    until("both good ones are stored", async || node.store.len() == 2).await;
    until("all are acknowledged", async || node.metric("deliveries_unacknowledged") == 0.0).await;
    assert!(node.metric("messages_mended_total") >= 1.0);
    assert_eq!((node.metric("broker_connects_total{result=\"ok\"}"), node.faults()), (1.0, String::new()));
    node.stop().await;
    world.queue_becomes(&world.amqp.dead_letter_queue, (1, 0)).await;
}
