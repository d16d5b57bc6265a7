//! Calls of a running service's operators' listener.

use std::error::Error;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;

use super::failure::Failure;
use crate::config::{Secret, Settings};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A listener and what it asks of who calls it.
pub(super) struct Operators {
    url: String,
    token: Option<Secret>,
    client: reqwest::Client,
}

impl Operators {
    /// The listener at `url`, else the one of the settings.
    pub(super) fn new(settings: &Settings, url: Option<String>) -> Result<Self, Failure> {
        let url = url.unwrap_or_else(|| format!("http://{}", settings.admin.listen));
        let client = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(ANSWER_TIMEOUT).build()?;
        let token = settings.admin.token.first().cloned();
        Ok(Self { url: url.trim_end_matches('/').to_owned(), token, client })
    }

    /// A call with the first token, if one is set.
    pub(super) fn call(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        }
    }

    /// The answer as JSON, or one line that says why there is none.
    pub(super) async fn answer(&self, request: RequestBuilder) -> Result<Value, Failure> {
        let response = request.send().await.map_err(|error| self.unreached(&error))?;
        let status = response.status();
        let text = response.text().await.map_err(|error| self.unreached(&error))?;
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        if status.is_success() && answer.is_object() {
            return Ok(answer);
        }
        if status == StatusCode::UNAUTHORIZED {
            return Err(format!("{} refuses this admin.token", self.url).into());
        }
        match (answer["code"].as_str(), answer["detail"].as_str()) {
            (Some(code), Some(detail)) => Err(format!("{code}: {detail}").into()),
            _ => Err(format!("{} answers {status}, not as an operators' listener would", self.url).into()),
        }
    }

    /// The last cause is the one that helps: "connection refused".
    fn unreached(&self, error: &reqwest::Error) -> Failure {
        let mut cause: &dyn Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        format!("the operators' listener at {} cannot be reached: {cause}", self.url).into()
    }
}
