//! `dead-letters`: looks at the messages that could not be taken, gives them to the service again, or throws them away.

mod print;

use crate::app;
use crate::broker::dead_letters::{DeadLetter, Filter, Keep, Look, Outcome, Queue, Replay, Want, age_ms};
use crate::broker::{Options, Publisher};
use crate::cli::failure::Failure;
use crate::config::Settings;
use print::Printer;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List dead letters, one per line
    List {
        #[command(flatten)]
        select: Select,
        /// Show at most this many
        #[arg(long, value_name = "MESSAGES", default_value_t = 100)]
        limit: u32,
    },
    /// Show everything about dead letters except their bodies
    Show {
        #[command(flatten)]
        select: Select,
        /// Show at most this many
        #[arg(long, value_name = "MESSAGES", default_value_t = 10)]
        limit: u32,
        /// Print the body too: it may hold the payer's personal data
        #[arg(long)]
        body: bool,
    },
    /// Publish dead letters to the results exchange again, and remove those that are confirmed
    Replay {
        #[command(flatten)]
        select: Select,
        /// Replay at most this many [default: all that are selected]
        #[arg(long, value_name = "MESSAGES")]
        limit: Option<u32>,
        /// Only print what would be done
        #[arg(long)]
        dry_run: bool,
        /// Also replay those that came back for the same reason after their last replay
        #[arg(long)]
        again: bool,
        /// Publish with this routing key [default: the original one of each]
        #[arg(long, value_name = "KEY")]
        routing_key: Option<String>,
    },
    /// Remove dead letters for good
    Discard {
        #[command(flatten)]
        select: Select,
        /// Discard at most this many [default: all that are selected]
        #[arg(long, value_name = "MESSAGES")]
        limit: Option<u32>,
        /// Only print what would be done
        #[arg(long)]
        dry_run: bool,
        /// Discard every dead letter; required if nothing is selected
        #[arg(long)]
        yes: bool,
    },
}

/// Selects dead letters; without any option, all of them.
#[derive(Debug, clap::Args)]
struct Select {
    /// Select by reason, e.g. `unknown_status` or `delivery_limit`; may be repeated
    #[arg(long, value_name = "REASON")]
    reason: Vec<String>,
    /// Select by order number; may be repeated
    #[arg(long, value_name = "ORDER")]
    order: Vec<String>,
    /// Select by the beginning of the id; may be repeated
    #[arg(long, value_name = "ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    id: Vec<String>,
    /// Select those dead-lettered at least this long ago: 90s, 30m, 2h, 7d
    #[arg(long, value_name = "AGE", value_parser = age_ms)]
    older_than: Option<i64>,
    /// Select those dead-lettered at most this long ago
    #[arg(long, value_name = "AGE", value_parser = age_ms)]
    newer_than: Option<i64>,
    /// Print one JSON object per line, for programs
    #[arg(long)]
    json: bool,
}

impl Select {
    fn filter(self) -> Filter {
        let Self { reason, order, id, older_than, newer_than, json: _ } = self;
        Filter { reasons: reason, orders: order, ids: id, older_than_ms: older_than, newer_than_ms: newer_than }
    }
}

pub(super) async fn run(settings: &Settings, args: Args) -> Result<(), Failure> {
    let options = Options::new(settings, &app::instance(settings));
    match args.command {
        Command::List { select, limit } => {
            let (printer, filter) = (Printer::new(select.json), select.filter());
            let want = Want { filter: &filter, limit: Some(limit), keep: Keep::Summary };
            let look = peek(options, &printer, &want).await?;
            printer.list(&look)?;
            printer.summary(&format!("{}, {}", dead_letters(look.found.len()), in_queue(&look)), &look.seen)
        }
        Command::Show { select, limit, body } => {
            let (printer, filter) = (Printer::new(select.json), select.filter());
            let keep = if body { Keep::Body } else { Keep::Headers };
            let look = peek(options, &printer, &Want { filter: &filter, limit: Some(limit), keep }).await?;
            printer.show(&look, body)?;
            printer.summary(&format!("{}, {}", dead_letters(look.found.len()), in_queue(&look)), &look.seen)
        }
        Command::Replay { select, limit, dry_run: true, again, routing_key: _ } => {
            let (printer, filter) = (Printer::new(select.json), select.filter());
            let want = Want { filter: &filter, limit, keep: Keep::Judged { again } };
            let look = peek(options, &printer, &want).await?;
            let (replayed, skipped): (Vec<_>, Vec<_>) =
                look.found.iter().partition(|found| found.dead_letter.is_replayable(again));
            for found in &look.found {
                let is_replayable = found.dead_letter.is_replayable(again);
                let why = if is_replayable { None } else { found.dead_letter.why_skipped() };
                let word = if is_replayable { "would replay" } else { "would skip" };
                printer.step(word, &found.dead_letter, why.as_deref())?;
            }
            printer.summary(&format!("{} would be replayed{}", replayed.len(), skips(skipped.len())), &look.seen)
        }
        Command::Replay { select, limit, dry_run: false, again, routing_key } => {
            let (printer, filter) = (Printer::new(select.json), select.filter());
            let want = Want { filter: &filter, limit, keep: Keep::Replayable { again } };
            replay(options, &printer, Replay::new(want, routing_key)).await
        }
        Command::Discard { select, limit, dry_run, yes } => {
            let (printer, filter) = (Printer::new(select.json), select.filter());
            if filter.is_everything() && !yes && !dry_run {
                return Err("say which to discard: --reason, --order, --id, --older-than or --newer-than, \
                            or --yes for every dead letter"
                    .into());
            }
            let want = Want { filter: &filter, limit, keep: Keep::Summary };
            if dry_run {
                let look = peek(options, &printer, &want).await?;
                look.found.iter().try_for_each(|found| printer.step("would discard", &found.dead_letter, None))?;
                return printer.summary(&format!("{} would be discarded", look.found.len()), &look.seen);
            }
            discard(options, &printer, &want).await
        }
    }
}

