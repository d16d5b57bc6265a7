//! Faults of the broker, and of the way to it.

mod calm;
