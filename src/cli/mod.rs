//! The command line: one file a command, each parses and hands over.
//!
//! What people read goes to standard output, what went wrong is one line on standard error and a non-zero exit.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is where the program speaks to people")]

mod config;
mod dead_letters;
mod decode;
mod failure;
mod healthcheck;
mod operators;
mod order;
mod order_argument;
mod plain;
mod publish;
mod revoke;
mod serve;
mod ticket;
mod version;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::config::load;
use failure::Failure;

/// Delivers payment results from RabbitMQ to the pages waiting for them.
#[derive(Debug, Parser)]
#[command(version, long_version = version::long(), about, propagate_version = true)]
struct Cli {
    /// Settings that override config/default.toml; the environment (PAYMENT_NOTIFIER__SECTION__KEY, or …__KEY_FILE for the
    /// content of a file) overrides both [env: PAYMENT_NOTIFIER_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service
    Serve,
    /// Ask a running service whether it can serve pages; for the health check of a container
    Healthcheck(healthcheck::Args),
    /// Publish one test event and wait for the broker's confirm
    Publish(publish::Args),
    /// Mint a ticket with the first of tickets.hs256_secret
    Ticket(ticket::Args),
    /// Revoke a ticket or an order through the operators' listener of a running service
    Revoke(revoke::Args),
    /// Wait for an order's result as a page would
    Watch(watch::Args),
    /// Show what happened to an order, from a running service
    Order(order::Args),
    /// List, show, replay or discard messages that were dead-lettered
    DeadLetters(dead_letters::Args),
    /// Print what becomes of a message body, field by field, or why it would be dead-lettered
    Decode(decode::Args),
    /// Check or print the configuration
    Config(config::Args),
}

/// What the program can be asked: for manual pages and the completion of shells.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses the arguments and runs the command.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("payment-notifier: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    if let Command::Config(args) = &cli.command
        && args.needs_no_settings()
    {
        config::print_env();
        return Ok(());
    }
    // A variable that is empty is one that is not set.
    let named = || std::env::var_os("PAYMENT_NOTIFIER_CONFIG").filter(|name| !name.is_empty()).map(PathBuf::from);
    let settings = load(cli.config.or_else(named).as_deref())?;
    // Everything that speaks TLS takes the process's provider; a second installation is no fault.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider is already installed");
    }
    match cli.command {
        Command::Serve => runtime(None)?.block_on(serve::run(settings)),
        Command::Healthcheck(args) => runtime(Some(1))?.block_on(healthcheck::run(&settings, args)),
        Command::Publish(args) => runtime(Some(1))?.block_on(publish::run(&settings, args)),
        Command::Ticket(args) => ticket::run(&settings, &args),
        Command::Revoke(args) => runtime(Some(1))?.block_on(revoke::run(&settings, args)),
        Command::Watch(args) => runtime(Some(1))?.block_on(watch::run(&settings, args)),
        Command::Order(args) => runtime(Some(1))?.block_on(order::run(&settings, args)),
        Command::DeadLetters(args) => runtime(Some(1))?.block_on(dead_letters::run(&settings, args)),
        Command::Decode(args) => decode::run(&settings, &args),
        Command::Config(args) => config::run(&settings, &args),
    }
}

fn runtime(threads: Option<usize>) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = threads {
        builder.worker_threads(threads);
    }
    builder.enable_all().build()
}
