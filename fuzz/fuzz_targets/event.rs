//! Event decoding: `src/event.rs`.
#![no_main]
payment_notifier_fuzz::target!(payment_notifier_fuzz::event::check);
