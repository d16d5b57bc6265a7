//! Who looks at which page, and in which language.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::Uri;
use axum::http::request::Parts;

use super::language::Language;
use crate::operators::context::OperatorContext;
use crate::operators::words::Words;

/// What each page is made with.
#[derive(Clone)]
pub(super) struct View {
    pub(super) context: OperatorContext,
    pub(super) language: Language,
    pub(super) words: &'static Words,
    /// The address that was asked for.
    pub(super) here: Uri,
}

impl FromRequestParts<OperatorContext> for View {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, context: &OperatorContext) -> Result<Self, Infallible> {
        let language = Language::of(&parts.headers);
        Ok(Self { context: context.clone(), language, words: language.words(), here: parts.uri.clone() })
    }
}
