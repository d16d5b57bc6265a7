//! Sections 5.5.1 and 7: close frames, their codes, and the end of the connection.

use super::wire::{CLOSE, CONTINUATION, FIN, PING, PING_JSON, TEXT, close_payload, frame};
use super::{Bystander, Fails, assert_fails, assert_pong};
use crate::support::raw::{Ended, RawSocket};

/// The page closes with these bytes, and the service answers: the code of its close frame, and how the connection ends.
async fn close_with(socket: &mut RawSocket, payload: &[u8], name: &str) -> (Option<u16>, Ended) {
    socket.send(&frame(FIN | CLOSE, payload)).await;
    let answer = socket.frame(name).await;
    assert_eq!((answer.is_final, answer.opcode), (true, CLOSE), "{name}: {answer:?}");
    assert!(answer.payload.is_empty() || std::str::from_utf8(&answer.payload[2..]).is_ok(), "{name}: {answer:?}");
    (answer.close_code(), socket.ended(name).await)
}

#[tokio::test]
async fn a_close_is_answered_with_its_own_code_and_the_service_ends_the_connection() {
    let bystander = Bystander::start("rfc-close").await;
    let mut codes: Vec<u16> = vec![1000, 1001, 1002, 1003];
    codes.extend(1007..=1013);
    codes.extend([3000, 3999, 4000, 4001, 4400, 4999]);
    for code in codes {
        for (reason, what) in [("", "no reason"), ("bye", "a reason"), ("再见 👋", "a reason in UTF-8")] {
            let name = format!("7.4: {code}, {what}");
            let mut socket = bystander.open().await;
            let ended = close_with(&mut socket, &close_payload(code, reason.as_bytes()), &name).await;
            assert_eq!(ended, (Some(code), Ended::InOrder), "{name}");
        }
    }
    let name = "5.5.1: no code";
    assert_eq!(close_with(&mut bystander.open().await, b"", name).await, (None, Ended::InOrder), "{name}");
    let name = "5.5: 125 bytes";
    let longest = close_payload(1000, &[b'x'; 123]);
    assert_eq!(close_with(&mut bystander.open().await, &longest, name).await, (Some(1000), Ended::InOrder), "{name}");
    bystander.assert_unharmed().await;
}

#[tokio::test]
async fn a_close_with_a_code_that_must_not_be_sent_is_answered_with_1002() {
    let bystander = Bystander::start("rfc-close-codes").await;
    // 1014 was registered after the RFC, for gateways alone.
    let codes = [0, 1, 999, 1004, 1005, 1006, 1014, 1015, 1016, 1100, 2000, 2999, 5000, 10_000, 65_535];
    for code in codes {
        for reason in [b"".as_slice(), b"bye"] {
            let name = format!("7.4: {code}");
            let mut socket = bystander.open().await;
            let ended = close_with(&mut socket, &close_payload(code, reason), &name).await;
            assert_eq!(ended, (Some(1002), Ended::InOrder), "{name}");
        }
    }
    bystander.assert_unharmed().await;
}

#[tokio::test]
async fn a_close_that_cannot_be_read_fails_the_connection() {
    let bystander = Bystander::start("rfc-bad-close").await;
    let cases: [(&str, Vec<u8>); 5] = [
        ("5.5.1: a payload of 1 byte", vec![0x03]),
        ("5.5.1: a reason that is not UTF-8", close_payload(1000, b"\xff\xfe")),
        ("5.5.1: a reason with a surrogate", close_payload(1000, b"\xed\xa0\x80")),
        ("5.5.1: a reason that is cut off", close_payload(1000, b"\xe4\xb8")),
        ("5.5: a payload of 126 bytes", close_payload(1000, &[b'x'; 124])),
    ];
    for (name, payload) in cases {
        let mut socket = bystander.open().await;
        socket.send(&frame(FIN | CLOSE, &payload)).await;
        assert_fails(&mut socket, Fails::BadRequest, name).await;
    }
    bystander.assert_unharmed().await;
}

