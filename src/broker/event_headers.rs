//! The AMQP headers of events for merchants: what is in the body too, where a headers exchange can see it.

use std::borrow::Cow;

use serde::Deserialize;

use crate::runtime::Object;

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    data: Object<Data<'a>>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    merchant_id: Cow<'a, str>,
    #[serde(borrow)]
    order_id: Cow<'a, str>,
}

/// Name and value of each: `type`, and `merchant_id` and `order_id` of the body's `data`. They are read from the body, so that
/// what an earlier version has put into the outbox has them too.
pub(super) fn of<'a>(kind: &'a str, body: &'a str) -> Vec<(&'static str, Cow<'a, str>)> {
    let mut headers = vec![("type", Cow::Borrowed(kind))];
    if let Ok(Object(Body { data: Object(data) })) = serde_json::from_str::<Object<Body<'_>>>(body) {
        headers.extend([("merchant_id", data.merchant_id), ("order_id", data.order_id)]);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_what_the_body_says() {
        let body = r#"{"id":"x","data":{"version":1,"merchant_id":"shop","order_id":"A*\u007c@1"}}"#;
        let headers = of("payment.inquiry", body);
        let expected = [("type", "payment.inquiry"), ("merchant_id", "shop"), ("order_id", "A*|@1")];
        assert_eq!(headers, expected.map(|(name, value)| (name, Cow::Borrowed(value))));
        for other in ["{}", "[]", r#"{"data":{"order_id":"a"}}"#, r#"{"data":["shop","a"]}"#, "no json"] {
            assert_eq!(of("payment.inquiry", other).len(), 1, "{other}");
        }
    }
}
