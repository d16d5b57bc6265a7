//! A payment as pages see it.

use serde::Serialize;
use serde_json::value::RawValue;

use super::{Money, OrderId, Payment, Reason, Refund};

/// A payment as a page sees it. Absent fields are left out.
#[derive(Serialize)]
struct PaymentView<'a> {
    order_id: &'a OrderId,
    version: u64,
    status: &'static str,
    #[serde(rename = "final")]
    is_final: bool,
    occurred_at: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refund: Option<Refund>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    display: Option<&'a RawValue>,
}

impl Payment {
    /// The JSON object that pages get: a compact text.
    #[must_use]
    pub fn page_json(&self) -> Vec<u8> {
        let view = PaymentView {
            order_id: &self.key.order_id,
            version: self.version,
            status: self.status.as_str(),
            is_final: self.is_final(),
            occurred_at: self.occurred_at.as_str(),
            amount: self.amount,
            provider: self.provider.as_deref(),
            refund: self.refund,
            reason: self.reason.as_ref(),
            display: self.display.as_ref().and_then(|display| serde_json::from_str(display.as_str()).ok()),
        };
        serde_json::to_vec(&view).unwrap_or_default()
    }
}
