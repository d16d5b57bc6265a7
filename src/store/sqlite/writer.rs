//! The one thread that writes.
//!
//! Whatever waits when it becomes free is one transaction and one fsync. Nobody is answered before the commit, and
//! everybody is answered after it. A failure is answered to all whom it concerns and never ends the thread.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::file::File;
use super::log::Log;
use super::revocations;
use super::rows::Rows;
use crate::payment::{Event, Key};
use crate::runtime::unix_ms;
use crate::store::{Acknowledgement, Error, Outcome, Revocation};

/// Where an answer goes.
pub(super) type Answer<T> = oneshot::Sender<Result<T, Error>>;

/// What can be asked of the writer.
pub(super) enum Command {
    Apply {
        events: Vec<Event>,
        answer: Answer<Vec<Outcome>>,
    },
    Acknowledge {
        key: Key,
        version: u64,
        answer: Answer<Acknowledgement>,
    },
    Revoke {
        revocation: Revocation,
        now_s: i64,
        answer: Answer<()>,
    },
    Check {
        answer: Answer<()>,
    },
    /// Lets a test act on the writer's connection in the midst of a transaction.
    #[cfg(test)]
    Act(Box<dyn Fn(&Connection) + Send>),
}

impl Command {
    /// How much of a transaction's bound it takes.
    fn events(&self) -> usize {
        match self {
            Self::Apply { events, .. } => events.len(),
            _ => 1,
        }
    }
}

/// What a command came to, to be told once it is durable.
enum Done {
    Applied(Vec<Outcome>),
    Acknowledged(Acknowledgement),
    Revoked,
    Checked,
}

/// The state of the thread.
pub(super) struct Writer {
    file: File,
    /// Not there after a failure that it may not have survived; made anew when it is needed.
    connection: Option<Connection>,
    batch_events_max: usize,
    log: Log,
}

impl Writer {
    /// # Errors
    /// [`Error::Unavailable`] where the system gives no more threads.
    pub(super) fn new(file: File, connection: Connection, batch_events_max: usize) -> Result<Self, Error> {
        let log = Log::new(file.clone())?;
        Ok(Self { file, connection: Some(connection), batch_events_max, log })
    }

    /// Serves until every sender is gone and nothing waits.
    pub(super) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut held = None;
        while let Some(first) = held.take().or_else(|| commands.blocking_recv()) {
            let batch = self.fill(first, &mut commands, &mut held);
            let turn = catch_unwind(AssertUnwindSafe(|| self.turn(batch)));
            if turn.is_err() {
                // The answers were dropped with the batch, so the callers know.
                tracing::error!("store writer panicked; its transaction was rolled back");
                self.connection = None;
            }
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
        match self.transact(&batch) {
            // One payment that cannot be understood must not hold up the commands of others.
            Err(Error::Corrupt(_)) if batch.len() > 1 => {
                for command in batch {
                    let result = self.transact(std::slice::from_ref(&command));
                    answer(vec![command], result);
                }
            }
            result => answer(batch, result),
        }
        if let Some(connection) = &self.connection {
            self.log.copy_if_due(connection);
        }
    }

    /// All of `commands` durably, or none.
    fn transact(&mut self, commands: &[Command]) -> Result<Vec<Done>, Error> {
        if let Some(connection) = &self.connection
            && self.file.has_moved(connection)
        {
            tracing::error!("the store's file was moved or deleted while it was open");
            self.connection = None;
        }
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.file.writer()?),
        };
        let result = commit(connection, commands);
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

fn commit(connection: &mut Connection, commands: &[Command]) -> Result<(Vec<Done>, usize), Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut rows = Rows::new(&transaction);
    let now_ms = unix_ms();
    let mut done = Vec::with_capacity(commands.len());
    for command in commands {
        done.push(match command {
            Command::Apply { events, .. } => {
                Done::Applied(events.iter().map(|event| rows.apply(event)).collect::<Result<_, _>>()?)
            }
            Command::Acknowledge { key, version, .. } => Done::Acknowledged(rows.acknowledge(key, *version)?),
            Command::Revoke { revocation, now_s, .. } => {
                revocations::save(&transaction, revocation, *now_s)?;
                Done::Revoked
            }
            Command::Check { .. } => {
                rows.touch(now_ms)?;
                Done::Checked
            }
            #[cfg(test)]
            Command::Act(act) => {
                act(&transaction);
                Done::Checked
            }
        });
    }
    let saved = rows.save(now_ms)?;
    transaction.commit()?;
    Ok((done, saved))
}

/// Tells each caller. One that has gone away meanwhile is passed over.
fn answer(commands: Vec<Command>, result: Result<Vec<Done>, Error>) {
    let each: Vec<Result<Done, Error>> = match result {
        Ok(done) => done.into_iter().map(Ok).collect(),
        Err(error) => commands.iter().map(|_| Err(error.clone())).collect(),
    };
    for (command, result) in commands.into_iter().zip(each) {
        match (command, result) {
            (Command::Apply { answer, .. }, Ok(Done::Applied(outcomes))) => drop(answer.send(Ok(outcomes))),
            (Command::Apply { answer, .. }, Err(error)) => drop(answer.send(Err(error))),
            (Command::Acknowledge { answer, .. }, Ok(Done::Acknowledged(known))) => drop(answer.send(Ok(known))),
            (Command::Acknowledge { answer, .. }, Err(error)) => drop(answer.send(Err(error))),
            (Command::Revoke { answer, .. }, Ok(Done::Revoked)) => drop(answer.send(Ok(()))),
            (Command::Revoke { answer, .. }, Err(error)) => drop(answer.send(Err(error))),
            (Command::Check { answer }, Ok(Done::Checked)) => drop(answer.send(Ok(()))),
            (Command::Check { answer }, Err(error)) => drop(answer.send(Err(error))),
            // An answer that is dropped is a failure to who waits for it.
            (_, _) => {}
        }
    }
}
