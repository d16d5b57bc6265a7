//! Writes the manual pages and the completions of shells into a folder: `cargo run --example manual FOLDER`.
//!
//! It is an example so that what it needs is no part of the program.

use std::io::Error;
use std::path::PathBuf;

use clap_complete::Shell;

/// The shells that Debian's packages bring completions for.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

fn main() -> Result<(), Error> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from).ok_or_else(|| Error::other("usage: manual FOLDER"))?;
    // The version alone: commit and day are those of the program, and this is another.
    let mut command = payment_notifier::cli::command().version(env!("CARGO_PKG_VERSION")).long_version(None::<&str>);
    let [man, completions] = ["man", "completions"].map(|name| folder.join(name));
    std::fs::create_dir_all(&man)?;
    std::fs::create_dir_all(&completions)?;
    // A page for the program and one for each command: payment-notifier-order-show.1.
    clap_mangen::generate_to(command.clone(), man)?;
    for shell in SHELLS {
        clap_complete::generate_to(shell, &mut command, "payment-notifier", &completions)?;
    }
    Ok(())
}
