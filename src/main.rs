//! The program `payment-notifier`.

use std::process::ExitCode;

use payment_notifier::cli;

fn main() -> ExitCode {
    cli::main()
}
