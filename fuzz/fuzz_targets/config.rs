//! Settings: `src/config.rs`.
#![no_main]
payment_notifier_fuzz::target!(payment_notifier_fuzz::config::check);
