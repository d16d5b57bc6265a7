//! What the writer can be asked, and how each is answered.

#[cfg(test)]
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::payment::Key;
use crate::store::{
    Acknowledgement, Applied, Arrival, Error, Escalated, Inquiry, Note, Outgoing, PageRef, PurgeBefore, Purged,
    Revocation,
};

/// Where an answer goes.
pub(super) type Answer<T> = oneshot::Sender<Result<T, Error>>;

/// What can be asked of the writer.
pub(super) enum Command {
    Apply {
        arrivals: Vec<Arrival>,
        answer: Answer<Vec<Applied>>,
    },
    Acknowledge {
        key: Key,
        version: u64,
        by: PageRef,
        answer: Answer<Acknowledgement>,
    },
    /// Something of which nothing is to be known but that it is durable.
    Write {
        what: Written,
        answer: Answer<()>,
    },
    /// The look for results that no page has shown.
    Escalate {
        look: Look,
        answer: Answer<Escalated>,
    },
    Inquire {
        inquiries: Vec<Inquiry>,
        answer: Answer<usize>,
    },
    Lease {
        messages_max: usize,
        lease_ms: u64,
        answer: Answer<Vec<Outgoing>>,
    },
    Purge {
        before: PurgeBefore,
        rows_max: usize,
        answer: Answer<Purged>,
    },
    /// Lets a test act on the writer's connection in the midst of a transaction.
    #[cfg(test)]
    Act(Box<dyn Fn(&Connection) + Send>),
}

/// What [`Command::Write`] writes.
pub(super) enum Written {
    Notes(Vec<Note>),
    /// Messages of the outbox, by their ids.
    Sent(Vec<i64>),
    Postponed {
        ids: Vec<i64>,
        by_ms: u64,
    },
    Revocation {
        revocation: Revocation,
        now_s: i64,
    },
    Check,
}

/// How [`Command::Escalate`] looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) now_ms: i64,
    pub(super) messages_max: usize,
    /// What is come upon is passed over: it cannot be written.
    pub(super) passes: bool,
}

/// What a command came to, to be told once it is durable.
pub(super) enum Done {
    Applied(Vec<Applied>),
    Acknowledged(Result<Acknowledgement, Error>),
    Written,
    Escalated(Escalated),
    Inquired(usize),
    Leased(Vec<Outgoing>),
    Purged(Purged),
}

impl Command {
    /// How much of a transaction's bound it takes.
    pub(super) fn events(&self) -> usize {
        match self {
            Self::Apply { arrivals, .. } => arrivals.len(),
            Self::Write { what: Written::Notes(notes), .. } => notes.len(),
            Self::Inquire { inquiries, .. } => inquiries.len(),
            Self::Escalate { look, .. } => look.messages_max,
            Self::Purge { rows_max, .. } => *rows_max,
            _ => 1,
        }
    }
}

impl Done {
    /// What a look for results came to, if there was one.
    pub(super) fn escalated(self) -> Option<Escalated> {
        match self {
            Self::Escalated(escalated) => Some(escalated),
            _ => None,
        }
    }

    /// What became of events, if there were some.
    pub(super) fn applied(self) -> Vec<Applied> {
        match self {
            Self::Applied(applied) => applied,
            _ => Vec::new(),
        }
    }
}

/// Tells each caller. One that has gone away meanwhile is passed over.
pub(super) fn answer(commands: Vec<Command>, result: Result<Vec<Done>, Error>) {
    let each: Vec<Result<Done, Error>> = match result {
        Ok(done) => done.into_iter().map(Ok).collect(),
        Err(error) => commands.iter().map(|_| Err(error.clone())).collect(),
    };
    for (command, result) in commands.into_iter().zip(each) {
        match command {
            Command::Apply { answer, .. } => send(answer, result, |done| match done {
                Done::Applied(outcomes) => Some(outcomes),
                _ => None,
            }),
            Command::Acknowledge { answer, .. } => match result {
                Ok(Done::Acknowledged(known)) => drop(answer.send(known)),
                other => send(answer, other, |_done| None),
            },
            Command::Write { answer, .. } => send(answer, result, |done| matches!(done, Done::Written).then_some(())),
            Command::Escalate { answer, .. } => send(answer, result, |done| match done {
                Done::Escalated(escalated) => Some(escalated),
                _ => None,
            }),
            Command::Inquire { answer, .. } => send(answer, result, |done| match done {
                Done::Inquired(messages) => Some(messages),
                _ => None,
            }),
            Command::Lease { answer, .. } => send(answer, result, |done| match done {
                Done::Leased(messages) => Some(messages),
                _ => None,
            }),
            Command::Purge { answer, .. } => send(answer, result, |done| match done {
                Done::Purged(purged) => Some(purged),
                _ => None,
            }),
            #[cfg(test)]
            Command::Act(_) => {}
        }
    }
}

fn send<T>(answer: Answer<T>, result: Result<Done, Error>, of: impl FnOnce(Done) -> Option<T>) {
    // An answer that is dropped is a failure to who waits for it.
    if let Some(result) = result.map(of).transpose() {
        drop(answer.send(result));
    }
}
