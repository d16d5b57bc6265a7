//! The bytes of one file: as its readers see them, and as much of them as a loss of power leaves.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt;
use rand::rngs::StdRng;

use super::Unsynced;

/// What the page cache writes in one piece.
const PAGE: usize = 4096;
/// What a disk writes as a whole or not at all.
const SECTOR: usize = 512;

#[derive(Default)]
pub(super) struct Content {
    live: Vec<u8>,
    synced: Vec<u8>,
    /// What leads from `synced` to `live`, in order.
    unsynced: Vec<Change>,
}

enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Resize(usize),
}

impl Content {
    pub(super) fn len(&self) -> usize {
        self.live.len()
    }

    /// At most `bytes` from `at`; fewer at the end.
    pub(super) fn read(&self, at: usize, bytes: usize) -> &[u8] {
        let from = at.min(self.live.len());
        &self.live[from..at.saturating_add(bytes).min(self.live.len()).max(from)]
    }

    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) {
        put(&mut self.live, at, bytes);
        self.unsynced.push(Change::Write { at, bytes: bytes.to_vec() });
    }

    /// Cuts it, or fills it up with zeros.
    pub(super) fn resize(&mut self, len: usize) {
        if len != self.live.len() {
            self.live.resize(len, 0);
            self.unsynced.push(Change::Resize(len));
        }
    }

    /// fsync and fdatasync alike: the size, without which the bytes could not be read back, belongs to both.
    pub(super) fn sync(&mut self) {
        for change in std::mem::take(&mut self.unsynced) {
            match change {
                Change::Write { at, bytes } => put(&mut self.synced, at, &bytes),
                Change::Resize(len) => self.synced.resize(len, 0),
            }
        }
    }

    /// Leaves what the disk has.
    pub(super) fn lose_power(&mut self, unsynced: Unsynced, random: &mut StdRng) {
        let changes = std::mem::take(&mut self.unsynced);
        if unsynced == Unsynced::Scattered && !changes.is_empty() {
            self.scatter(&changes, random);
        }
        self.live.clone_from(&self.synced);
    }

    /// Changes of size are metadata: a file system keeps their order, so that some first of them survive. Bytes that were
    /// written before the last of these, or after it and before the next, do so page by page.
    fn scatter(&mut self, changes: &[Change], random: &mut StdRng) {
        let resizes = changes.iter().filter(|change| matches!(change, Change::Resize(_))).count();
        let mut left = random.random_range(0..=resizes);
        // Now nearly all that was under way is on the disk, now nearly nothing.
        let kept = random.random_range(0.0..1.0);
        for part in changes.split_inclusive(|change| matches!(change, Change::Resize(_))) {
            let writes = part.iter().filter_map(|change| match change {
                Change::Write { at, bytes } => Some((*at, bytes.as_slice())),
                Change::Resize(_) => None,
            });
            scatter_writes(&mut self.synced, &writes.collect::<Vec<_>>(), kept, random);
            let Some(Change::Resize(len)) = part.last() else { return };
            if left == 0 {
                return;
            }
            left -= 1;
            self.synced.resize(*len, 0);
        }
    }
}

/// Each page that was written becomes what it was after some of its writes, whatever became of other pages; or, as if power
/// had failed within it, one such state up to a sector and another from there. The size is that after some of the writes;
/// pages within it that were lost and never there before are zeros.
fn scatter_writes(disk: &mut Vec<u8>, writes: &[(usize, &[u8])], kept: f64, random: &mut StdRng) {
    let sized_by = if random.random_bool(kept) { writes.len() } else { random.random_range(0..=writes.len()) };
    let end = writes[..sized_by].iter().map(|(at, bytes)| at + bytes.len()).max().unwrap_or(0);
    if end > disk.len() {
        disk.resize(end, 0);
    }
    let mut of_pages: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (n, (at, bytes)) in writes.iter().enumerate() {
        let pages: BTreeSet<usize> = (at / PAGE..(at + bytes.len()).div_ceil(PAGE)).collect();
        pages.into_iter().for_each(|page| of_pages.entry(page).or_default().push(n));
    }
    for (page, touched) in of_pages {
        let from = page * PAGE;
        if from >= disk.len() {
            continue;
        }
        let mut states = vec![page_of(disk, from)];
        for n in touched {
            let mut next = states[states.len() - 1];
            overlay(&mut next, from, writes[n].0, writes[n].1);
            states.push(next);
        }
        let mut draw =
            || if random.random_bool(kept) { states.len() - 1 } else { random.random_range(0..states.len()) };
        let (first, second) = (draw(), draw());
        let mut survives = states[second];
        let torn_at = random.random_range(0..=PAGE / SECTOR) * SECTOR;
        survives[..torn_at].copy_from_slice(&states[first][..torn_at]);
        let to = (from + PAGE).min(disk.len());
        disk[from..to].copy_from_slice(&survives[..to - from]);
    }
}

