//! Tickets: `src/ticket.rs`.
#![no_main]
payment_notifier_fuzz::target!(payment_notifier_fuzz::ticket::check);
