//! Pages that are slow, gone, many, forged or malicious: they harm nobody but themselves, and learn nothing.

mod canary;
mod clock;
mod crowd;
mod deaf;
mod endless;
mod enumeration;
mod floods;
mod forged;
mod half_open;
mod memory;
mod origin;
