//! A disk that forgets what was not synced, as a file system of the test's own.
//!
//! `kill -9` leaves the page cache as it is, and so proves nothing of fsync. Here what a program writes is kept in memory
//! beside what it has synced. When the power is cut, what was not synced is dropped, or scattered: any of its pages survive,
//! in any order and in any state that they had meanwhile, some up to a sector. From then on all is answered by EIO, until the
//! disk is mounted again with what it has. It can also hang.
//!
//! What is promised by fsync: fsync and fdatasync of a file keep its bytes and its size. What they keep of its name differs,
//! see [`Entries`].

mod content;
mod fuse;
mod server;
mod switch;
mod tree;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuser::{BackgroundSession, Config, MountOption, Session, SessionACL};
use tempfile::TempDir;

use crate::support::wait_up_to;
use fuse::Fuse;
pub(crate) use server::PostgresOnDisk;
pub(crate) use switch::Hang;
use switch::Switch;
use tree::Kind;

/// When names outlive a loss of power: of files and folders that were made, renamed or removed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entries {
    /// Once their folder was synced, and whichever of the others by chance. No more than POSIX promises.
    Posix,
    /// As ext4 and XFS have it: they are written to a journal in order, so that always some first of them survive, and
    /// fsync of a folder, or of the file itself, writes the journal up to there.
    Journal,
}

/// What becomes of what was not synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unsynced {
    Dropped,
    Scattered,
}

/// Lets the disk go before those who wait for it are to end.
pub(crate) struct LetGo(Arc<Switch>);

impl Drop for LetGo {
    fn drop(&mut self) {
        self.0.hang(Hang::Nothing);
    }
}

/// Mounted for as long as it lives.
pub(crate) struct Disk {
    switch: Arc<Switch>,
    session: Option<BackgroundSession>,
    place: TempDir,
}

impl Disk {
    /// Not set, with the reason, where FUSE is not to be had.
    pub(crate) fn mount(entries: Entries) -> Result<Self, String> {
        let place = tempfile::tempdir().expect("a temporary folder can be made");
        // A database server runs as somebody else.
        let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(place.path(), everybody).expect("our own folder");
        let mut disk = Self { switch: Arc::new(Switch::new(entries)), session: None, place };
        std::fs::create_dir(disk.path()).expect("our own folder");
        disk.session = Some(disk.begin().map_err(|error| format!("FUSE is not to be had: {error}"))?);
        Ok(disk)
    }

    fn begin(&self) -> std::io::Result<BackgroundSession> {
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("power-loss".to_owned()), MountOption::DefaultPermissions];
        // Others than root may not let others in.
        if is_root() {
            config.acl = SessionACL::All;
        }
        Session::new(Fuse(Arc::clone(&self.switch)), self.path(), &config)?.spawn()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.place.path().join("disk")
    }

    /// Now.
    pub(crate) fn cut(&self, unsynced: Unsynced, seed: u64) {
        self.switch.lose_power(unsynced, seed);
    }

    /// At the change or sync that comes after so many others.
    pub(crate) fn cut_after(&self, changes: u64, unsynced: Unsynced, seed: u64) {
        self.switch.fail_in(changes, unsynced, seed);
    }

    pub(crate) fn is_off(&self) -> bool {
        self.switch.is_off()
    }

    /// Mounts what survived. Whoever had the disk open must be gone.
    pub(crate) async fn mount_again(&mut self) {
        if let Some(session) = self.session.take() {
            // What the last of a killed process has still to do may hold the mount for a moment.
            let unmounted = async || self.unmount(&[]).then_some(());
            wait_up_to(Duration::from_secs(20), "the disk is unmounted", unmounted).await;
            session.join().expect("the file system ends with its mount");
        }
        self.switch.power_on();
        self.session = Some(self.begin().expect("it was mounted before"));
    }

    pub(crate) fn hang(&self, what: Hang) {
        self.switch.hang(what);
    }

    /// To be dropped before whoever uses the disk: nobody could end them while it hangs.
    pub(crate) fn let_go_at_last(&self) -> LetGo {
        LetGo(Arc::clone(&self.switch))
    }

    /// Syncs that hang.
    pub(crate) fn hanging_syncs(&self) -> usize {
        self.switch.parked()
    }

    pub(crate) fn sync_all(&self) {
        self.switch.lock().tree.sync_all();
    }

    /// Writes the files of one folder, as they are, to a folder of another file system.
    pub(crate) fn save(&self, folder: &str, to: &Path) {
        let state = self.switch.lock();
        let ino = state.tree.look_up(tree::ROOT, folder.as_ref()).expect("it is there");
        for (name, ino) in &state.tree.folder(ino).expect("a folder").live {
            if let Ok(Kind::File(content)) = state.tree.node(*ino).map(|node| &node.kind) {
                std::fs::write(to.join(name), content.read(0, content.len())).expect("our own folder");
            }
        }
    }

    fn unmount(&self, options: &[&str]) -> bool {
        let mut command = match is_root() {
            true => Command::new("umount"),
            false => Command::new("fusermount3"),
        };
        if !is_root() {
            command.arg("-u");
        }
        command.args(options).arg(self.path()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What waits for a disk that hangs could not end.
        self.switch.lose_power(Unsynced::Dropped, 0);
        // A program that is about to end may have files open there.
        self.unmount(if is_root() { &["--lazy"] } else { &["-z"] });
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[allow(clippy::disallowed_methods, reason = "a file's time is the wall clock's")]
fn now() -> SystemTime {
    SystemTime::now()
}
