//! What comes of one notification, for the bridge and within this room.

use std::borrow::Cow;

use crate::payment::Event;

/// The answer that the provider wants to hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`. Means nothing where `body` is empty.
    pub content_type: &'static str,
    /// The whole body.
    pub body: Cow<'static, str>,
}

/// A notification that is the provider's own and for this merchant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// To be published before `reply` is given. Empty where the notification does not concern the state of a payment.
    pub events: Vec<Event>,
    /// Why `events` is empty, as a stable code: one of [`Received::IGNORED`].
    pub ignored: Option<&'static str>,
    /// Some orders of the notification are in `events`, another one cannot be taken: to be answered instead of `reply`, once
    /// all events are confirmed, so that the provider sends the notification again.
    pub partly_refused: Option<Refusal>,
    /// What to answer once all events are confirmed. Until then it is [`failure_reply`](super::failure_reply).
    pub reply: Reply,
}

impl Received {
    /// Each value of [`Received::ignored`].
    pub const IGNORED: [&str; 4] = ["event_type", "no_order_id", "hold_released", "not_paid"];
}

/// A notification that is not taken. The provider sends it again for a day or more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why, for metrics and alarms.
    pub code: Code,
    /// Where exactly, for the log. Fixed words: nothing of the notification is in it.
    pub detail: &'static str,
    /// What to answer.
    pub reply: Reply,
}

/// Why a notification is refused.
///
/// Anybody can cause the first four. The others only come after the signature was found good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// No such provider, or the merchant has no account there.
    UnknownAccount,
    /// There is no signature, or none that fits these bytes.
    BadSignature,
    /// Signed with a key whose serial is not among the account's.
    UnknownKey,
    /// WeChat Pay tests whether bad signatures are refused. Refusing is right, and no cause for an alarm.
    Probe,
    /// Signed more than 300 s before or after now: a replay, or a clock that is wrong.
    Stale,
    /// Signed well, but not encrypted with this account's key.
    Undecryptable,
    /// Signed well, but a field is missing or outside its rule.
    Malformed,
    /// Signed well, but of another application, seller or merchant.
    Foreign,
}

impl Code {
    /// All eight.
    pub const ALL: [Self; 8] = [
        Self::UnknownAccount,
        Self::BadSignature,
        Self::UnknownKey,
        Self::Probe,
        Self::Stale,
        Self::Undecryptable,
        Self::Malformed,
        Self::Foreign,
    ];

    /// A stable code for metrics, logs and replies.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownAccount => "unknown_account",
            Self::BadSignature => "bad_signature",
            Self::UnknownKey => "unknown_key",
            Self::Probe => "probe",
            Self::Stale => "stale",
            Self::Undecryptable => "undecryptable",
            Self::Malformed => "malformed",
            Self::Foreign => "foreign",
        }
    }

    pub(super) fn status(self) -> u16 {
        match self {
            Self::UnknownAccount => 404,
            Self::BadSignature | Self::UnknownKey | Self::Probe | Self::Stale => 401,
            Self::Undecryptable | Self::Malformed => 400,
            Self::Foreign => 403,
        }
    }
}

/// A [`Refusal`] before it is put into the provider's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: Code,
    pub(super) detail: &'static str,
}

impl Fault {
    pub(super) fn new(code: Code, detail: &'static str) -> Self {
        Self { code, detail }
    }

    pub(super) fn malformed(detail: &'static str) -> Self {
        Self::new(Code::Malformed, detail)
    }
}

/// What a verified notification means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Something about one payment or several: at least one event.
    Payments(Vec<Event>),
    /// The same, and why an order that stands beside them gives none.
    Partly(Vec<Event>, Fault),
    /// Nothing about a payment, and why not.
    Nothing(&'static str),
}

/// How far the time in a signature may be from now, either way. WeChat Pay and Stripe name the same five minutes.
const TOLERANCE_S: u64 = 300;

/// # Errors
/// [`Code::Stale`] where the two are more than 300 s apart.
pub(super) fn check_age(signed_at_unix_s: i64, now_unix_s: i64) -> Result<(), Fault> {
    if signed_at_unix_s.abs_diff(now_unix_s) > TOLERANCE_S {
        return Err(Fault::new(Code::Stale, "signed more than 300 s from now"));
    }
    Ok(())
}
