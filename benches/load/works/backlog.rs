//! Events that wait in the queue when the consumer starts: how fast it empties, all durable.

use std::time::{Duration, Instant};

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties};

use super::{Figures, scattered};
use crate::engine::{Engine, Happened, SILENCE};
use crate::measure::cpu;
use crate::target::{Kind, QUEUE, Rig, Start, Vhost};

#[derive(clap::Args, Clone)]
pub(crate) struct Args {
    /// Events that wait, each of an order of its own
    #[arg(long, default_value_t = 200_000)]
    pub(crate) events: u32,
}

const UNCONFIRMED_MAX: u32 = 2_000;
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// After the last delivery: the consumer commits and acknowledges what is in flight.
const SETTLE: Duration = Duration::from_secs(1);

pub(crate) fn run(rig: &Rig, kind: Kind, args: &Args) -> Figures {
    let vhost = rig.vhost();
    fill(rig, &vhost, args.events);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let gauge = runtime.block_on(Gauge::connect(&vhost));
    let ready = runtime.block_on(gauge.look()).ready;
    assert_eq!(ready, args.events, "the queue holds what was published");
    let watch = std::thread::spawn(move || {
        let took = runtime.block_on(gauge.wait_empty());
        (took, runtime, gauge)
    });
    let mut running = rig.start_on(vhost, kind, &Start::default());
    if let Some(arrivals) = running.arrivals.take() {
        drain(arrivals, args.events);
    }
    let (took, runtime, gauge) = watch.join().unwrap();
    std::thread::sleep(SETTLE);
    let spent = cpu(&running.pids);
    let stored = running.database.as_deref().map(stored);
    assert!(stored.is_none_or(|count| count == args.events), "{stored:?} of {} events are stored", args.events);
    // Ends the target: what it had not acknowledged comes back.
    running.children.clear();
    runtime.block_on(gauge.stays_empty());
    Figures::from([
        ("events_per_s", f64::from(args.events) / took.as_secs_f64()),
        ("target_cpu_us", spent.as_secs_f64() * 1e6 / f64::from(args.events)),
    ])
}

/// Puts the events into the queue.
pub(crate) fn fill(rig: &Rig, vhost: &Vhost, events: u32) {
    let mut engine = Engine::new(None, None, Some(rig.publisher(vhost)));
    let (mut published, mut confirmed, mut heard) = (0, 0, Instant::now());
    while confirmed < events {
        while published < events && published - confirmed < UNCONFIRMED_MAX {
            engine.publish(published, scattered(published, events));
            published += 1;
        }
        for happened in engine.turn(Duration::from_millis(100)) {
            assert!(matches!(happened, Happened::Confirmed(_)));
            heard = Instant::now();
            confirmed += 1;
        }
        assert!(heard.elapsed() < SILENCE, "{confirmed} of {events} events are confirmed, then nothing");
    }
}

/// Reads until each event has come.
fn drain(mut stream: std::net::TcpStream, events: u32) {
    use std::io::Read;
    let mut left = events as usize * crate::event::NUMBER_BYTES;
    let mut scratch = [0; 65_536];
    while left > 0 {
        let count = stream.read(&mut scratch).unwrap();
        assert!(count > 0, "the bare consumer ended");
        left = left.saturating_sub(count);
    }
}

fn stored(database: &std::path::Path) -> u32 {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = rusqlite::Connection::open_with_flags(database, flags).unwrap();
    connection.query_row("SELECT count(*) FROM payments", [], |row| row.get(0)).unwrap()
}

/// Looks at the queue.
pub(crate) struct Gauge {
    channel: Channel,
    _connection: Connection,
}

pub(crate) struct Look {
    pub(crate) ready: u32,
    consumers: u32,
}

impl Gauge {
    pub(crate) async fn connect(vhost: &Vhost) -> Self {
        let connection = Connection::connect(&vhost.amqp_url(), ConnectionProperties::default()).await.unwrap();
        Self { channel: connection.create_channel().await.unwrap(), _connection: connection }
    }

    pub(crate) async fn look(&self) -> Look {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let queue = self.channel.queue_declare(QUEUE.into(), passive, FieldTable::default()).await.unwrap();
        Look { ready: queue.message_count(), consumers: queue.consumer_count() }
    }

    /// From the first delivery to the last; what is in flight then is a few hundred events.
    async fn wait_empty(&self) -> Duration {
        let mut began = Instant::now();
        let (mut seen, mut changed) = (0, began);
        let mut consuming = false;
        loop {
            let Look { ready, consumers } = self.look().await;
            if !consuming {
                consuming = consumers > 0;
                began = Instant::now();
            }
            if ready == 0 {
                return began.elapsed();
            }
            if ready != seen {
                (seen, changed) = (ready, Instant::now());
            }
            assert!(changed.elapsed() < SILENCE, "{ready} events wait and none is taken");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Everything was acknowledged: nothing comes back.
    async fn stays_empty(&self) {
        let deadline = Instant::now() + SILENCE;
        while self.look().await.consumers > 0 {
            assert!(Instant::now() < deadline, "the broker has not noticed that the consumer is gone");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(self.look().await.ready, 0, "events that were not acknowledged came back");
    }
}
