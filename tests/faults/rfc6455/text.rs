//! Section 8.1: text is UTF-8, also where a character is cut by a fragment.

use serde_json::Value;

use super::wire::{FIN, TEXT, fragments, frame};
use super::{Bystander, Fails, assert_fails, text_of};

/// What is not UTF-8 (RFC 3629), at the end of a message or before more of it.
const NOT_UTF8: [(&str, &[u8]); 15] = [
    ("a lone continuation byte", b"\x80"),
    ("two continuation bytes", b"\xbf\x80"),
    ("a byte that never occurs, FE", b"\xfe"),
    ("a byte that never occurs, FF", b"\xff"),
    ("an overlong slash of 2 bytes", b"\xc0\xaf"),
    ("an overlong NUL of 2 bytes", b"\xc0\x80"),
    ("an overlong slash of 3 bytes", b"\xe0\x80\xaf"),
    ("an overlong slash of 4 bytes", b"\xf0\x80\x80\xaf"),
    ("the surrogate D800", b"\xed\xa0\x80"),
    ("the surrogate DFFF", b"\xed\xbf\xbf"),
    ("a pair of surrogates", b"\xed\xa0\xbd\xed\xb8\x80"),
    ("over U+10FFFF", b"\xf4\x90\x80\x80"),
    ("a start byte before a letter", b"\xc3a"),
    ("two of three bytes before a letter", b"\xe4\xb8a"),
    ("a sequence of 5 bytes", b"\xf8\x88\x80\x80\x80"),
];

/// What is UTF-8 up to the end of the message, and then cut off.
const CUT_OFF: [(&str, &[u8]); 5] = [
    ("one of two bytes", b"\xc3"),
    ("one of three bytes", b"\xe4"),
    ("two of three bytes", b"\xe4\xb8"),
    ("one of four bytes", b"\xf0"),
    ("three of four bytes", b"\xf0\x9f\x98"),
];

#[tokio::test]
async fn text_that_is_not_utf_8_fails_the_connection_wherever_it_is_cut() {
    let bystander = Bystander::start("rfc-not-utf8").await;
    let tail = NOT_UTF8.iter().map(|(name, bytes)| (*name, [b"{\"type\":\"".as_slice(), bytes, b"\"}"].concat()));
    let end = CUT_OFF.iter().map(|(name, bytes)| (*name, [b"{\"type\":\"".as_slice(), bytes].concat()));
    for (name, message) in tail.chain(end) {
        let mut forms = vec![("in one frame".to_owned(), frame(FIN | TEXT, &message))];
        for cut in 9..message.len() {
            forms.push((format!("cut at {cut}"), fragments(TEXT, &message, &[cut]).concat()));
        }
        let each: Vec<usize> = (1..message.len()).collect();
        forms.push(("a fragment for each byte".to_owned(), fragments(TEXT, &message, &each).concat()));
        for (form, bytes) in forms {
            let mut socket = bystander.open().await;
            // What the service says of it is read next.
            drop(socket.try_send(&bytes).await);
            assert_fails(&mut socket, Fails::BadRequest, &format!("8.1: {name}, {form}")).await;
        }
    }
    bystander.assert_unharmed().await;
}

#[tokio::test]
async fn a_character_may_be_cut_by_fragments() {
    let bystander = Bystander::start("rfc-cut-utf8").await;
    // The answer repeats the order, so that it shows what was understood.
    let order = "支付é\u{0}\u{7f}\u{7ff}\u{800}\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}😀";
    let message = serde_json::json!({ "type": "unsubscribe", "order_id": order }).to_string().into_bytes();
    let begins = message.iter().position(|byte| !byte.is_ascii()).expect("there are such");
    let mut socket = bystander.open().await;
    for cut in begins..message.len() {
        let name = format!("8.1: cut at {cut}");
        // A socket of its own now and then, since frames are limited by rate.
        if (cut - begins) % 10 == 9 {
            socket = bystander.open().await;
        }
        for fragment in fragments(TEXT, &message, &[begins, cut]) {
            socket.send(&fragment).await;
        }
        let answer: Value = text_of(&socket.frame(&name).await, &name);
        assert_eq!((&answer["code"], &answer["order_id"]), (&"bad_request".into(), &order.into()), "{name}");
    }
    bystander.assert_unharmed().await;
}
