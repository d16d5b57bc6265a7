//! `config check|show|env`

use super::failure::Failure;
use crate::config::{Settings, env_variables};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::Subcommand)]
enum What {
    /// Read the whole configuration, key files too, and say whether it is valid
    Check,
    /// Print the effective settings as TOML, without secrets
    Show,
    /// Print every environment variable with its default
    Env,
}

impl Args {
    pub(super) fn needs_no_settings(&self) -> bool {
        self.what == What::Env
    }
}

pub(super) fn print_env() {
    println!("# NAME_FILE=PATH instead of NAME=VALUE reads the value from that file: the better way for secrets.");
    for (name, default) in env_variables() {
        println!("{name}={default}");
    }
}

pub(super) fn run(settings: &Settings, args: &Args) -> Result<(), Failure> {
    match args.what {
        What::Check => {
            crate::app::check(settings)?;
            println!("ok");
        }
        What::Show => print!("{}", toml::to_string(settings)?),
        What::Env => print_env(),
    }
    Ok(())
}
