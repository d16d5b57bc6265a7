//! The database file and the connections to it.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, FileControl, OpenFlags};

use super::{private, schema};
use crate::store::Error;

const SCHEME: &str = "sqlite://";

/// How long the opening waits for a process that is just ending, and how often it looks.
const LOCK_WAIT: Duration = Duration::from_secs(5);
const LOCK_INTERVAL: Duration = Duration::from_millis(50);

/// As many as Linux follows.
const LINKS_MAX: usize = 40;

/// In the lock file, once there is a database.
const MADE: &[u8] = b"payment-notifier\n";

/// How long a connection waits for another program that holds the file, e.g. a backup.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The log keeps no more than this many bytes on disk once all of it was copied into the file.
const LOG_BYTES_KEPT: i64 = 64 * 1024 * 1024;

/// More than the statements of a connection, so that each is compiled once.
const STATEMENTS_CACHED: usize = 64;

/// Changes with each commit of another connection than this.
pub(super) fn data_version(connection: &Connection) -> Result<i64, Error> {
    Ok(connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?)
}

/// Where the database is and how connections to it are set up.
#[derive(Debug, Clone)]
pub(super) struct File {
    path: PathBuf,
    cache_kib: u32,
}

impl File {
    /// Takes `sqlite://PATH`.
    pub(super) fn new(url: &str, cache_kib: u32) -> Result<Self, Error> {
        match url.strip_prefix(SCHEME) {
            // `./` keeps SQLite from taking a name like `:memory:` or `file:x` for more than a name.
            Some(path) if !path.is_empty() => Ok(Self { path: Path::new(".").join(path), cache_kib }),
            _ => Err(Error::Unavailable("the store's address must be sqlite:// and a path".to_owned())),
        }
    }

    /// Makes file and tables where they are missing, and gives the connection that writes.
    pub(super) fn create(&self) -> Result<Connection, Error> {
        // Before SQLite does, which goes by the umask. Its log gets the mode of the file.
        self.named(private::create(&self.path).map_err(|e| Error::Unavailable(e.to_string())))?;
        self.open_writer(OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)
    }

