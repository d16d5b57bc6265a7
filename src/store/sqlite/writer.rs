//! The one thread that writes.
//!
//! Whatever waits when it becomes free is one transaction and one fsync. Nobody is answered before the commit, and
//! everybody is answered after it. A failure is answered to all whom it concerns and never ends the thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::command::{Command, Done, Look, Written, answer};
use super::file::File;
use super::log::Log;
use super::outbox::{self, Leases};
use super::purge::RetentionCursor;
use super::revocations;
use super::rows::{Rows, Telling};
use super::telling::DuePlace;
use crate::runtime::unix_ms;
use crate::store::pieces::Pieces;
use crate::store::progress::Progress;
use crate::store::{Applied, Arrival, Error, Escalated};

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
    due: Progress<DuePlace>,
    walk: RetentionCursor,
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
        let memory =
            Memory { telling, leases: Leases::default(), due: Progress::new(), walk: RetentionCursor::new(), waiting };
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
        while let Some(piece) = pieces.take_next() {
            match self.attempt(&piece) {
                // One row must not hold up the commands of others.
                Err(error) if error.may_be_of_one_row() => match pieces.divide(piece) {
                    Some(Command::Apply { arrivals, answer }) => drop(answer.send(self.apply_apart(arrivals, error))),
                    Some(Command::Escalate { look, answer }) => drop(answer.send(self.escalate_apart(look))),
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
        let mut failed = pieces.take_next().map(|all| (all, error));
        loop {
            if let Some((piece, error)) = failed.take()
                && pieces.divide(piece).is_some()
            {
                applied.push(Err(error));
            }
            let Some(arrivals) = pieces.take_next() else { return Ok(applied) };
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

    /// Escalates what failed together, one by one, and passes over what fails alone.
    fn escalate_apart(&mut self, look: Look) -> Result<Escalated, Error> {
        let mut all = Escalated::default();
        let one = Look { messages_max: 1, ..look };
        for _ in 0..look.messages_max {
            let step = match self.look(one) {
                Err(error) if error.may_be_of_one_row() => {
                    tracing::error!(%error, "a result that no page has acknowledged cannot be escalated");
                    self.look(Look { passes: true, ..one })?
                }
                step => step?,
            };
            all.messages += step.messages;
            all.damaged += step.damaged;
            all.done = step.done;
            if all.done {
                break;
            }
        }
        Ok(all)
    }

    fn look(&mut self, look: Look) -> Result<Escalated, Error> {
        let done = self.attempt(&[Command::Escalate { look, answer: oneshot::channel().0 }])?;
        Ok(done.into_iter().find_map(Done::escalated).unwrap_or_default())
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

/// One transaction, and what it makes of what outlives it: that counts once it is committed.
struct Transaction<'c> {
    rows: Rows<'c>,
    now: Instant,
    leases: Option<Leases>,
    due: Progress<DuePlace>,
    walk: RetentionCursor,
    /// Messages that it takes out of the outbox.
    removed: u64,
}

fn commit(connection: &mut Connection, commands: &[Command], memory: &mut Memory) -> Result<(Vec<Done>, usize), Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut work = Transaction {
        rows: Rows::new(&transaction, &memory.telling, unix_ms()),
        now: Instant::now(),
        leases: None,
        due: memory.due.clone(),
        walk: memory.walk.clone(),
        removed: 0,
    };
    let done = commands.iter().map(|command| work.run(command, &memory.leases)).collect::<Result<Vec<_>, _>>()?;
    let saved = work.rows.save()?;
    let Transaction { leases, due, walk, removed, .. } = work;
    transaction.commit()?;
    (memory.due, memory.walk) = (due, walk);
    if let Some(leases) = leases {
        memory.leases = leases;
    }
    let messages = u64::try_from(saved.messages).unwrap_or(u64::MAX);
    let now_waiting = memory.waiting.load(Ordering::Relaxed).saturating_add(messages).saturating_sub(removed);
    memory.waiting.store(now_waiting, Ordering::Relaxed);
    let rows = saved.payments.saturating_add(saved.messages).saturating_add(saved.entries / ENTRIES_A_PAYMENT);
    Ok((done, rows))
}

impl Transaction<'_> {
    fn run(&mut self, command: &Command, leases: &Leases) -> Result<Done, Error> {
        let rows = &mut self.rows;
        Ok(match command {
            Command::Apply { arrivals, .. } => {
                Done::Applied(arrivals.iter().map(|arrival| rows.apply(arrival)).collect::<Result<_, _>>()?)
            }
            Command::Acknowledge { key, version, by, .. } => Done::Acknowledged(rows.acknowledge(key, *version, *by)?),
            Command::Write { what, .. } => {
                self.write(what, leases)?;
                Done::Written
            }
            Command::Escalate { look, .. } => Done::Escalated(rows.escalate(*look, &mut self.due)?),
            Command::Inquire { inquiries, .. } => {
                let published = inquiries.iter().map(|inquiry| rows.inquire(inquiry)).collect::<Result<Vec<_>, _>>()?;
                Done::Inquired(published.into_iter().filter(|published| *published).count())
            }
            Command::Lease { messages_max, lease_ms, .. } => {
                let leases = self.leases.get_or_insert_with(|| leases.clone());
                Done::Leased(leases.take(rows.connection, *messages_max, self.now, *lease_ms)?)
            }
            Command::Purge { before, rows_max, .. } => {
                // What this transaction has changed is too young to be removed, once it is written.
                rows.save()?;
                Done::Purged(self.walk.step(rows.connection, *before, *rows_max)?)
            }
            #[cfg(test)]
            Command::Act(act) => {
                act(rows.connection);
                Done::Written
            }
        })
    }

    fn write(&mut self, what: &Written, leases: &Leases) -> Result<(), Error> {
        let rows = &mut self.rows;
        match what {
            Written::Notes(notes) => notes.iter().try_for_each(|note| rows.note(note))?,
            Written::Sent(ids) => {
                self.removed += outbox::remove(rows.connection, ids)?;
                self.leases.get_or_insert_with(|| leases.clone()).end(ids);
            }
            Written::Postponed { ids, by_ms } => {
                let leases = self.leases.get_or_insert_with(|| leases.clone());
                leases.postpone(ids, self.now, Duration::from_millis(*by_ms));
            }
            Written::Revocation { revocation, now_s } => revocations::save(rows.connection, revocation, *now_s)?,
            Written::Check => rows.touch()?,
        }
        Ok(())
    }
}

/// A file that cannot be opened is no fault of one row.
fn of_no_row(error: Error) -> Error {
    match error {
        Error::Corrupt(why) => Error::Unavailable(why),
        other => other,
    }
}
