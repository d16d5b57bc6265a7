//! The one thread that writes.
//!
//! Whatever waits when it becomes free is one transaction and one fsync. Nobody is answered before the commit, and
//! everybody is answered after it. A failure is answered to all whom it concerns and never ends the thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::command::{Command, Done, Published, Written, answer};
use super::file::File;
use super::log::Log;
use super::outbox::{self, Leases};
use super::retire::Walk;
use super::revocations;
use super::rows::{Rows, Telling};
use crate::runtime::unix_ms;
use crate::store::pieces::Pieces;
use crate::store::{Applied, Arrival, Error};

/// Entries that are as much to copy as one payment.
const ENTRIES_A_PAYMENT: usize = 8;

/// The state of the thread.
pub(super) struct Writer {
    file: File,
    /// Not there after a failure that it may not have survived; made anew when it is needed.
    connection: Option<Connection>,
    batch_events_max: usize,
    log: Log,
    memory: Memory,
}

/// What outlives a transaction and no process.
struct Memory {
    telling: Telling,
    leases: Leases,
    walk: Walk,
    /// Messages in the outbox.
    waiting: Arc<AtomicU64>,
}

impl Writer {
    /// `waiting` is kept at the number of messages in the outbox.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the system gives no more threads or the outbox cannot be read.
    pub(super) fn new(
        file: File,
        connection: Connection,
        batch_events_max: usize,
        telling: Telling,
        waiting: Arc<AtomicU64>,
    ) -> Result<Self, Error> {
        waiting.store(outbox::len(&connection)?, Ordering::Relaxed);
        let log = Log::new(file.clone())?;
        let memory = Memory { telling, leases: Leases::default(), walk: Walk::default(), waiting };
        Ok(Self { file, connection: Some(connection), batch_events_max, log, memory })
    }

    /// Serves until every sender is gone and nothing waits.
    pub(super) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut held = None;
        while let Some(first) = held.take().or_else(|| commands.blocking_recv()) {
            let batch = self.fill(first, &mut commands, &mut held);
            self.turn(batch);
        }
        self.log.close(self.connection.as_ref());
    }

    /// Takes what waits, up to the bound. What would go over it is held for the next batch.
    fn fill(&self, first: Command, commands: &mut mpsc::Receiver<Command>, held: &mut Option<Command>) -> Vec<Command> {
        let mut events = first.events();
        let mut batch = vec![first];
        while events < self.batch_events_max
            && let Ok(command) = commands.try_recv()
        {
            events = events.saturating_add(command.events());
            if events > self.batch_events_max {
                *held = Some(command);
                break;
            }
            batch.push(command);
        }
        batch
    }

    fn turn(&mut self, batch: Vec<Command>) {
        let mut pieces = Pieces::of(batch);
        while let Some(piece) = pieces.next() {
            match self.attempt(&piece) {
                // One row must not hold up the commands of others.
                Err(error) if error.may_be_of_one_row() => match pieces.divide(piece) {
                    Some(Command::Apply { arrivals, answer }) => drop(answer.send(self.apply_apart(arrivals, error))),
                    alone => answer(alone.into_iter().collect(), Err(error)),
                },
                result => answer(piece, result),
            }
        }
        if let Some(connection) = &self.connection {
            self.log.copy_if_due(connection);
        }
    }

    /// Applies events that failed together with `error`.
    fn apply_apart(&mut self, arrivals: Vec<Arrival>, error: Error) -> Result<Vec<Applied>, Error> {
        let mut applied = Vec::with_capacity(arrivals.len());
        let mut pieces = Pieces::of(arrivals);
        let mut failed = pieces.next().map(|all| (all, error));
        loop {
            if let Some((piece, error)) = failed.take()
                && pieces.divide(piece).is_some()
            {
                applied.push(Err(error));
            }
            let Some(arrivals) = pieces.next() else { return Ok(applied) };
            // The answer goes to who waits for all of them.
            let command = [Command::Apply { arrivals, answer: oneshot::channel().0 }];
            match (self.attempt(&command), command) {
                (Ok(done), _) => applied.extend(done.into_iter().flat_map(Done::applied)),
                (Err(error), [Command::Apply { arrivals, .. }]) if error.may_be_of_one_row() => {
                    failed = Some((arrivals, error));
                }
                (Err(error), _) => return Err(error),
            }
        }
    }

    /// All of `commands` durably, or none.
    fn attempt(&mut self, commands: &[Command]) -> Result<Vec<Done>, Error> {
        catch_unwind(AssertUnwindSafe(|| self.transact(commands))).unwrap_or_else(|_panic| {
            tracing::error!("store writer panicked; its transaction was rolled back");
            self.connection = None;
            Err(Error::Refused("the store's writer panicked".to_owned()))
        })
    }

    fn transact(&mut self, commands: &[Command]) -> Result<Vec<Done>, Error> {
        if let Some(connection) = &self.connection
            && self.file.has_moved(connection)
        {
            tracing::error!("the store's file was moved or deleted while it was open");
            self.connection = None;
        }
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                let connection = self.file.writer().map_err(of_no_row)?;
                // What became of the transaction before is not known.
                self.memory.waiting.store(outbox::len(&connection)?, Ordering::Relaxed);
                none.insert(connection)
            }
        };
        let result = commit(connection, commands, &mut self.memory);
        match result {
            Ok((done, rows)) => {
                // A check writes no payment, but it writes.
                self.log.wrote(rows.saturating_add(1));
                Ok(done)
            }
            Err(error) => {
                // Where not even the rollback worked, the connection is of no more use.
                if !connection.is_autocommit() {
                    self.connection = None;
                }
                Err(error)
            }
        }
    }
}

