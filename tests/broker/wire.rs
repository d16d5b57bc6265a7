//! A message that no well-behaved client sends: its message id is not UTF-8, and a client that reads it drops the
//! connection. Spoken by hand, since lapin would not write it.

use std::io::{Read, Write};
use std::net::TcpStream;

use lapin::BasicProperties;
use payment_notifier::payment::Status;

use crate::harness::{Node, World, body, until};

struct Wire(TcpStream);

impl Wire {
    fn send(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        let mut frame = vec![kind];
        frame.extend(channel.to_be_bytes());
        frame.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
        frame.extend(payload);
        frame.push(0xce);
        self.0.write_all(&frame).unwrap();
    }

    fn method(&mut self, channel: u16, class: u16, method: u16, arguments: &[u8]) {
        let payload = [&class.to_be_bytes()[..], &method.to_be_bytes(), arguments].concat();
        self.send(1, channel, &payload);
    }

    /// Reads frames until that method comes, and answers its arguments.
    fn await_method(&mut self, class: u16, method: u16) -> Vec<u8> {
        loop {
            let mut head = [0; 7];
            self.0.read_exact(&mut head).unwrap();
            let mut payload = vec![0; u32::from_be_bytes(head[3..].try_into().unwrap()) as usize + 1];
            self.0.read_exact(&mut payload).unwrap();
            if head[0] == 1 && payload.starts_with(&[class.to_be_bytes(), method.to_be_bytes()].concat()) {
                return payload[4..].to_vec();
            }
        }
    }
}

fn short(text: &[u8]) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text].concat()
}

fn long(text: &[u8]) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap().to_be_bytes()[..], text].concat()
}

fn publish_with_message_id(url: &str, body: &[u8], message_id: &[u8]) {
    let (login, place) = url.split_once("://").unwrap().1.rsplit_once('@').unwrap();
    let ((user, password), (host, vhost)) = (login.split_once(':').unwrap(), place.split_once('/').unwrap());
    let mut wire = Wire(TcpStream::connect(host).unwrap());
    wire.0.write_all(b"AMQP\x00\x00\x09\x01").unwrap();
    wire.await_method(10, 10);
    let plain = long(format!("\0{user}\0{password}").as_bytes());
    wire.method(0, 10, 11, &[long(b""), short(b"PLAIN"), plain, short(b"en_US")].concat());
    let tune = wire.await_method(10, 30);
    wire.method(0, 10, 31, &tune[..8]);
    wire.method(0, 10, 40, &[short(vhost.as_bytes()), short(b""), vec![0]].concat());
    wire.await_method(10, 41);
    wire.method(1, 20, 10, &short(b""));
    wire.await_method(20, 11);
    wire.method(1, 85, 10, &[0]);
    wire.await_method(85, 11);
    wire.method(1, 60, 40, &[vec![0, 0], short(b"payments"), short(b"payment.result.wire"), vec![0]].concat());
    let size = u64::try_from(body.len()).unwrap().to_be_bytes();
    let only_message_id: u16 = 1 << 7;
    wire.send(2, 1, &[&[0, 60, 0, 0][..], &size, &only_message_id.to_be_bytes(), &short(message_id)].concat());
    wire.send(3, 1, body);
    wire.await_method(60, 80);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_breaks_the_connection_is_taken_away_by_the_delivery_limit_and_costs_no_other() {
    let world = World::new("wire").await;
    let node = Node::start(&world).await;
    let good = body("o-0", "e", Status::Succeeded);
    let url = world.amqp.url.expose().to_owned();
    let spoken = tokio::task::spawn_blocking(move || {
        publish_with_message_id(&url, good.as_bytes(), b"m-1");
        publish_with_message_id(&url, b"{}", b"\xff\xfe");
    });
    spoken.await.unwrap();
    for at in 1..100 {
        world.send(&body(&format!("o-{at}"), "e", Status::Succeeded), BasicProperties::default()).await;
    }
    until("the good ones are stored", async || node.store.len() == 100).await;
    until("the broker took the bad one away", async || {
        world.queue("payment-notifier.dead-letters").await.is_some_and(|(ready, _)| ready == 1)
    })
    .await;
    until("the node is well", async || node.faults().is_empty() && node.metric("deliveries_in_flight") == 0.0).await;
    println!("established {} times", node.metric("broker_connects_total{result=\"ok\"}"));
    node.stop().await;
    world.queue_becomes("payment-notifier.results", (0, 0)).await;
}
