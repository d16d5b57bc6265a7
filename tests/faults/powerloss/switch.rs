//! Power, and whether the disk answers at all.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use fuser::{Errno, ReplyEmpty};

use super::tree::{Ino, Tree};
use super::{Entries, Unsynced};

/// What does not answer until the disk is let go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hang {
    Nothing,
    /// fsync and fdatasync; all else goes on.
    Syncs,
    Everything,
}

/// A sync that has not been answered.
pub(super) struct Parked {
    pub(super) ino: Ino,
    pub(super) reply: ReplyEmpty,
}

pub(super) struct State {
    pub(super) tree: Tree,
    off: bool,
    hang: Hang,
    parked: Vec<Parked>,
    /// After how many more changes and syncs the power fails by itself, and how.
    fails_in: Option<(u64, Unsynced, u64)>,
}

pub(super) struct Switch {
    state: Mutex<State>,
    changed: Condvar,
}

impl Switch {
    pub(super) fn new(entries: Entries) -> Self {
        let tree = Tree::new(entries);
        let state = State { tree, off: false, hang: Hang::Nothing, parked: Vec::new(), fails_in: None };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// What a request finds: nothing but errors where there is no power.
    pub(super) fn enter(&self) -> Result<MutexGuard<'_, State>, Errno> {
        let hangs = |state: &mut State| state.hang == Hang::Everything && !state.off;
        let state = self.changed.wait_while(self.lock(), hangs).unwrap_or_else(PoisonError::into_inner);
        if state.off { Err(Errno::EIO) } else { Ok(state) }
    }

    /// The same for what changes something or syncs, of which some request may be the one at which the power fails.
    pub(super) fn enter_to_change(&self) -> Result<MutexGuard<'_, State>, Errno> {
        let mut state = self.enter()?;
        match &mut state.fails_in {
            Some((0, unsynced, seed)) => {
                let (unsynced, seed) = (*unsynced, *seed);
                state.lose_power(unsynced, seed);
                Err(Errno::EIO)
            }
            Some((left, ..)) => {
                *left -= 1;
                Ok(state)
            }
            None => Ok(state),
        }
    }

    pub(super) fn fail_in(&self, changes: u64, unsynced: Unsynced, seed: u64) {
        self.lock().fails_in = Some((changes, unsynced, seed));
    }

    pub(super) fn lose_power(&self, unsynced: Unsynced, seed: u64) {
        let mut state = self.lock();
        if !state.off {
            state.lose_power(unsynced, seed);
        }
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn is_off(&self) -> bool {
        self.lock().off
    }

    pub(super) fn power_on(&self) {
        self.lock().off = false;
    }

    /// `Nothing` lets go what hangs.
    pub(super) fn hang(&self, what: Hang) {
        let mut state = self.lock();
        state.hang = what;
        if what == Hang::Nothing {
            for parked in std::mem::take(&mut state.parked) {
                state.sync(parked);
            }
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Syncs that are not answered.
    pub(super) fn parked(&self) -> usize {
        self.lock().parked.len()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(super) fn sync(&mut self, parked: Parked) {
        if self.hang == Hang::Syncs {
            self.parked.push(parked);
            return;
        }
        match self.tree.sync(parked.ino) {
            Ok(()) => parked.reply.ok(),
            Err(error) => parked.reply.error(error),
        }
    }

    fn lose_power(&mut self, unsynced: Unsynced, seed: u64) {
        self.off = true;
        self.hang = Hang::Nothing;
        self.fails_in = None;
        self.tree.lose_power(unsynced, seed);
        for parked in std::mem::take(&mut self.parked) {
            parked.reply.error(Errno::EIO);
        }
    }
}
