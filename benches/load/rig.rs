//! The program, a vhost of its own and a publisher.

#[path = "../../tests/support/mod.rs"]
#[allow(dead_code, unused_imports, unreachable_pub, reason = "the tests use the rest")]
pub(crate) mod support;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};

pub(crate) use support::MERCHANT;

pub(crate) struct Publisher {
    pub(crate) channel: Channel,
    _connection: Connection,
}

impl Publisher {
    pub(crate) async fn connect(url: &str) -> Self {
        let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        Self { channel, _connection: connection }
    }

    /// Sends one event. The answer is ready when the broker has confirmed it.
    pub(crate) async fn send(&self, body: &str) -> impl Future<Output = ()> + use<> {
        let properties = BasicProperties::default().with_delivery_mode(2);
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let routing_key = "payment.result.bench";
        let sent =
            self.channel.basic_publish("payments".into(), routing_key.into(), options, body.as_bytes(), properties);
        let confirm = sent.await.unwrap();
        async move {
            assert!(confirm.await.unwrap().is_ack());
        }
    }
}

pub(crate) fn order(page: usize) -> String {
    format!("order-{page:06}")
}

/// Resident memory of a process in KiB, from `/proc`.
pub(crate) fn resident_kib(pid: u32) -> u64 {
    status(pid, "VmRSS:")
}

/// User and system time of a process so far, in clock ticks of 10 ms.
pub(crate) fn cpu_ms(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10
}

fn status(pid: u32, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The value below which `share` of the sorted values are.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    sorted
        .get(((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}
