//! `[[payments.mappings]]`: bodies that publishers send in a form of their own, read without a script. Pure.

mod amount;
mod compiled;
mod decimal;
mod event;
mod form;
mod pointers;
mod source;
#[cfg(test)]
mod tests;
mod time_format;
mod times;
mod topic;
mod zones;

use std::borrow::Cow;

use super::decoded::Decoded;
use super::explained::Origins;
use super::fields::Fallback;
use super::invalid::InvalidSettings;
use super::reject::Reject;
use crate::config;
use compiled::Mapping;
use pointers::Values;

/// All mappings, in their order.
#[derive(Debug, Clone, Default)]
pub(super) struct Mappings(Vec<Mapping>);

impl Mappings {
    /// Compiles them.
    ///
    /// # Errors
    /// The first that cannot work.
    pub(super) fn new(written: &[config::Mapping], has_default_merchant: bool) -> Result<Self, InvalidSettings> {
        let count = written.len();
        let mut list: Vec<Mapping> = Vec::with_capacity(count);
        for (index, written) in written.iter().enumerate() {
            let invalid = |fault| InvalidSettings::Mapping { number: index + 1, count, fault };
            let mapping = Mapping::new(written, has_default_merchant).map_err(invalid)?;
            if let Some(earlier) = list.iter().position(|earlier| earlier.covers(&mapping)) {
                let number = earlier + 1;
                let fault =
                    format!("routing_key and when can never match: number {number} takes all that it would take");
                return Err(invalid(fault));
            }
            list.push(mapping);
        }
        Ok(Self(list))
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads a body by the first mapping that matches. Not set where none does.
    pub(super) fn decode(
        &self,
        routing_key: &str,
        body: &str,
        fallback: &Fallback<'_>,
    ) -> Option<Result<Decoded, Reject>> {
        let read = |number, mapping: &Mapping, values: &Values<'_, '_>| {
            event::decode(number, &mapping.fields, values, fallback).map_err(|reject| reject.in_mapping(number))
        };
        self.first(routing_key, body, read).map(|found| found.and_then(|decoded| decoded))
    }

    /// The number of the first mapping that matches, counted from 1, and where it finds what is in a body.
    pub(super) fn origins(&self, routing_key: &str, body: &str) -> Option<(usize, Origins)> {
        let read =
            |number, mapping: &Mapping, values: &Values<'_, '_>| (number, event::origins(&mapping.fields, values));
        self.first(routing_key, body, read).and_then(Result::ok)
    }

    fn first<T>(
        &self,
        routing_key: &str,
        body: &str,
        then: impl FnOnce(usize, &Mapping, &Values<'_, '_>) -> T,
    ) -> Option<Result<T, Reject>> {
        let words = topic::words(routing_key);
        let mut candidates = self.0.iter().enumerate().filter(|(_, mapping)| mapping.topic.takes(&words)).peekable();
        candidates.peek()?;
        let body = match form::is_form(body).then(|| form::to_json(body)) {
            None => Cow::Borrowed(body),
            Some(Ok(json)) => Cow::Owned(json),
            Some(Err(reject)) => return Some(Err(reject)),
        };
        for (index, mapping) in candidates {
            // What is not JSON no mapping reads.
            let values = mapping.pointers.read(&body)?;
            if mapping.meets(&values) {
                return Some(Ok(then(index + 1, mapping, &values)));
            }
        }
        None
    }
}
