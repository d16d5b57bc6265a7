//! What a broker sends: `src/amqp.rs`.
#![no_main]
payment_notifier_fuzz::target!(payment_notifier_fuzz::amqp::check);
