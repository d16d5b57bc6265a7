//! The dead letters, as operators reach them: by HTTP and on the page.

pub(super) mod api;
pub(super) mod looks;
mod source;

pub use source::{DeadLetters, DeadLettersError, Listed, Replayed, Selection};
