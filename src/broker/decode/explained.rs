//! What becomes of a message, with where each field comes from: for people who write mappings and publishers.

use super::decoded::Decoded;
use super::reject::Reject;

/// Fields of an event, by the names of docs/PROTOCOL.md, with the place that each comes from: a JSON pointer into the
/// body, `=text` of a mapping, or a part of the message.
pub(super) type Origins = Vec<(&'static str, String)>;

/// What [`Decoder::explain`](super::Decoder::explain) says.
#[derive(Debug)]
pub struct Explained {
    /// Which of `payments.mappings` reads the message, counted from 1. Not set where none matches.
    pub mapping: Option<usize>,
    /// What is done with it.
    pub decoded: Result<Decoded, Reject>,
    pub(super) origins: Origins,
}

impl Explained {
    /// Where a field comes from. Not set for a field that is absent.
    #[must_use]
    pub fn origin(&self, field: &str) -> Option<&str> {
        self.origins.iter().find(|(name, _)| *name == field).map(|(_, origin)| origin.as_str())
    }
}
