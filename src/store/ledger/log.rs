//! What one transaction writes beside payments: entries of timelines, and messages for the outbox.

use std::collections::BTreeSet;

use super::entry::TimelineEntry;
use super::message::Message;
use crate::store::Error;

/// About one of so many entries looks how many its order has.
const ENTRIES_BETWEEN_TRIMS_LOG2: u32 = 6;

/// The entries of one transaction, their JSON in one buffer, and its messages.
#[derive(Debug, Default)]
pub(in crate::store) struct TransactionLog {
    text: Vec<u8>,
    entries: Vec<Logged>,
    /// For the outbox, in their order.
    pub(in crate::store) messages: Vec<Message>,
    /// An attempt before may have written some of the entries.
    pub(in crate::store) may_be_written: bool,
}

#[derive(Debug)]
struct Logged {
    row: usize,
    at_ms: i64,
    /// Where its JSON ends. It begins where that of the entry before ends.
    end: usize,
}

impl TransactionLog {
    /// Adds an entry to the timeline of the order at `row` of the ledger.
    pub(super) fn record(&mut self, row: usize, at_ms: i64, entry: &TimelineEntry<'_>) -> Result<(), Error> {
        entry.write(&mut self.text)?;
        self.entries.push(Logged { row, at_ms, end: self.text.len() });
        Ok(())
    }

    /// The number of entries.
    pub(in crate::store) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Each entry: the place of its order in the ledger, when, JSON.
    pub(in crate::store) fn entries(&self) -> impl Iterator<Item = Result<(usize, i64, &str), Error>> {
        let mut begin = 0;
        self.entries.iter().map(move |Logged { row, at_ms, end }| {
            let json = str::from_utf8(&self.text[begin..*end]).map_err(|e| Error::Unavailable(e.to_string()))?;
            begin = *end;
            Ok((*row, *at_ms, json))
        })
    }

    /// Orders of which all but the latest [`crate::store::ENTRIES_MAX`] entries are to be removed, by their places. `written`
    /// entries were written before by this process. Scattered, so that no rhythm of events can miss an order.
    pub(in crate::store) fn trimmed(&self, written: u64) -> BTreeSet<usize> {
        (written..).zip(&self.entries).filter(|(n, _)| trims(*n)).map(|(_, entry)| entry.row).collect()
    }
}

fn trims(n: u64) -> bool {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15).leading_zeros() >= ENTRIES_BETWEEN_TRIMS_LOG2
}
