//! The entries of timelines, as the JSON that is kept of each. Every store writes these and no others.

use serde::Serialize;

use crate::payment::{Change, Claim, Conflicts, Event};
use crate::store::{Error, Inquiry, PageRef};

/// One entry. [`crate::store::Timeline`] says what each means.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum TimelineEntry<'a> {
    Arrived {
        event_id: &'a str,
        status: &'static str,
        occurred_at: &'a str,
        redelivered: bool,
        outcome: &'static str,
        version: u64,
    },
    Conflict {
        kinds: Vec<&'static str>,
        event_id: &'a str,
        claims: &'a [Claim],
    },
    Watched {
        transport: &'a str,
        connection: u64,
        pages: u64,
        last_ms: i64,
    },
    Pushed {
        transport: &'static str,
        connection: u64,
        version: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        ms: Option<u64>,
    },
    Acknowledged {
        transport: &'static str,
        connection: u64,
        version: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        ms_since_arrival: Option<i64>,
    },
    Undelivered {
        version: u64,
    },
    Inquired {
        step: u32,
        waited_s: u64,
    },
    DeadLettered {
        event_id: &'a str,
        reason: &'static str,
    },
}

impl<'a> TimelineEntry<'a> {
    /// `event` came, and `version` is what stands after it.
    pub(super) fn arrived(event: &'a Event, redelivered: bool, change: Change, version: u64) -> Self {
        let outcome = match change {
            Change::Applied => "applied",
            Change::Duplicate => "duplicate",
            Change::Stale => "stale",
            Change::IdReused => "id_reused",
        };
        Self::Arrived {
            event_id: event.event_id.as_str(),
            status: event.status.as_str(),
            occurred_at: event.occurred_at.as_str(),
            redelivered,
            outcome,
            version,
        }
    }

    /// `event` brought `conflicts` to light, which `claims` are in.
    pub(super) fn conflict(event: &'a Event, conflicts: Conflicts, claims: &'a [Claim]) -> Self {
        Self::Conflict { kinds: kinds(conflicts), event_id: event.event_id.as_str(), claims }
    }

    /// A page was written `version`.
    pub(super) fn pushed(page: PageRef, version: u64, ms: Option<u64>) -> Self {
        Self::Pushed { transport: page.transport.as_str(), connection: page.connection, version, ms }
    }

    /// A page has shown `version`.
    pub(super) fn acknowledged(page: PageRef, version: u64, ms_since_arrival: Option<i64>) -> Self {
        Self::Acknowledged {
            transport: page.transport.as_str(),
            connection: page.connection,
            version,
            ms_since_arrival,
        }
    }

    /// `inquiry` was published.
    pub(super) fn inquired(inquiry: &Inquiry) -> Self {
        Self::Inquired { step: inquiry.step, waited_s: inquiry.waited_s }
    }

    /// As it is kept.
    ///
    /// # Errors
    /// None that is known: texts and numbers are always JSON.
    pub(super) fn json(&self) -> Result<String, Error> {
        serde_json::to_string(self).map_err(|e| Error::Unavailable(e.to_string()))
    }

    /// [`TimelineEntry::json`], behind what is in `text`.
    ///
    /// # Errors
    /// As for [`TimelineEntry::json`].
    pub(super) fn write(&self, text: &mut Vec<u8>) -> Result<(), Error> {
        serde_json::to_writer(text, self).map_err(|e| Error::Unavailable(e.to_string()))
    }
}

/// The codes of `conflicts`.
pub(super) fn kinds(conflicts: Conflicts) -> Vec<&'static str> {
    conflicts.iter().map(|conflict| conflict.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payment::{Conflict, EventId, Key, MerchantId, OrderId, State, Status, Timestamp};
    use crate::telemetry::Transport;

    const PAGE: PageRef = PageRef { transport: Transport::LongPoll, connection: 7 };

    fn event(id: &str, status: Status, second: u32) -> Event {
        let key = Key::new(MerchantId::new("shop").unwrap(), OrderId::new("a").unwrap());
        let at = Timestamp::parse(&format!("2026-01-31T08:30:{second:02}+08:00")).unwrap();
        Event::new(key, EventId::new(id).unwrap(), status, at)
    }

    #[test]
    fn an_arrival_says_what_the_event_was_and_did() {
        let event = event("e\"1", Status::Succeeded, 7);
        let payment = State::first(event.clone()).payment();
        for (change, outcome) in [
            (Change::Applied, "applied"),
            (Change::Duplicate, "duplicate"),
            (Change::Stale, "stale"),
            (Change::IdReused, "id_reused"),
        ] {
            let json = TimelineEntry::arrived(&event, true, change, payment.version).json().unwrap();
            assert_eq!(
                json,
                format!(
                    r#"{{"type":"arrived","event_id":"e\"1","status":"succeeded","occurred_at":"2026-01-31T08:30:07+08:00","redelivered":true,"outcome":"{outcome}","version":1}}"#
                )
            );
        }
    }

    #[test]
    fn a_conflict_names_its_kinds_and_what_is_in_it() {
        let mut state = State::first(event("e1", Status::Failed, 9));
        let second = event("e2", Status::Canceled, 1);
        let merged = state.merge(second.clone());
        assert_eq!(merged.conflicts.iter().collect::<Vec<_>>(), [Conflict::FailedAndCanceled]);
        let claims = r#"[{"event_id":"e2","status":"canceled","occurred_at":"2026-01-31T08:30:01+08:00"},{"event_id":"e1","status":"failed","occurred_at":"2026-01-31T08:30:09+08:00"}]"#;
        assert_eq!(
            TimelineEntry::conflict(&second, merged.conflicts, &merged.claims).json().unwrap(),
            format!(r#"{{"type":"conflict","kinds":["failed_and_canceled"],"event_id":"e2","claims":{claims}}}"#)
        );
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let inquiry = Inquiry { key: event("e1", Status::Pending, 1).key, step: 2, waited_s: 31 };
        for (entry, json) in [
            (
                TimelineEntry::pushed(PAGE, 3, Some(12)),
                r#"{"type":"pushed","transport":"long_poll","connection":7,"version":3,"ms":12}"#,
            ),
            (
                TimelineEntry::pushed(PAGE, 3, None),
                r#"{"type":"pushed","transport":"long_poll","connection":7,"version":3}"#,
            ),
            (
                TimelineEntry::acknowledged(PAGE, 3, Some(40)),
                r#"{"type":"acknowledged","transport":"long_poll","connection":7,"version":3,"ms_since_arrival":40}"#,
            ),
            (
                TimelineEntry::acknowledged(PAGE, 2, None),
                r#"{"type":"acknowledged","transport":"long_poll","connection":7,"version":2}"#,
            ),
            (
                TimelineEntry::Watched { transport: "sse", connection: 1, pages: 4, last_ms: 9 },
                r#"{"type":"watched","transport":"sse","connection":1,"pages":4,"last_ms":9}"#,
            ),
            (TimelineEntry::Undelivered { version: 3 }, r#"{"type":"undelivered","version":3}"#),
            (TimelineEntry::inquired(&inquiry), r#"{"type":"inquired","step":2,"waited_s":31}"#),
            (
                TimelineEntry::DeadLettered { event_id: "e9", reason: "id_reused" },
                r#"{"type":"dead_lettered","event_id":"e9","reason":"id_reused"}"#,
            ),
        ] {
            assert_eq!(entry.json().unwrap(), json);
        }
    }
}
