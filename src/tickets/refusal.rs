//! Why a ticket is refused: one code for the page, one reason for the operator.

/// A refused ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// None was sent.
    #[error("a ticket is required: Authorization: Bearer, or ?ticket=")]
    Absent,
    /// Longer than any ticket.
    #[error("the ticket is too long")]
    TooLarge,
    /// Not a signed JWT.
    #[error("the ticket is not a signed JWT")]
    Malformed,
    /// `crit` names something, or the payload is compressed or encrypted.
    #[error("the ticket's header requires an extension that is not supported")]
    Extension,
    /// The key is for another algorithm.
    #[error("the ticket's algorithm does not match its key")]
    Algorithm,
    /// No key of that name.
    #[error("the ticket's key is unknown")]
    UnknownKey,
    /// The signature does not match.
    #[error("the ticket's signature does not match")]
    Signature,
    /// `aud` is missing or another.
    #[error("the ticket is for another audience")]
    Audience,
    /// `nbf` is ahead.
    #[error("the ticket is not valid yet")]
    NotYetValid,
    /// `exp` has passed.
    #[error("the ticket has expired")]
    Expired,
    /// An operator has revoked it.
    #[error("the ticket is revoked")]
    Revoked,
    /// `exp` is too far ahead.
    #[error("the ticket's lifetime is longer than allowed")]
    TooLongLived,
    /// A claim is missing or has another form than the contract says.
    #[error("a claim of the ticket is missing or malformed: merchant_id, order_id (1 to 20), sub, exp, aud")]
    Claims,
    /// The key is bound to another merchant.
    #[error("the ticket's key may not sign for that merchant")]
    Merchant,
    /// The ticket is good, and not for this order.
    #[error("the ticket is not for this order")]
    Forbidden,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Absent,
        Self::TooLarge,
        Self::Malformed,
        Self::Extension,
        Self::Algorithm,
        Self::UnknownKey,
        Self::Signature,
        Self::Audience,
        Self::NotYetValid,
        Self::Expired,
        Self::Revoked,
        Self::TooLongLived,
        Self::Claims,
        Self::Merchant,
        Self::Forbidden,
    ];

    /// The code that the page gets.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Expired => "ticket_expired",
            Self::Forbidden => "forbidden",
            _ => "invalid_ticket",
        }
    }

    /// The value of the label `reason` for the operator.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::Extension => "extension",
            Self::Algorithm => "algorithm",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Audience => "audience",
            Self::NotYetValid => "not_yet_valid",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::TooLongLived => "too_long_lived",
            Self::Claims => "claims",
            Self::Merchant => "merchant",
            Self::Forbidden => "forbidden",
        }
    }
}
