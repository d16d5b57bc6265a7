//! Two versions of the program on one database: a newer one has changed the tables, and says whether older ones can work on
//! them.

mod beside;
mod fixtures;
mod from_postgres;
mod from_sqlite;
mod go_on;
mod history;
mod make;
mod merchants;
mod said;

use crate::postgres_server::Database;
use crate::support::process::Process;
use crate::support::{Publisher, Setup, event, ticket};

/// What a newer program does before it says so: a column that older ones do not name.
const COLUMN: &str = "ALTER TABLE payments ADD COLUMN of_a_newer_version text DEFAULT 'x'";

/// What a program must know to work on tables that were changed.
enum Needs {
    AsBefore,
    Newer,
}

fn step(needs: Needs) -> String {
    let next = "(SELECT max(step) + 1 FROM schema_steps)";
    let from = match needs {
        Needs::AsBefore => "(SELECT max(compatible_from) FROM schema_steps)",
        Needs::Newer => next,
    };
    format!("INSERT INTO schema_steps (step, compatible_from) VALUES ({next}, {from})")
}

#[tokio::test]
async fn an_older_version_works_on_beside_a_newer_one_whose_tables_it_can_use_and_refuses_others() {
    let database = Database::create().await;
    let first = Setup::new().await.set("STORE__URL", database.url()).start().await;
    let publisher = Publisher::connect(first.vhost()).await;
    publisher.publish(&event("upgrade-1", "processing")).await;
    first.payment_with_status("upgrade-1", &ticket("upgrade-1"), "processing").await;

    database.execute(&format!("{COLUMN}; {}", step(Needs::AsBefore))).await;
    // The one that runs goes on, and another of its version can still join it: a roll-out may be rolled back.
    let second = Setup::beside(&first).set("STORE__URL", database.url()).start().await;
    for (number, service) in [(2, &first), (3, &second)] {
        let order = format!("upgrade-{number}");
        publisher.publish(&event(&order, "succeeded")).await;
        publisher.publish(&event("upgrade-1", "processing")).await;
        service.payment_with_status(&order, &ticket(order.as_str()), "succeeded").await;
        service.payment_with_status("upgrade-1", &ticket("upgrade-1"), "processing").await;
    }

    database.execute(&step(Needs::Newer)).await;
    let setup = Setup::beside(&first).set("STORE__URL", database.url());
    let mut refused = Process::start(setup.command(&["serve"]));
    let status = refused.wait().await;
    let text = refused.logs().text();
    let said: Vec<&str> = text.lines().filter(|line| !line.starts_with('{')).collect();
    assert!(!status.success() && said.len() == 1 && said[0].contains("a newer one has changed them"), "{text}");
}

/// The program of an older version, for what cannot be done with fixtures.
fn old_program() -> String {
    std::env::var("OLD_PROGRAM").expect("OLD_PROGRAM is the path of an older program")
}
