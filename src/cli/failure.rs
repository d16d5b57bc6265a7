//! How a command ends that did not succeed.

/// A failure that ends the program: one line for people.
pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;
