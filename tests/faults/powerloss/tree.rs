//! Files and folders: as their users see them, and as much of them as a loss of power leaves.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::SystemTime;

use fuser::Errno;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::content::Content;
use super::{Entries, Unsynced};

pub(super) type Ino = u64;

pub(super) const ROOT: Ino = 1;

pub(super) enum Kind {
    File(Content),
    Folder(Folder),
    Link(PathBuf),
}

#[derive(Default)]
pub(super) struct Folder {
    pub(super) live: BTreeMap<OsString, Ino>,
    synced: BTreeMap<OsString, Ino>,
}

pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) changed: SystemTime,
    /// Names that lead here.
    pub(super) links: u32,
}

/// What became of entries and is not on the disk yet. A rename is one move, so that it is done or not done.
struct Move {
    ino: Ino,
    steps: Vec<(Ino, OsString, Option<Ino>)>,
}

/// All of one disk. Owner, mode and times are kept at once: no store asks for them after a loss of power.
pub(super) struct Tree {
    pub(super) nodes: HashMap<Ino, Node>,
    next: Ino,
    entries: Entries,
    /// In the order in which they were made.
    moves: Vec<Move>,
}

impl Tree {
    pub(super) fn new(entries: Entries) -> Self {
        let root = Node { mode: 0o755, ..Node::new(Kind::Folder(Folder::default()), 0, (0, 0)) };
        Self { nodes: HashMap::from([(ROOT, root)]), next: ROOT + 1, entries, moves: Vec::new() }
    }

    pub(super) fn node(&self, ino: Ino) -> Result<&Node, Errno> {
        self.nodes.get(&ino).ok_or(Errno::ENOENT)
    }

    pub(super) fn node_mut(&mut self, ino: Ino) -> Result<&mut Node, Errno> {
        self.nodes.get_mut(&ino).ok_or(Errno::ENOENT)
    }

    pub(super) fn file(&mut self, ino: Ino) -> Result<&mut Content, Errno> {
        match &mut self.node_mut(ino)?.kind {
            Kind::File(content) => Ok(content),
            Kind::Folder(_) => Err(Errno::EISDIR),
            Kind::Link(_) => Err(Errno::EINVAL),
        }
    }

    pub(super) fn folder(&self, ino: Ino) -> Result<&Folder, Errno> {
        match &self.node(ino)?.kind {
            Kind::Folder(folder) => Ok(folder),
            _ => Err(Errno::ENOTDIR),
        }
    }

    pub(super) fn look_up(&self, folder: Ino, name: &OsStr) -> Result<Ino, Errno> {
        self.folder(folder)?.live.get(name).copied().ok_or(Errno::ENOENT)
    }

    pub(super) fn make(&mut self, folder: Ino, name: &OsStr, node: Node) -> Result<Ino, Errno> {
        if self.look_up(folder, name).is_ok() {
            return Err(Errno::EEXIST);
        }
        let ino = self.next;
        self.next += 1;
        self.nodes.insert(ino, node);
        self.apply(Move { ino, steps: vec![(folder, name.to_owned(), Some(ino))] })?;
        Ok(ino)
    }

    pub(super) fn link(&mut self, ino: Ino, folder: Ino, name: &OsStr) -> Result<(), Errno> {
        if self.look_up(folder, name).is_ok() {
            return Err(Errno::EEXIST);
        }
        self.apply(Move { ino, steps: vec![(folder, name.to_owned(), Some(ino))] })
    }

    /// What had the name stays, for those who have it open, until the power is cut.
    pub(super) fn remove(&mut self, folder: Ino, name: &OsStr) -> Result<(), Errno> {
        let ino = self.look_up(folder, name)?;
        if self.folder(ino).is_ok_and(|folder| !folder.live.is_empty()) {
            return Err(Errno::ENOTEMPTY);
        }
        self.apply(Move { ino, steps: vec![(folder, name.to_owned(), None)] })
    }

    pub(super) fn rename(&mut self, from: (Ino, &OsStr), to: (Ino, &OsStr)) -> Result<(), Errno> {
        let ino = self.look_up(from.0, from.1)?;
        if let Ok(replaced) = self.look_up(to.0, to.1)
            && self.folder(replaced).is_ok_and(|folder| !folder.live.is_empty())
        {
            return Err(Errno::ENOTEMPTY);
        }
        let steps = vec![(from.0, from.1.to_owned(), None), (to.0, to.1.to_owned(), Some(ino))];
        self.apply(Move { ino, steps })
    }

