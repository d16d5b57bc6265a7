//! Client frames: `src/frames.rs`.
#![no_main]
payment_notifier_fuzz::target!(payment_notifier_fuzz::frames::check);
