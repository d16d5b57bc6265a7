//! What probes ask, without a token: `/livez`, `/healthz`, `/readyz`, as Kubernetes has it for its own API server
//! (<https://kubernetes.io/docs/reference/using-api/health-checks/>).
//!
//! Liveness never looks at what is outside of the process: a restart brings no broker and no database back.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use super::status::Readiness;
use crate::http::Problem;
use crate::runtime::{Component, Health};

/// Of what was asked to be left out and does not exist: so much is repeated.
const UNKNOWN_MAX: usize = 8;
const UNKNOWN_CHARS_MAX: usize = 64;

pub(super) fn router(health: Health) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/healthz", get(livez))
        .route("/readyz", get(readyz))
        .route("/readyz/{part}", get(readyz_of_part))
        .with_state(health)
}

/// That this answers is the proof: it takes the same way through the runtime as everything else. What it cannot prove is that
/// the tasks which are to run for ever still do.
async fn livez(State(health): State<Health>) -> Response {
    match health.ended().first() {
        None => "ok\n".into_response(),
        Some(task) => (StatusCode::SERVICE_UNAVAILABLE, format!("the task {task} has ended\n")).into_response(),
    }
}

/// `{"ready":true,"faults":{}}`, and what of the question was left out or not understood.
#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    readiness: Readiness,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    excluded: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

async fn readyz(State(health): State<Health>, Query(query): Query<Vec<(String, String)>>) -> Response {
    let asked = Asked::of(&query);
    let readiness = Readiness::without(&health, &asked.excluded);
    let status = status(&readiness);
    if query.iter().any(|(name, _)| name == "verbose") {
        let text = verbose(&readiness, &asked);
        return (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response();
    }
    let excluded = asked.excluded.iter().map(|part| part.as_str()).collect();
    (status, Json(Answer { readiness, excluded, warnings: asked.warnings() })).into_response()
}

async fn readyz_of_part(State(health): State<Health>, name: Result<Path<String>, PathRejection>) -> Response {
    let part = name.ok().and_then(|Path(name)| Component::from_name(&name));
    let Some(part) = part else {
        let parts = Component::ALL.map(Component::as_str).join(", ");
        return Problem::new(StatusCode::NOT_FOUND, "unknown_part", format!("the parts are {parts}")).into_response();
    };
    let others: Vec<_> = Component::ALL.into_iter().filter(|other| *other != part).collect();
    let readiness = Readiness::without(&health, &others);
    (status(&readiness), Json(readiness)).into_response()
}

fn status(readiness: &Readiness) -> StatusCode {
    if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// What `exclude` names.
struct Asked {
    excluded: Vec<Component>,
    unknown: Vec<String>,
}

impl Asked {
    fn of(query: &[(String, String)]) -> Self {
        let values = query.iter().filter(|(name, _)| name == "exclude").map(|(_, value)| value);
        let names = values.flat_map(|value| value.split(',')).map(str::trim).filter(|name| !name.is_empty());
        let mut asked = Self { excluded: Vec::new(), unknown: Vec::new() };
        for name in names {
            match Component::from_name(name) {
                Some(part) if !asked.excluded.contains(&part) => asked.excluded.push(part),
                Some(_) => {}
                None if asked.unknown.len() < UNKNOWN_MAX => {
                    asked.unknown.push(name.chars().take(UNKNOWN_CHARS_MAX).collect());
                }
                None => {}
            }
        }
        asked
    }

    /// The status stays as it is, as Kubernetes does it: a probe that names a part which another version has must not take
    /// every node away while they are rolled.
    fn warnings(&self) -> Vec<String> {
        let warning = |name: &String| format!("some health checks cannot be excluded: no matches for {name:?}");
        self.unknown.iter().map(warning).collect()
    }
}

/// One line a part, in the words of Kubernetes but with the reason.
fn verbose(readiness: &Readiness, asked: &Asked) -> String {
    let mut text = String::new();
    for part in Component::ALL {
        let name = part.as_str();
        text.push_str(&match readiness.faults.get(name) {
            _ if asked.excluded.contains(&part) => format!("[+]{name} excluded: ok\n"),
            None => format!("[+]{name} ok\n"),
            Some(why) => format!("[-]{name} failed: {}\n", why.replace(char::is_control, " ")),
        });
    }
    for warning in asked.warnings() {
        text.push_str(&format!("warn: {warning}\n"));
    }
    text.push_str(if readiness.ready { "readyz check passed\n" } else { "readyz check failed\n" });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(values: &[&str]) -> Asked {
        let query: Vec<_> = values.iter().map(|value| ("exclude".to_owned(), (*value).to_owned())).collect();
        Asked::of(&query)
    }

    #[test]
    fn parts_are_left_out_in_either_way_of_writing_and_once_each() {
        for values in [&["broker,consumer"][..], &["broker", "consumer"], &[" broker , consumer,,broker", ""]] {
            let asked = asked(values);
            assert_eq!(asked.excluded, [Component::Broker, Component::Consumer], "{values:?}");
            assert!(asked.unknown.is_empty(), "{values:?}");
        }
    }

    #[test]
    fn what_is_no_part_is_named_and_bounded_and_leaves_nothing_out() {
        let long = "x".repeat(1000);
        let many = vec!["Broker\n[+]"; 100].join(",");
        let asked = asked(&["consumr", &long, &many]);
        assert!(asked.excluded.is_empty());
        assert_eq!(asked.unknown.len(), UNKNOWN_MAX);
        assert_eq!(asked.unknown[1].len(), UNKNOWN_CHARS_MAX);
        let text = verbose(&Readiness::without(&Health::starting(), &[]), &asked);
        assert!(text.contains("no matches for \"consumr\"\n") && !text.contains("\n[+]"), "{text}");
    }

    #[test]
    fn a_part_that_is_left_out_does_not_count() {
        let health = Health::starting();
        [Component::Store, Component::Node].into_iter().for_each(|part| health.ok(part));
        health.fault(Component::Broker, "refused\nby it");
        let asked = asked(&["broker"]);
        let text = verbose(&Readiness::without(&health, &asked.excluded), &asked);
        assert_eq!(
            text,
            "[+]broker excluded: ok\n[-]consumer failed: starting\n[+]store ok\n[+]node ok\nreadyz check failed\n"
        );
        health.ok(Component::Consumer);
        assert!(Readiness::without(&health, &asked.excluded).ready);
        assert!(!Readiness::of(&health).ready);
    }
}
