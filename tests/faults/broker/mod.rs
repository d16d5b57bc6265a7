//! Faults of the broker, and of the way to it.

mod alarm;
mod away;
mod binding;
mod calm;
mod cluster;
mod consumer_timeout;
mod frames;
mod hole;
mod large;
mod letters;
mod namespace;
mod node;
mod partition;
mod poison;
mod queue;
mod stopped;
mod tls;
mod told;
mod unreadable;
mod unwritten;
