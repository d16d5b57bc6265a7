//! The pieces of work, each a function of one target that runs once and says what it measured.

pub(crate) mod backlog;
pub(crate) mod flood;
pub(crate) mod idle;
pub(crate) mod losses;
pub(crate) mod nodes;
pub(crate) mod paced;
pub(crate) mod polls;
pub(crate) mod sessions;
mod stored;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;

use super::target::{Kind, Rig, has_postgres};

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
    /// Of that alone what an event costs a node that only hears of it
    Hearing(nodes::HearingArgs),
}

impl Work {
    /// Of the targets that were asked for, those that can do it.
    pub(crate) fn targets(&self, asked: &[Kind]) -> Vec<Kind> {
        match self {
            Self::Nodes(_) | Self::Hearing(_) => vec![Kind::Ours],
            _ => asked.to_vec(),
        }
    }

    /// Why it cannot be run here on this target, if it cannot.
    pub(crate) fn missing(&self, kind: Kind) -> Option<String> {
        match self {
            Self::Nodes(_) | Self::Hearing(_) if !has_postgres() => Some("not run: no PostgreSQL".to_owned()),
            _ => kind.missing(),
        }
    }

    /// Runs it. Where a peer fails, says how; where another target does, the program ends.
    pub(crate) fn try_run(&self, rig: &Rig, kind: Kind) -> Result<Figures, String> {
        if let Some(why) = self.missing(kind) {
            return Err(why);
        }
        if !kind.is_peer() {
            return Ok(self.run(rig, kind));
        }
        std::panic::catch_unwind(AssertUnwindSafe(|| self.run(rig, kind))).map_err(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
            format!("failed: {}", text.lines().next().unwrap_or_default().chars().take(100).collect::<String>())
        })
    }

    fn run(&self, rig: &Rig, kind: Kind) -> Figures {
        match self {
            Self::Sessions(args) => sessions::run(rig, kind, args),
            Self::Flood(args) => flood::run(rig, kind, args),
            Self::Paced(args) => paced::run(rig, kind, args),
            Self::Idle(args) => idle::run(rig, kind, args),
            Self::Backlog(args) => backlog::run(rig, kind, args),
            Self::Polls(args) => polls::run(rig, kind, args),
            Self::Nodes(args) => nodes::run(rig, kind, args),
            Self::Hearing(args) => nodes::run_hearing(rig, kind, args),
        }
    }
}
