//! The pieces of work, each a function of one target that runs once and says what it measured.

pub(crate) mod backlog;
pub(crate) mod flood;
pub(crate) mod idle;
pub(crate) mod nodes;
pub(crate) mod paced;
pub(crate) mod polls;
pub(crate) mod sessions;
mod stored;

use std::collections::BTreeMap;

use super::target::{Kind, Rig};

/// What was measured: name with its unit, and value.
pub(crate) type Figures = BTreeMap<&'static str, f64>;

/// The page of the `k`-th event: every page once in `pages` events, in an order that is not that of the orders.
pub(crate) fn scattered(k: u32, pages: u32) -> u32 {
    const STEP: u64 = 1_000_003;
    u32::try_from(u64::from(k) * STEP % u64::from(pages)).unwrap()
}

#[derive(clap::Subcommand, Clone)]
pub(crate) enum Work {
    /// Connect, subscribe, event published with a confirm, result received, close
    Sessions(sessions::Args),
    /// Waiting pages, one event each, as fast as the broker takes them
    Flood(flood::Args),
    /// Events at a steady rate, spread over waiting pages: time from publish to page
    Paced(paced::Args),
    /// Pages that wait and get nothing: resident memory of a page
    Idle(idle::Args),
    /// Events that wait in the queue at start, until it is empty
    Backlog(backlog::Args),
    /// GET with wrk
    Polls(polls::Args),
    /// One, two and three nodes on one PostgreSQL (this service alone): rate, CPU by node, latency from node to node
    Nodes(nodes::Args),
}

impl Work {
    /// Of the targets that were asked for, those that can do it.
    pub(crate) fn targets(&self, asked: &[Kind]) -> Vec<Kind> {
        match self {
            Self::Nodes(_) => vec![Kind::Ours],
            _ => asked.to_vec(),
        }
    }

    pub(crate) fn run(&self, rig: &Rig, kind: Kind) -> Figures {
        match self {
            Self::Sessions(args) => sessions::run(rig, kind, args),
            Self::Flood(args) => flood::run(rig, kind, args),
            Self::Paced(args) => paced::run(rig, kind, args),
            Self::Idle(args) => idle::run(rig, kind, args),
            Self::Backlog(args) => backlog::run(rig, kind, args),
            Self::Polls(args) => polls::run(rig, kind, args),
            Self::Nodes(args) => nodes::run(rig, kind, args),
        }
    }
}