/// Looks, and puts everything back before a word is printed: a pager at the other end must not hold messages.
async fn peek(options: Options, printer: &Printer, want: &Want<'_>) -> Result<Look, Failure> {
    let queue = open(options, printer).await?;
    let look = queue.look(want, u32::MAX).await?;
    look.hand_back(&queue, 0).await?;
    queue.close().await;
    Ok(look)
}

async fn open(options: Options, printer: &Printer) -> Result<Queue, Failure> {
    let name = options.amqp.dead_letter_queue.clone();
    let queue = Queue::open(options).await?;
    if !queue.is_alone() {
        printer.note(&format!(
            "this user may not declare the queue \"{name}.operator\", which makes commands take turns: \
             another one at the same time would hide messages from this one"
        ));
    }
    Ok(queue)
}

async fn replay(options: Options, printer: &Printer, mut replay: Replay<'_>) -> Result<(), Failure> {
    let publisher = Publisher::for_dead_letters(&options)?;
    let queue = open(options, printer).await?;
    let mut unprinted = None;
    let mut report = |letter: &DeadLetter, outcome: &Outcome| {
        let (word, why) = match outcome {
            Outcome::Replayed => ("replayed", None),
            Outcome::FailedAgain => ("skipped", letter.why_skipped()),
            Outcome::Refused(error) => ("refused", Some(error.to_string())),
        };
        // A closed pipe must not stop the work half way.
        unprinted = printer.step(word, letter, why.as_deref()).err().or(unprinted.take());
    };
    let done = replay.run(&queue, &publisher, &mut report).await;
    queue.close().await;
    publisher.close();
    let Replay { replayed, failed_again, refused, .. } = replay;
    let seen = match done {
        Ok(seen) => seen,
        Err(error) => {
            return Err(format!(
                "{error} ({replayed} replayed before that; nothing is lost, \
                 but the last one may have been published and still be here)"
            )
            .into());
        }
    };
    printer.summary(&format!("{replayed} replayed{}", skips(failed_again as usize)), &seen)?;
    match (refused, unprinted) {
        (0, None) => Ok(()),
        (0, Some(error)) => Err(error),
        (refused, _) => Err(format!("{refused} could not be published, and are kept").into()),
    }
}

async fn discard(options: Options, printer: &Printer, want: &Want<'_>) -> Result<(), Failure> {
    let queue = open(options, printer).await?;
    let look = queue.look(want, u32::MAX).await?;
    let (mut discarded, mut unprinted) = (0, None);
    let mut failed = None;
    for found in &look.found {
        if let Err(error) = look.discard(found).await {
            failed = Some(error);
            break;
        }
        discarded += 1;
        unprinted = printer.step("discarded", &found.dead_letter, None).err().or(unprinted);
    }
    let handed_back = look.hand_back(&queue, discarded).await;
    queue.close().await;
    if let Some(error) = failed.or(handed_back.err()) {
        return Err(format!("{error} (of {} to discard, some may still be here)", look.found.len()).into());
    }
    printer.summary(&format!("{discarded} discarded"), &look.seen)?;
    unprinted.map_or(Ok(()), Err)
}

fn dead_letters(count: usize) -> String {
    if count == 1 { "1 dead letter".to_owned() } else { format!("{count} dead letters") }
}

fn in_queue(look: &Look) -> String {
    format!("{} in the queue", look.seen.in_queue)
}

fn skips(count: usize) -> String {
    match count {
        0 => String::new(),
        count => format!(", {count} skipped (--again replays them all the same)"),
    }
}