    /// Makes the folder where it is missing, and keeps every other process off this database for as long as the answer lives.
    /// Two that write it would each know only of its own events, and pages of one would wait in vain for those of the other.
    /// Waits for one that is just ending.
    pub(super) fn lock(&self) -> Result<fs::File, Error> {
        if let Some(folder) = self.linked().parent() {
            private::make_folder(folder).map_err(|e| Error::Unavailable(format!("{}: {e}", folder.display())))?;
        }
        let name = self.beside(".lock");
        let failed = |why: io::Error| Error::Unavailable(format!("{}: {why}", name.display()));
        let lock = private::open_or_create(&name).map_err(failed)?;
        let deadline = Instant::now() + LOCK_WAIT;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(fs::TryLockError::Error(why)) => return Err(failed(why)),
                Err(fs::TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(LOCK_INTERVAL),
                Err(fs::TryLockError::WouldBlock) => {
                    let path = self.path.display();
                    return Err(Error::Unavailable(format!("{path}: another process uses this file")));
                }
            }
        }
    }

    /// Which of its files, and whether its folder, were made such that others than the owner may use them, with their modes.
    pub(super) fn wider(&self) -> Vec<(PathBuf, u32)> {
        let files = ["", "-wal", "-shm", ".lock"].map(|suffix| self.beside(suffix));
        let folder = self.linked().parent().map(Path::to_owned);
        let all = folder.into_iter().chain(files);
        all.filter_map(|path| private::wider_mode(&path).map(|mode| (path, mode))).collect()
    }

    /// The file itself, which need not be there yet, where the path is a link, or one to another.
    fn linked(&self) -> PathBuf {
        let mut file = self.path.clone();
        for _ in 0..LINKS_MAX {
            let Ok(target) = fs::read_link(&file) else { break };
            file = file.parent().unwrap_or(Path::new(".")).join(target);
        }
        file
    }

    /// What stands beside the file under its name: of a link beside what it leads to, as SQLite has its log, so that the
    /// link and the file are one database.
    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.linked().into_os_string();
        name.push(suffix);
        name.into()
    }

    /// Refuses a file that has been emptied: SQLite would take it as one to be made, and nobody would see that payments
    /// are gone. `lock` says whether there was one before.
    pub(super) fn refuse_emptied(&self, lock: &fs::File) -> Result<(), Error> {
        let bytes = |metadata: io::Result<fs::Metadata>| metadata.ok().map(|metadata| metadata.len());
        if bytes(lock.metadata()).is_some_and(|bytes| bytes > 0) && bytes(fs::metadata(&self.path)) == Some(0) {
            let text =
                "the file is empty but was not before: restore a backup, or delete it to begin with an empty store";
            return self.named(Err(Error::Corrupt(text.to_owned())));
        }
        Ok(())
    }

    /// Notes in the lock file that the database was made.
    pub(super) fn note_made(&self, lock: &mut fs::File) -> Result<(), Error> {
        let noted = match lock.metadata() {
            Ok(metadata) if metadata.len() > 0 => Ok(()),
            _ => lock.write_all(MADE).and_then(|()| lock.sync_all()),
        };
        self.named(noted.map_err(|e| Error::Unavailable(format!("lock file: {e}"))))
    }

    /// The connection that writes, to a file that must be there: a file that vanished under a running program is a
    /// fault to be seen, not one to be covered with an empty file.
    pub(super) fn writer(&self) -> Result<Connection, Error> {
        self.open_writer(OpenFlags::SQLITE_OPEN_READ_WRITE)
    }

    /// A connection that copies the log of an open database.
    pub(super) fn copier(&self) -> Result<Connection, Error> {
        self.named((|| {
            let connection = self.connect(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            connection.pragma_update(None, "wal_autocheckpoint", 0)?;
            // Asked for because that makes it look at the log.
            let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
            if mode != "wal" {
                return Err(Error::Unavailable("there is no write-ahead log".to_owned()));
            }
            Ok(connection)
        })())
    }

    /// A connection that only reads.
    pub(super) fn reader(&self) -> Result<Connection, Error> {
        self.named(self.connect(OpenFlags::SQLITE_OPEN_READ_ONLY))
    }

    /// True if the path leads to another file than `connection` has open, or to none. What is written to such a
    /// connection is lost.
    pub(super) fn has_moved(&self, connection: &Connection) -> bool {
        let mut moved = 0;
        let asked = connection.file_control(Some("main"), FileControl::HasMoved(&mut moved));
        asked.is_err() || moved != 0
    }

    fn open_writer(&self, flags: OpenFlags) -> Result<Connection, Error> {
        self.named((|| {
            let mut connection = self.connect(flags)?;
            // SQLite falls back to reading where the file is write-protected.
            if connection.is_readonly("main")? {
                return Err(Error::Unavailable("the file is write-protected".to_owned()));
            }
            schema::recognise(&connection)?;
            let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
            if mode != "wal" {
                return Err(Error::Unavailable("the file system allows no write-ahead log".to_owned()));
            }
            connection.pragma_update(None, "synchronous", "FULL")?;
            // The log is copied into the file after the callers have their answers, see `log`.
            connection.pragma_update(None, "wal_autocheckpoint", 0)?;
            connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
            schema::migrate(&mut connection)?;
            schema::check(&connection)?;
            Ok(connection)
        })())
    }

    fn connect(&self, flags: OpenFlags) -> Result<Connection, Error> {
        // One thread at a time uses a connection, so SQLite's own locks would only cost.
        let connection = Connection::open_with_flags(&self.path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
        connection.pragma_update(None, "cache_size", -i64::from(self.cache_kib))?;
        // A damaged page is an error when it is read, not a wrong answer.
        connection.pragma_update(None, "cell_size_check", true)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        Ok(connection)
    }

    /// Says which file an error is about.
    fn named<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        let path = self.path.display();
        result.map_err(|error| match error {
            Error::Corrupt(text) => Error::Corrupt(format!("{path}: {text}")),
            Error::Unavailable(text) => Error::Unavailable(format!("{path}: {text}")),
            other => other,
        })
    }
}