fn commit(connection: &mut Connection, commands: &[Command], memory: &mut Memory) -> Result<(Vec<Done>, usize), Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let Memory { telling, leases, walk, waiting } = memory;
    let mut rows = Rows::new(&transaction, telling, unix_ms());
    let mut walked = *walk;
    let mut removed = 0;
    let mut done = Vec::with_capacity(commands.len());
    for command in commands {
        done.push(match command {
            Command::Apply { arrivals, .. } => {
                Done::Applied(arrivals.iter().map(|arrival| rows.apply(arrival)).collect::<Result<_, _>>()?)
            }
            Command::Acknowledge { key, version, by, .. } => Done::Acknowledged(rows.acknowledge(key, *version, *by)?),
            Command::Write { what, .. } => {
                removed += write(&mut rows, what)?;
                Done::Written
            }
            Command::Publish { what: Published::Undelivered { now_ms, messages_max }, .. } => {
                Done::Published(rows.escalate(*now_ms, *messages_max)?)
            }
            Command::Publish { what: Published::Inquiries(inquiries), .. } => {
                let published = inquiries.iter().map(|inquiry| rows.inquire(inquiry)).collect::<Result<Vec<_>, _>>()?;
                Done::Published(published.into_iter().filter(|published| *published).count())
            }
            Command::Lease { messages_max, lease_ms, .. } => {
                Done::Leased(leases.take(&transaction, *messages_max, rows.now_ms, *lease_ms)?)
            }
            Command::Retire { payments_before_ms, entries_before_ms, rows_max, .. } => {
                // What this transaction has changed is too young to be removed, once it is written.
                rows.save()?;
                Done::Retired(walked.step(&transaction, *payments_before_ms, *entries_before_ms, *rows_max)?)
            }
            #[cfg(test)]
            Command::Act(act) => {
                act(&transaction);
                Done::Written
            }
        });
    }
    let saved = rows.save()?;
    transaction.commit()?;
    *walk = walked;
    let messages = u64::try_from(saved.messages).unwrap_or(u64::MAX);
    let now_waiting = waiting.load(Ordering::Relaxed).saturating_add(messages).saturating_sub(removed);
    waiting.store(now_waiting, Ordering::Relaxed);
    let rows = saved.payments.saturating_add(saved.messages).saturating_add(saved.entries / ENTRIES_A_PAYMENT);
    Ok((done, rows))
}

/// A file that cannot be opened is no fault of one row.
fn of_no_row(error: Error) -> Error {
    match error {
        Error::Corrupt(why) => Error::Unavailable(why),
        other => other,
    }
}

/// Answers how many messages of the outbox were removed.
fn write(rows: &mut Rows<'_>, what: &Written) -> Result<u64, Error> {
    match what {
        Written::Notes(notes) => notes.iter().try_for_each(|note| rows.note(note))?,
        Written::Sent(ids) => return outbox::remove(rows.connection, ids),
        Written::Revocation { revocation, now_s } => revocations::save(rows.connection, revocation, *now_s)?,
        Written::Check => rows.touch()?,
    }
    Ok(0)
}
