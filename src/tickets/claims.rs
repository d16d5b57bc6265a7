//! The claims as they come, and the strict reading of them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::refusal::Refusal;
use crate::payment::{MerchantId, OrderId};

/// How many orders one ticket may be for.
pub(super) const ORDERS_MAX: usize = 20;
const SUB_BYTES_MAX: usize = 256;

/// As a token has them: nothing is believed yet.
#[derive(Debug, Deserialize)]
pub(super) struct Unchecked {
    merchant_id: Option<Value>,
    order_id: Option<Value>,
    sub: Option<Value>,
    exp: Option<Value>,
}

/// As this service mints them.
#[derive(Debug, Serialize)]
pub(super) struct Minting<'a> {
    pub(super) aud: &'a str,
    pub(super) merchant_id: &'a str,
    pub(super) order_id: &'a [OrderId],
    pub(super) sub: &'a str,
    pub(super) iat: i64,
    pub(super) exp: i64,
}

/// What is left of the claims after checking. The subject is not kept: nothing here needs it.
pub(super) struct Checked {
    pub(super) merchant_id: MerchantId,
    pub(super) order_ids: Vec<OrderId>,
    pub(super) exp_s: i64,
}

impl Unchecked {
    pub(super) fn check(&self) -> Result<Checked, Refusal> {
        let sub = self.sub.as_ref().and_then(Value::as_str).unwrap_or_default();
        if sub.is_empty() || sub.len() > SUB_BYTES_MAX {
            return Err(Refusal::Claims);
        }
        let merchant_id = self.merchant_id.as_ref().and_then(Value::as_str).ok_or(Refusal::Claims)?;
        Ok(Checked {
            merchant_id: MerchantId::new(merchant_id).or(Err(Refusal::Claims))?,
            order_ids: order_ids(self.order_id.as_ref().ok_or(Refusal::Claims)?)?,
            exp_s: self.exp.as_ref().and_then(seconds).ok_or(Refusal::Claims)?,
        })
    }
}

/// A NumericDate (RFC 7519, section 2) may have a fraction.
fn seconds(value: &Value) -> Option<i64> {
    #[allow(clippy::cast_possible_truncation, reason = "a float out of range saturates, and is then too far ahead")]
    value.as_i64().or_else(|| value.as_f64().map(|s| s.floor() as i64))
}

fn order_ids(claim: &Value) -> Result<Vec<OrderId>, Refusal> {
    let texts = match claim {
        Value::String(one) => vec![one.as_str()],
        Value::Array(many) => many.iter().map(|v| v.as_str().ok_or(Refusal::Claims)).collect::<Result<_, _>>()?,
        _ => return Err(Refusal::Claims),
    };
    if texts.is_empty() || texts.len() > ORDERS_MAX {
        return Err(Refusal::Claims);
    }
    let mut order_ids = Vec::with_capacity(texts.len());
    for text in texts {
        let order_id = OrderId::new(text).or(Err(Refusal::Claims))?;
        if !order_ids.contains(&order_id) {
            order_ids.push(order_id);
        }
    }
    Ok(order_ids)
}
