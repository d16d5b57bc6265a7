//! Bodies of the documented shapes of real systems, by the mappings in `config/mappings` and of the documents.

use super::*;

#[test]
fn hyperswitchs_webhooks_are_read() {
    let decoder = of_file("hyperswitch.toml");
    let body = r#"{"merchant_id":"merchant_1765","event_id":"evt_019ac1","event_type":"payment_succeeded","content":{"type":"payment_details","object":{"payment_id":"pay_m1","merchant_id":"merchant_1765","status":"succeeded","amount":6540,"net_amount":6540,"amount_capturable":0,"amount_received":6540,"connector":"stripe","currency":"USD","customer_id":"cus_1","description":null,"metadata":{"order":"7"},"error_code":null,"error_message":null,"payment_method":"card","connector_transaction_id":"pi_3"}},"timestamp":"2026-11-28T05:30:00.000Z"}"#;
    let paid = event(&decoder, "payment.result.hyperswitch", body);
    assert_eq!(shown(&paid), "shop-1/pay_m1 evt_019ac1 succeeded 2026-11-28T05:30:00.000Z 6540 USD");
    assert_eq!((paid.provider.as_deref(), paid.provider_transaction_id.as_deref()), (Some("stripe"), Some("pi_3")));
    assert_eq!(paid.reason, None);
    for (status, expected) in [
        ("failed", Status::Failed),
        ("cancelled", Status::Canceled),
        ("requires_customer_action", Status::RequiresAction),
        ("requires_capture", Status::Authorized),
        ("expired", Status::Expired),
    ] {
        let body = body.replace("\"status\":\"succeeded\"", &format!("\"status\":\"{status}\""));
        assert_eq!(event(&decoder, "payment.result.hyperswitch", &body).status, expected, "{status}");
    }
    let review = body.replace("\"status\":\"succeeded\"", "\"status\":\"requires_merchant_action\"");
    assert_eq!(decode(&decoder, "payment.result.hyperswitch", &review), Ok(Decoded::Ignored { mapping: 1 }));
    let refund = r#"{"merchant_id":"merchant_1765","event_id":"evt_2","event_type":"refund_succeeded","content":{"type":"refund_details","object":{"refund_id":"ref_1","payment_id":"pay_m1","amount":100,"currency":"USD","status":"succeeded"}},"timestamp":"2026-11-28T05:31:00.000Z"}"#;
    assert_eq!(decode(&decoder, "payment.result.hyperswitch", refund), Ok(Decoded::Ignored { mapping: 2 }));
}

#[test]
fn jeepays_notices_are_read_as_form_and_as_json() {
    let decoder = of_file("jeepay.toml");
    let form = "payOrderId=P1331105&mchNo=M1623984572&appId=60cc09bc&mchOrderNo=o%7C1&ifCode=wxpay&wayCode=WX_LITE&amount=1999&currency=cny&state=2&clientIp=127.0.0.1&subject=%E6%B5%8B%E8%AF%95&body=a%3Db+c&channelOrderNo=4200001&successTime=1764307800000&createdAt=1764307790000&reqTime=1764307801000&sign=4F03";
    let json = r#"{"payOrderId":"P1331105","mchNo":"M1623984572","mchOrderNo":"o|1","ifCode":"wxpay","amount":1999,"currency":"cny","state":2,"channelOrderNo":"4200001","successTime":1764307800000,"reqTime":1764307801000}"#;
    for body in [form, json] {
        let paid = event(&decoder, "payment.result.jeepay", body);
        let id = paid.event_id.as_str();
        assert_eq!(shown(&paid), format!("shop-1/o|1 {id} succeeded 2025-11-28T05:30:00Z 1999 CNY"), "{body}");
        // An order that was closed and is found paid after all is another event of the same number.
        let closed = body.replace("state=2", "state=6").replace("\"state\":2", "\"state\":6");
        assert_ne!(event(&decoder, "payment.result.jeepay", &closed).event_id, paid.event_id, "{body}");
        assert_eq!(paid.provider_transaction_id.as_deref(), Some("4200001"));
    }
    let failed = "payOrderId=P2&mchOrderNo=o2&ifCode=alipay&amount=1&currency=cny&state=3&errCode=ACQ.X&errMsg=%E4%BD%99%E9%A2%9D&reqTime=1764307801000";
    let failed = event(&decoder, "payment.result.jeepay", failed);
    let id = failed.event_id.as_str();
    assert_eq!(shown(&failed), format!("shop-1/o2 {id} failed 2025-11-28T05:30:01Z 1 CNY"));
    assert_eq!(failed.reason.unwrap().message.as_deref(), Some("余额"));
    for (body, code) in [
        ("payOrderId=P1&mchOrderNo=o&state=9&reqTime=1", "unknown_status"),
        ("payOrderId=P1&state=3&reqTime=1764307801000", "missing_field"),
        ("payOrderId=P1&mchOrderNo=a&mchOrderNo=b&state=3&reqTime=1764307801000", "duplicate_field"),
        ("payOrderId=%zz&mchOrderNo=a&state=3", "malformed_field"),
    ] {
        assert_eq!(decode(&decoder, "payment.result.jeepay", body).expect_err(body).code, code, "{body}");
    }
    assert_eq!(decode(&decoder, "payment.result.other", form).unwrap_err().code, "invalid_json");
}

