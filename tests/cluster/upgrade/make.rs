//! Makes the fixtures anew, by older programs. Not a test: `scripts/test-upgrade --make` runs it.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use serde_json::Value;

use super::fixtures::{Fixture, copy_database};
use super::{go_on, history, old_program, said};
use crate::postgres_server::Database;
use crate::support::{Publisher, Service, Vhost};

/// The one thing that no program has written: revocations end after a year, and these long after what the tests look at.
const REVOKED_FOR_LONG: &str =
    "UPDATE revoked_tickets SET until_s = 4000000000; UPDATE revoked_orders SET until_s = 4000000000;";

const OUTBOX: &str = "SELECT body FROM outbox ORDER BY id";

/// Lives through the history on a file or a database, is killed, and answers once more. `execute` runs SQL while no program
/// is there, `at_kill` copies what the killed one left.
async fn live(
    vhost: &Arc<Vhost>,
    store_url: Option<String>,
    execute: impl AsyncFn(&Path),
    at_kill: impl Fn(&Path),
) -> (Value, Service) {
    // May publish all but events for merchants, which so stay in the outbox.
    let permissions =
        serde_json::json!({ "configure": ".*", "read": ".*", "write": r"^(?!payment-notifier\.events).*$" });
    let user = vhost.user(&permissions).await;
    let setup = go_on::setup_on(Arc::clone(vhost)).program(&old_program()).set("AMQP__URL", user.amqp_url());
    let setup = setup.set("INSTANCE", "node-1").set("ESCALATION__AFTER", "1s").set("INQUIRY__AFTER", "1s,1h");
    let setup = if let Some(url) = store_url { setup.set("STORE__URL", url) } else { setup };
    let mut service = setup.start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    history::publish_events(&service, &publisher).await;
    history::pages_of_the_past(&service, &publisher).await;
    service.terminate();
    service.wait_end().await;
    execute(service.setup.folder()).await;
    service.setup.change("ESCALATION__AFTER", "5m");
    service.setup.change("INQUIRY__AFTER", "1h");
    service.start_again().await;
    let waiting = history::pages_of_the_end(&service, &publisher).await;
    service.kill9().await;
    drop(waiting);
    at_kill(service.setup.folder());
    service.start_again().await;
    let orders = said::of_all(&service).await;
    service.terminate();
    service.wait_end().await;
    (orders, service)
}

/// One line for each order and each message.
fn write_said(fixture: &Fixture, orders: &Value, outbox: &[Value]) {
    let mut text = String::from("{\"orders\": {\n");
    let orders: Vec<String> =
        orders.as_object().unwrap().iter().map(|(id, said)| format!("\"{id}\": {said}")).collect();
    let outbox: Vec<String> = outbox.iter().map(Value::to_string).collect();
    writeln!(text, "{}\n}},\n\"outbox\": [\n{}\n]}}", orders.join(",\n"), outbox.join(",\n")).unwrap();
    std::fs::write(fixture.path().join("said.json"), text).unwrap();
}

#[ignore = "makes the fixtures, by an older program"]
#[tokio::test]
async fn old_files_closed_and_of_a_killed_program() {
    let vhost = Arc::new(Vhost::create().await);
    let (closed, killed) = (Fixture::named("sqlite-4"), Fixture::named("sqlite-4-killed"));
    let open = |folder: &Path| rusqlite::Connection::open(folder.join("data/payments.db")).unwrap();
    let execute = async |folder: &Path| open(folder).execute_batch(REVOKED_FOR_LONG).unwrap();
    let at_kill = |folder: &Path| copy_database(&folder.join("data"), killed.path());
    let (orders, service) = live(&vhost, None, execute, at_kill).await;
    copy_database(&service.setup.folder().join("data"), closed.path());
    let file = open(service.setup.folder());
    let mut rows = file.prepare(OUTBOX).unwrap();
    let rows = rows.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let outbox: Vec<Value> = rows.map(|body| serde_json::from_str(&body.unwrap()).unwrap()).collect();
    write_said(&closed, &orders, &outbox);
}

#[ignore = "makes the fixtures, by an older program"]
#[tokio::test]
async fn old_database() {
    let vhost = Arc::new(Vhost::create().await);
    let database = Database::create().await;
    let execute = async |_: &Path| database.execute(REVOKED_FOR_LONG).await;
    let (orders, _service) = live(&vhost, Some(database.url()), execute, |_| ()).await;
    let rows = crate::sql::rows(&database.url(), OUTBOX).await;
    let outbox: Vec<Value> = rows.iter().map(|row| serde_json::from_str(row.get(0).unwrap()).unwrap()).collect();
    let fixture = Fixture::named("postgres-1");
    std::fs::create_dir_all(fixture.path()).unwrap();
    write_said(&fixture, &orders, &outbox);
    let mut dump = Command::new("pg_dump");
    dump.args(["--inserts", "--rows-per-insert=500", "--no-owner", "--no-privileges"]).arg(database.url());
    let output = dump.output().expect("pg_dump is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let sql = String::from_utf8(output.stdout).unwrap();
    // Without comments and what psql alone understands.
    let lines = sql.lines().filter(|line| !line.starts_with('\\') && !line.starts_with("--") && !line.is_empty());
    std::fs::write(fixture.path().join("database.sql"), lines.map(|line| format!("{line}\n")).collect::<String>())
        .unwrap();
}
