//! Faults of the disk, and ends of the program between any two of its steps.

mod damage;
mod damaged_row;
mod disk_full;
mod flips;
mod flood;
mod hung;
mod kills;
mod outbox;
mod power;