fn put(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[at..end].copy_from_slice(bytes);
}

fn page_of(content: &[u8], from: usize) -> [u8; PAGE] {
    let mut page = [0; PAGE];
    let to = (from + PAGE).min(content.len());
    page[..to - from].copy_from_slice(&content[from..to]);
    page
}

/// Puts that part of a write into the page which lies within it.
fn overlay(page: &mut [u8; PAGE], from: usize, at: usize, bytes: &[u8]) {
    let (first, last) = (at.max(from), (at + bytes.len()).min(from + PAGE));
    page[first - from..last - from].copy_from_slice(&bytes[first - at..last - at]);
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn after_power_loss(unsynced: Unsynced, seed: u64) -> Vec<u8> {
        let mut content = Content::default();
        content.write(0, &[1; 3 * PAGE]);
        content.sync();
        content.write(PAGE, &[2; PAGE]);
        content.write(PAGE, &[3; PAGE]);
        content.write(3 * PAGE, &[4; PAGE]);
        assert_eq!(content.read(PAGE, 1), [3], "who reads sees what was written");
        content.lose_power(unsynced, &mut StdRng::seed_from_u64(seed));
        content.read(0, usize::MAX).to_vec()
    }

    #[test]
    fn what_was_synced_survives_and_what_was_not_does_in_any_state() {
        assert_eq!(after_power_loss(Unsynced::Dropped, 0), vec![1; 3 * PAGE]);
        let all: Vec<Vec<u8>> = (0..500).map(|seed| after_power_loss(Unsynced::Scattered, seed)).collect();
        let page = |content: &[u8], n: usize| content.get(n * PAGE..(n + 1) * PAGE).map(<[u8]>::to_vec);
        for content in &all {
            assert_eq!(content[..PAGE], [1; PAGE], "synced before");
            assert_eq!(content[2 * PAGE..3 * PAGE], [1; PAGE], "synced before");
            assert!(content.len() == 3 * PAGE || content.len() == 4 * PAGE);
            assert!(content[PAGE..2 * PAGE].chunks(SECTOR).all(|sector| sector.iter().all(|byte| *byte == sector[0])));
        }
        let seen = |n, bytes: Vec<u8>| all.iter().any(|content| page(content, n).as_deref() == Some(&bytes));
        for whole in [1, 2, 3] {
            assert!(seen(1, vec![whole; PAGE]), "the page as after write {whole}");
        }
        assert!(seen(1, [vec![3; SECTOR], vec![1; PAGE - SECTOR]].concat()), "torn");
        assert!(seen(3, vec![0; PAGE]), "longer, and its bytes lost");
        assert!(all.iter().any(|content| content[PAGE..2 * PAGE] == [1; PAGE] && content.get(3 * PAGE) == Some(&4)));
        assert_eq!(after_power_loss(Unsynced::Scattered, 7), after_power_loss(Unsynced::Scattered, 7), "by seed");
    }

    #[test]
    fn what_was_cut_off_does_not_come_back_behind_what_survived_the_cut() {
        for seed in 0..200 {
            let mut content = Content::default();
            content.write(0, &[1; 2 * PAGE]);
            content.sync();
            content.resize(0);
            content.write(0, &[2; PAGE]);
            content.lose_power(Unsynced::Scattered, &mut StdRng::seed_from_u64(seed));
            let left = content.read(0, usize::MAX);
            let as_before = left == [1; 2 * PAGE];
            assert!(as_before || left.iter().all(|byte| *byte == 0 || *byte == 2), "seed {seed}");
        }
    }
}
