//! The limit: a lapin consumer that acknowledges and does nothing else. No store, no tickets, no pages. So that the load
//! program learns what arrived, it hands each event's number over one kept socket. It is this program in another process.
//!
//! Acknowledging each delivery is what lapin's own examples do; acknowledging together what has come is what a consumer
//! can do that has thought about it.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use futures_util::{FutureExt, StreamExt};
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};

use super::{Child, QUEUE, Rig, Running, Vhost};
use crate::event;

const PREFETCH: u16 = 300;
const URL: &str = "BENCH_AMQP_URL";
const TOGETHER: &str = "BENCH_ACK_TOGETHER";

pub(super) fn start(rig: &Rig, vhost: Vhost, together: bool) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("bare").arg(listener.local_addr().unwrap().to_string()).env(URL, vhost.amqp_url());
    if together {
        command.env(TOGETHER, "1");
    }
    let (child, ()) = Child::start(command, &rig.folder.join("bare.log"), |line| (line == "consuming").then_some(()));
    let (arrivals, _) = listener.accept().unwrap();
    Running {
        pids: vec![child.pid()],
        place: None,
        arrivals: Some(arrivals),
        publisher: None,
        vhost,
        children: vec![child],
        database: None,
    }
}

/// The other process: what has come is handed over together, and acknowledged one by one or together.
pub(crate) async fn consume(answers_to: &str) {
    let mut answers = TcpStream::connect(answers_to).unwrap();
    answers.set_nodelay(true).unwrap();
    let url = std::env::var(URL).unwrap();
    let connection = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await.unwrap();
    let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
    let mut deliveries = channel.basic_consume(QUEUE.into(), "bare".into(), options, none).await.unwrap();
    // Half of what is in flight, so that the broker goes on sending meanwhile.
    let together_max = if std::env::var_os(TOGETHER).is_some() { PREFETCH / 2 } else { 0 };
    println!("consuming");
    let mut numbers = Vec::new();
    while let Some(delivery) = deliveries.next().await {
        let mut last = delivery.unwrap();
        numbers.extend_from_slice(event::number_text(&last.data));
        for _ in 0..together_max {
            let Some(Some(delivery)) = deliveries.next().now_or_never() else { break };
            last = delivery.unwrap();
            numbers.extend_from_slice(event::number_text(&last.data));
        }
        answers.write_all(&numbers).unwrap();
        numbers.clear();
        assert!(last.ack(BasicAckOptions { multiple: together_max > 0 }).await.unwrap());
    }
    panic!("the consumer ended");
}
