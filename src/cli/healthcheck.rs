//! `healthcheck`: asks a running service whether it can serve pages, for container engines, which know nothing but exit codes.
//!
//! It sends no token and no secret, and uses no proxy.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;

use super::failure::Failure;
use super::operators::local_url;
use super::plain::plain;
use crate::config::Settings;
use crate::runtime::last_cause;

/// An answer is a few hundred bytes. What comes behind this is not read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Parts that may be away, separated by commas; an empty text asks about all of them
    #[arg(long, value_name = "PARTS", default_value = "broker,consumer")]
    exclude: String,
    /// The operators' listener [default: admin.listen]
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    /// Give up after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout_s: u64,
}

pub(super) async fn run(settings: &Settings, args: Args) -> Result<(), Failure> {
    let listener = match args.admin {
        Some(url) => url,
        None if settings.admin.listen.port() == 0 => {
            return Err("admin.listen has port 0, so only the service knows its port: name it by --admin".into());
        }
        None => local_url(settings.admin.listen),
    };
    let exclude = utf8_percent_encode(&args.exclude, NON_ALPHANUMERIC);
    let url = format!("{}/readyz?exclude={exclude}", listener.trim_end_matches('/'));
    let asked = async {
        let client = Client::builder().no_proxy().build()?;
        let response = client.get(url).send().await?;
        let status = response.status();
        reqwest::Result::Ok((status, answer(response).await?))
    };
    let (status, answer) = match tokio::time::timeout(Duration::from_secs(args.timeout_s), asked).await {
        Ok(Ok(answered)) => answered,
        Ok(Err(error)) => {
            return Err(format!("{listener} cannot be reached: {}", last_cause(&error)).into());
        }
        Err(_elapsed) => return Err(format!("{listener} did not answer within {} s", args.timeout_s).into()),
    };
    match (status, answer["ready"].as_bool()) {
        (StatusCode::OK, Some(true)) => {
            println!("ready");
            Ok(())
        }
        (StatusCode::SERVICE_UNAVAILABLE, Some(false)) => Err(format!("not ready: {}", faults(&answer)).into()),
        _ => Err(format!("{listener} answers {status}, not as an operators' listener would").into()),
    }
}

/// The body as JSON, or null.
async fn answer(mut response: Response) -> reqwest::Result<Value> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Ok(Value::Null);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(serde_json::from_slice(&body).unwrap_or_default())
}

/// `store: no answer in 5 s; node: draining`.
fn faults(answer: &Value) -> String {
    let faults = answer["faults"].as_object().into_iter().flatten();
    let faults = faults.map(|(part, why)| format!("{part}: {}", why.as_str().unwrap_or_default()));
    plain(&faults.collect::<Vec<_>>().join("; "))
}