#[test]
fn eshops_events_say_their_status_by_their_routing_key() {
    let decoder = of_file("eshop.toml");
    let body =
        r#"{"OrderId":17,"Id":"6ea1ba3e-40c5-4a9f-b0a7-9d2d3a3c4d0e","CreationDate":"2026-11-28T05:30:00.1234567Z"}"#;
    let paid = event(&decoder, "OrderPaymentSucceededIntegrationEvent", body);
    assert_eq!(shown(&paid), "eshop/17 6ea1ba3e-40c5-4a9f-b0a7-9d2d3a3c4d0e succeeded 2026-11-28T05:30:00.1234567Z ");
    assert_eq!(event(&decoder, "OrderPaymentFailedIntegrationEvent", body).status, Status::Failed);
}

#[test]
fn a_gateways_event_types_and_numbers_are_read_as_the_documents_say() {
    let decoder = decoder(
        r#"
        [[payments.mappings]]
        routing_key = "payment.result.hyperswitch"
        when = { "/event_type" = ["payment_succeeded", "payment_failed"] }
        event_id = "/event_id"
        merchant_id = "=shop-1"
        order_id = "/content/object/payment_id"
        status = "/content/object/status"
        statuses = { succeeded = "succeeded", failed = "failed", requires_customer_action = "requires_action" }
        statuses_ignored = ["requires_merchant_action"]
        occurred_at = "/timestamp"
        amount_value = "/content/object/amount"
        amount_currency = "/content/object/currency"
        provider_transaction_id = "/content/object/connector_transaction_id"
        "#,
    );
    let body = r#"{"event_id":"e-1","event_type":"payment_succeeded","timestamp":1764307800000,"content":{"object":{"payment_id":"a|b*c@d","status":"succeeded","amount":"1999","currency":"cny","connector_transaction_id":"pi_3"}}}"#;
    let key = "payment.result.hyperswitch";
    assert_eq!(shown(&event(&decoder, key, body)), "shop-1/a|b*c@d e-1 succeeded 2025-11-28T05:30:00Z 1999 CNY");
    for (number, at) in
        [("1764307800", "05:30:00Z"), ("\"1764307800123\"", "05:30:00.123Z"), ("1764307800123456", "05:30:00.123456Z")]
    {
        let event = event(&decoder, key, &body.replace("1764307800000", number));
        assert_eq!(event.occurred_at.as_str(), format!("2025-11-28T{at}"), "{number}");
    }
    for amount in ["-1", "19.99", "\"-1\"", "\"19.99\"", "99999999999999999999", "1e3", "true", "{}"] {
        let reject = decode(&decoder, key, &body.replace("\"1999\"", amount)).expect_err(amount);
        assert!(reject.sentence.starts_with("mapping 1: amount.value (at /content/object/amount) must be"), "{reject}");
    }
    let of_status = |status: &str| {
        decode(&decoder, key, &body.replace("\"status\":\"succeeded\"", &format!("\"status\":\"{status}\"")))
    };
    assert_eq!(of_status("requires_merchant_action"), Ok(Decoded::Ignored { mapping: 1 }));
    assert_eq!(of_status("other").unwrap_err().code, "unknown_status");
    let unmatched = decode(&decoder, key, &body.replace("payment_succeeded", "payment_processing")).unwrap_err();
    assert_eq!(unmatched.sentence, "merchant_id is missing");
}
