//! What older programs left behind, in `tests/fixtures/upgrade`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Setup, fixture};

/// One fixture: a folder.
pub(super) struct Fixture(PathBuf);

impl Fixture {
    pub(super) fn named(name: &str) -> Self {
        Self(fixture("upgrade").join(name))
    }

    /// What the older program answered of each order, and what it had still to publish.
    pub(super) fn said(&self) -> Value {
        serde_json::from_str(&self.text("said.json")).expect("JSON")
    }

    /// One of its files.
    pub(super) fn text(&self, name: &str) -> String {
        let path = self.0.join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// Puts the database file, and its log where there is one, into the folder of a service that is not started yet.
    pub(super) fn put_into(&self, setup: &Setup) {
        copy_database(&self.0, &setup.folder().join("data"));
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

/// Copies a database file and its log. What is kept of a log's index is made anew when it is opened.
pub(super) fn copy_database(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder can be made");
    for name in ["payments.db", "payments.db-wal"] {
        drop(std::fs::remove_file(to.join(name)));
        if from.join(name).exists() {
            // Not its mode: a fixture may be read-only.
            let bytes = std::fs::read(from.join(name)).expect("the file can be read");
            std::fs::write(to.join(name), bytes).expect("the file can be written");
        }
    }
}