#[tokio::test]
async fn what_comes_after_a_close_is_not_read() {
    let bystander = Bystander::start("rfc-after-close").await;
    let after: [(&str, Vec<u8>); 5] = [
        ("a ping of the application", frame(FIN | TEXT, PING_JSON)),
        ("a protocol ping", frame(FIN | PING, b"x")),
        ("another close", frame(FIN | CLOSE, &close_payload(1001, b""))),
        ("a frame that is broken", frame(FIN | 0x3, b"x")),
        ("the rest of a message", frame(FIN | CONTINUATION, b"}")),
    ];
    for (what, bytes) in after {
        let name = format!("1.4: after a close, {what}");
        let mut socket = bystander.open().await;
        socket.send(&[frame(FIN | CLOSE, &close_payload(1000, b"")), bytes].concat()).await;
        let answer = socket.frame(&name).await;
        assert_eq!((answer.opcode, answer.close_code()), (CLOSE, Some(1000)), "{name}: {answer:?}");
        assert_eq!(socket.ended(&name).await, Ended::InOrder, "{name}");
    }
    bystander.assert_unharmed().await;
}

#[tokio::test]
async fn a_close_between_fragments_ends_the_message_too() {
    let bystander = Bystander::start("rfc-cut-close").await;
    let mut socket = bystander.open().await;
    socket.send(&frame(TEXT, b"{\"type\"")).await;
    let name = "5.4: a close in a fragmented message";
    assert_eq!(close_with(&mut socket, &close_payload(1000, b""), name).await, (Some(1000), Ended::InOrder));
    bystander.assert_unharmed().await;
}

#[tokio::test]
async fn after_its_own_close_the_service_waits_for_the_answer_and_ends_in_order() {
    let bystander = Bystander::start("rfc-answer").await;
    let bad = frame(FIN | TEXT, b"hunter2");
    let close = |code| frame(FIN | CLOSE, &close_payload(code, b""));
    let answers: [(&str, Vec<u8>); 4] = [
        ("7.1.2: the same code", close(4400)),
        ("5.5.1: another code, as where both closed at once", close(1000)),
        ("5.5.1: no code", frame(FIN | CLOSE, b"")),
        ("1.4: frames that were on their way, then the close", {
            [frame(FIN | TEXT, PING_JSON), frame(FIN | PING, b"x"), close(4400)].concat()
        }),
    ];
    for (name, answer) in answers {
        let mut socket = bystander.open().await;
        socket.send(&bad).await;
        assert_fails(&mut socket, Fails::BadRequest, name).await;
        socket.send(&answer).await;
        assert_eq!(socket.ended(name).await, Ended::InOrder, "{name}");
    }
    // Both closes cross on the way.
    let name = "5.5.1: a close at the same time";
    let mut socket = bystander.open().await;
    socket.send(&[bad, close(1000)].concat()).await;
    assert_fails(&mut socket, Fails::BadRequest, name).await;
    assert_eq!(socket.ended(name).await, Ended::InOrder, "{name}");
    bystander.assert_unharmed().await;
}

#[tokio::test]
async fn a_broken_frame_with_more_behind_it_still_gets_its_answer_in_order() {
    let bystander = Bystander::start("rfc-linger").await;
    let broken = [
        ("5.2: a reserved opcode", frame(FIN | 0x3, b"x"), Fails::BadRequest),
        ("5.2: a reserved bit", frame(FIN | 0x40 | TEXT, b"x"), Fails::BadRequest),
        ("8.1: not UTF-8", frame(FIN | TEXT, b"\xff"), Fails::BadRequest),
        ("5.2: too large", super::wire::promise(FIN | TEXT, 1 << 20), Fails::TooLarge),
    ];
    for (name, bytes, fails) in broken {
        let mut socket = bystander.open().await;
        // What the service says of it is read next.
        drop(socket.try_send(&[bytes, vec![b'x'; 200_000]].concat()).await);
        assert_fails(&mut socket, fails, name).await;
        // Unread bytes at the end would reset the connection, and on many systems take the error frame with them.
        assert_eq!(socket.ended(name).await, Ended::InOrder, "{name}");
    }
    bystander.assert_unharmed().await;
}

#[tokio::test]
async fn a_page_that_sends_no_more_is_gone() {
    let bystander = Bystander::start("rfc-half").await;
    let mut socket = bystander.open().await;
    socket.send(&frame(FIN | TEXT, PING_JSON)).await;
    assert_pong(&mut socket, "before").await;
    socket.half_close().await;
    assert_eq!(socket.ended("7.1.5: the end of the stream without a close").await, Ended::InOrder);

    // In the middle of a frame, and in the middle of a message.
    for (name, bytes) in [("half a head", vec![FIN | TEXT]), ("half a message", frame(TEXT, b"{"))] {
        let mut socket = bystander.open().await;
        socket.send(&bytes).await;
        socket.half_close().await;
        assert_eq!(socket.ended(name).await, Ended::InOrder, "{name}");
    }
    bystander.assert_unharmed().await;
}
