//! CloudEvents headers: `src/headers.rs`.
#![no_main]
payment_notifier_fuzz::target!(payment_notifier_fuzz::headers::check);
