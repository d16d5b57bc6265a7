//! A request's body, whole and in time: one that trickles would hold its connection for ever.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;

use super::problem::Problem;
use crate::config::Http;

/// Of a body that is too large and thrown away. A close on unread bytes is a reset, which may overtake the answer.
const THROWN_AWAY_BYTES_MAX: usize = 1024 * 1024;

/// What a body may take: `http.body_timeout_s` and `http.body_bytes_max`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    timeout: Duration,
    pub(crate) bytes_max: usize,
}

impl BodyLimits {
    pub(crate) fn new(http: &Http) -> Self {
        Self { timeout: Duration::from_secs(http.body_timeout_s), bytes_max: http.body_bytes_max }
    }
}

/// Reads the body of a request that has one before the request goes on.
pub(crate) async fn whole_body(State(limits): State<BodyLimits>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    let reading = read(body.into_data_stream(), limits.bytes_max);
    let problem = match tokio::time::timeout(limits.timeout, reading).await {
        Ok(Ok(bytes)) => return next.run(Request::from_parts(head, Body::from(bytes))).await,
        Ok(Err(problem)) => problem,
        Err(_elapsed) => {
            Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the request body did not arrive in time")
        }
    };
    let mut response = problem.into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

async fn read(mut body: BodyDataStream, bytes_max: usize) -> Result<Vec<u8>, Problem> {
    let (mut bytes, mut thrown_away) = (Vec::new(), 0_usize);
    while let Some(part) = body.next().await {
        let part = part.map_err(|_broken| Problem::bad_request("the request body is incomplete"))?;
        if thrown_away > 0 || bytes.len() + part.len() > bytes_max {
            bytes = Vec::new();
            thrown_away += part.len();
            if thrown_away > THROWN_AWAY_BYTES_MAX {
                break;
            }
        } else {
            bytes.extend_from_slice(&part);
        }
    }
    if thrown_away > 0 { Err(Problem::too_large()) } else { Ok(bytes) }
}
