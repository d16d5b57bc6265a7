//! What is published: a payment result of a usual size that carries a number, by which a page's answer is told.

use super::target::MERCHANT;

/// Ends every body: the number in eight digits, then this.
const TAIL: &str = "\"}}";
const MARK: &[u8] = b"\"n\":\"";
const DIGITS: usize = 8;
/// Together the milliseconds of a day, by which a later event is told from an earlier.
pub(crate) const RUNS_MAX: u32 = 86;
pub(crate) const EVENTS_A_RUN_MAX: u32 = 1_000_000;

/// The id of an order by its number.
pub(crate) fn order(order: u32) -> String {
    format!("order-{order:08}")
}

/// Appends the body of event `n`. A later event of an order is a newer version of it.
pub(crate) fn body(n: u32, order: u32, out: &mut Vec<u8>) {
    use std::io::Write;
    let (hour, minute, second, ms) = (n / 3_600_000 % 24, n / 60_000 % 60, n / 1_000 % 60, n % 1_000);
    let transaction = transaction(order);
    write!(
        out,
        "{{\"event_id\":\"evt-{n:08}-{order:08}\",\"merchant_id\":\"{MERCHANT}\",\"order_id\":\"order-{order:08}\",\
         \"status\":\"processing\",\"occurred_at\":\"2026-01-31T{hour:02}:{minute:02}:{second:02}.{ms:03}Z\",\
         \"amount\":{{\"value\":1999,\"currency\":\"CNY\"}},\"provider\":\"wechat_pay\",\"provider_transaction_id\":\"{transaction}\",\
         \"provider_status\":\"USERPAYING\",\"display\":{{\"n\":\"{n:08}{TAIL}"
    )
    .unwrap();
}

/// The provider's number of an order's payment, 28 digits as WeChat Pay's. Those of orders that follow each other are far
/// apart, so that an index of them is written to where it is.
fn transaction(order: u32) -> String {
    format!("420000{:022}", u64::from(order).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// The number in what a page got, wherever the body stands in it.
pub(crate) fn number(payload: &[u8]) -> Option<u32> {
    let at = payload.windows(MARK.len()).rposition(|window| window == MARK)? + MARK.len();
    digits(payload.get(at..at + DIGITS)?)
}

/// The eight digits of a body that is whole, as they are.
pub(crate) fn number_text(body: &[u8]) -> &[u8] {
    let end = body.len() - TAIL.len();
    &body[end - DIGITS..end]
}

pub(crate) const NUMBER_BYTES: usize = DIGITS;

pub(crate) fn digits(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0_u32, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0')))
}
