//! The program `payment-notifier`.

use std::process::ExitCode;

use payment_notifier::cli;

/// Less time in each allocation than glibc's, and memory goes back to the system after a peak (docs/adr/0006).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    cli::main()
}