    fn apply(&mut self, made: Move) -> Result<(), Errno> {
        for (folder, name, ino) in &made.steps {
            let replaced = match &mut self.node_mut(*folder)?.kind {
                Kind::Folder(folder) => set(&mut folder.live, name, *ino),
                _ => return Err(Errno::ENOTDIR),
            };
            if let Some(replaced) = replaced.and_then(|replaced| self.nodes.get_mut(&replaced)) {
                replaced.links -= 1;
            }
            if let Some(named) = ino.and_then(|ino| self.nodes.get_mut(&ino)) {
                named.links += 1;
            }
        }
        self.moves.push(made);
        Ok(())
    }

    /// fsync of a file or a folder.
    pub(super) fn sync(&mut self, ino: Ino) -> Result<(), Errno> {
        if let Kind::File(content) = &mut self.node_mut(ino)?.kind {
            content.sync();
        }
        let in_folder = |made: &Move| made.steps.iter().any(|(folder, ..)| *folder == ino);
        let moves: Vec<Move> = match self.entries {
            Entries::Posix => self.moves.extract_if(.., |made| in_folder(made)).collect(),
            Entries::Journal => match self.moves.iter().rposition(|made| made.ino == ino || in_folder(made)) {
                Some(last) => self.moves.drain(..=last).collect(),
                None => Vec::new(),
            },
        };
        self.keep(moves);
        Ok(())
    }

    /// Syncs everything, as an orderly unmount would.
    pub(super) fn sync_all(&mut self) {
        let moves = std::mem::take(&mut self.moves);
        self.keep(moves);
        for node in self.nodes.values_mut() {
            if let Kind::File(content) = &mut node.kind {
                content.sync();
            }
        }
    }

    /// Leaves what the disk has.
    pub(super) fn lose_power(&mut self, unsynced: Unsynced, seed: u64) {
        let mut random = StdRng::seed_from_u64(seed);
        let mut moves = std::mem::take(&mut self.moves);
        match (unsynced, self.entries) {
            (Unsynced::Dropped, _) => moves.clear(),
            (Unsynced::Scattered, Entries::Posix) => moves.retain(|_| random.random_bool(0.5)),
            (Unsynced::Scattered, Entries::Journal) => moves.truncate(random.random_range(0..=moves.len())),
        }
        self.keep(moves);
        // In order, so that one seed has one outcome.
        let mut inos: Vec<Ino> = self.nodes.keys().copied().collect();
        inos.sort_unstable();
        for ino in inos {
            match self.nodes.get_mut(&ino).map(|node| &mut node.kind) {
                Some(Kind::File(content)) => content.lose_power(unsynced, &mut random),
                Some(Kind::Folder(folder)) => folder.live.clone_from(&folder.synced),
                _ => {}
            }
        }
        self.forget_unreachable();
    }

    fn keep(&mut self, moves: Vec<Move>) {
        for (folder, name, ino) in moves.into_iter().flat_map(|made| made.steps) {
            if let Some(Node { kind: Kind::Folder(folder), .. }) = self.nodes.get_mut(&folder) {
                set(&mut folder.synced, &name, ino);
            }
        }
    }

    fn forget_unreachable(&mut self) {
        let mut links = HashMap::from([(ROOT, 1)]);
        let mut look_into = vec![ROOT];
        while let Some(ino) = look_into.pop() {
            for ino in self.folder(ino).into_iter().flat_map(|folder| folder.live.values()) {
                let links = links.entry(*ino).or_insert(0);
                *links += 1;
                if *links == 1 {
                    look_into.push(*ino);
                }
            }
        }
        self.nodes.retain(|ino, node| {
            node.links = links.get(ino).copied().unwrap_or(0);
            node.links > 0
        });
    }
}

impl Node {
    pub(super) fn new(kind: Kind, mode: u32, (uid, gid): (u32, u32)) -> Self {
        let mode = u16::try_from(mode & 0o7777).unwrap_or(0);
        Self { kind, mode, uid, gid, changed: super::now(), links: 0 }
    }
}

/// Answers what had the name before.
fn set(entries: &mut BTreeMap<OsString, Ino>, name: &OsStr, ino: Option<Ino>) -> Option<Ino> {
    match ino {
        Some(ino) => entries.insert(name.to_owned(), ino),
        None => entries.remove(name),
    }
}
