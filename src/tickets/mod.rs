//! Tickets: which orders of which merchant a page may watch, and for how long.
//!
//! A ticket is a JWT. The key decides the algorithm, never the token (RFC 8725, 3.1), and nothing in a token's header
//! can name where a key is. Neither a ticket nor its subject is ever logged. Knows nothing of HTTP.

mod claims;
mod jwks;
mod key_file;
mod keys;
mod mint;
mod public_key;
mod refusal;
mod revocations;
mod ticket;
mod verify;

pub use keys::LoadError;
pub use mint::{MintError, Minted, Minter};
pub use refusal::Refusal;
pub use revocations::{Full, Revocations};
pub use ticket::{Fingerprint, Peeked, Ticket, peek};
pub use verify::Verifier;
