//! The HTTP calls of the contract, as a page or a back end makes them.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName};
use serde_json::Value;

use super::{Service, wait_for, within};

/// A whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// `null` where the text is not JSON.
    pub(crate) json: Value,
}

impl Answer {
    /// Sends a request and reads all of its answer.
    pub(crate) async fn of(request: reqwest::RequestBuilder) -> Self {
        within("an HTTP answer", async { Self::read(request.send().await.expect("an answer")).await }).await
    }

    /// Reads the rest of an answer.
    pub(crate) async fn read(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = within("a whole body", response.text()).await.expect("a whole body");
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Self { status, headers, text, json }
    }

    pub(crate) fn header(&self, name: impl TryInto<HeaderName>) -> &str {
        let Ok(name) = name.try_into() else { panic!("not a header name") };
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Checks that this is a problem document with this status and code, and nothing of the inside in it.
    #[track_caller]
    pub(crate) fn assert_problem(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.code()), (status, code), "{}", self.text);
        self.assert_is_problem();
    }

    /// Checks the form of a problem document, whichever it is.
    #[track_caller]
    pub(crate) fn assert_is_problem(&self) {
        let kind = self.header("content-type");
        assert!(kind.starts_with("application/problem+json"), "{} {kind} {}", self.status, self.text);
        for member in ["type", "title", "detail", "code"] {
            assert!(self.json[member].as_str().is_some_and(|text| !text.is_empty()), "{member} of {}", self.text);
        }
        assert_eq!(self.json["status"], self.status, "{}", self.text);
    }

    pub(crate) fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or_default()
    }
}

/// A client that uses no proxy and no connection of another test.
pub(crate) fn client() -> reqwest::Client {
    // The one that is set already is as good.
    drop(rustls::crypto::ring::default_provider().install_default());
    // Less than the service's own time for a header, after which it closes what is idle: else a request may meet the close.
    let idle = Duration::from_secs(5);
    reqwest::Client::builder().no_proxy().pool_idle_timeout(idle).build().expect("a client")
}

/// The calls of section 4, by what they mean.
impl Service {
    /// A request to the pages' listener. `target` starts with `/`.
    pub(crate) fn request(&self, method: Method, target: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("http://{}{target}", self.http))
    }

    /// A request to the operators' listener.
    pub(crate) async fn admin_get(&self, target: &str) -> Answer {
        // A store that hangs must not hang the probe: it has a bound of its own, far below the test's.
        let limit = Duration::from_secs(15);
        Answer::of(self.client.get(format!("http://{}{target}", self.admin)).timeout(limit)).await
    }

    /// `GET target` with a ticket in the header.
    pub(crate) async fn get(&self, target: &str, ticket: &str) -> Answer {
        Answer::of(self.request(Method::GET, target).header(AUTHORIZATION, format!("Bearer {ticket}"))).await
    }

    /// The payment as it stands, with any query: `"?after=1&wait=5"`, or none.
    pub(crate) async fn payment(&self, order_id: &str, ticket: &str, query: &str) -> Answer {
        self.get(&format!("/v1/payments/{order_id}{query}"), ticket).await
    }

    /// Polls until the payment has the status.
    pub(crate) async fn payment_with_status(&self, order_id: &str, ticket: &str, status: &str) -> Value {
        wait_for(&format!("{order_id} is {status}"), async || {
            let answer = self.payment(order_id, ticket, "").await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            (answer.json["status"] == status).then_some(answer.json)
        })
        .await
    }

    /// `POST target` with a JSON body.
    pub(crate) async fn post(&self, target: &str, bearer: &str, body: &Value) -> Answer {
        let request = self.request(Method::POST, target).header(AUTHORIZATION, format!("Bearer {bearer}"));
        Answer::of(request.header(CONTENT_TYPE, "application/json").body(body.to_string())).await
    }

    /// `POST target` to the operators' listener with a JSON body.
    pub(crate) async fn admin_post(&self, target: &str, body: &Value) -> Answer {
        let request = self.client.post(format!("http://{}{target}", self.admin));
        Answer::of(request.header(CONTENT_TYPE, "application/json").body(body.to_string())).await
    }

    /// The value of a metric, all its label sets that contain `labels` added up; 0 if there is none.
    pub(crate) async fn metric(&self, name: &str, labels: &str) -> f64 {
        let request = self.client.get(format!("http://{}/metrics", self.admin)).timeout(Duration::from_secs(15));
        let request = match self.setup.get("ADMIN__TOKEN") {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let text = Answer::of(request).await.text;
        let of_name = text.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (series_name, series_labels) = series.split_once('{').unwrap_or((series, ""));
            (series_name == name && series_labels.contains(labels)).then(|| value.parse::<f64>().ok()).flatten()
        });
        of_name.sum()
    }

    /// Waits until the metric has this value: many are counted only after what a test can see of them.
    pub(crate) async fn metric_is(&self, name: &str, labels: &str, value: f64) {
        let what = format!("{name}{{{labels}}} is {value}");
        wait_for(&what, async || (self.metric(name, labels).await == value).then_some(())).await;
    }
}
