//! Section 5.5: pings and pongs; control frames are whole, short, and may stand between fragments.

use super::wire::{CLOSE, CONTINUATION, FIN, Length, PING, PING_JSON, PONG, TEXT, fragments, frame, frame_with};
use super::{Bystander, Fails, assert_fails, assert_pong};

#[tokio::test]
async fn a_control_frame_that_is_cut_or_too_long_fails_the_connection() {
    let bystander = Bystander::start("rfc-control").await;
    for (opcode, kind) in [(CLOSE, "close"), (PING, "ping"), (PONG, "pong")] {
        // 1000 first, so that a close is wrong in nothing else.
        let payload = |bytes: usize| [&[0x03, 0xe8], vec![b'x'; bytes - 2].as_slice()].concat();
        let cases = [
            ("5.5: fragmented", frame(opcode, &payload(10))),
            ("5.5: fragmented and empty", frame(opcode, b"")),
            ("5.4: the first of two fragments", [frame(opcode, b""), frame(FIN | CONTINUATION, b"")].concat()),
            ("5.5: of 126 bytes", frame(FIN | opcode, &payload(126))),
            ("5.5: of 1000 bytes", frame(FIN | opcode, &payload(1000))),
            ("5.5: of 126 bytes in 64 bits", frame_with(FIN | opcode, &payload(126), Length::SixtyFour, [3; 4])),
            ("5.5: of 126 bytes in a fragmented message", {
                [frame(TEXT, b"{"), frame(FIN | opcode, &payload(126))].concat()
            }),
        ];
        for (name, bytes) in cases {
            let mut socket = bystander.open().await;
            // What the service says of it is read next.
            drop(socket.try_send(&bytes).await);
            assert_fails(&mut socket, Fails::BadRequest, &format!("a {kind}, {name}")).await;
        }
    }
    bystander.assert_unharmed().await;
}

#[tokio::test]
async fn a_ping_is_answered_with_its_own_bytes() {
    let bystander = Bystander::start("rfc-ping").await;
    let every_byte: Vec<u8> = (0..=255).collect();
    let payloads: [&[u8]; 7] =
        [b"", b"x", b"\0", b"\xff\xfe not text", &every_byte[..125], &every_byte[131..], br#"{"type":"ping"}"#];
    for payload in payloads {
        let name = format!("5.5.3: a ping of {} bytes", payload.len());
        let mut socket = bystander.open().await;
        socket.send(&frame(FIN | PING, payload)).await;
        let pong = socket.frame(&name).await;
        assert_eq!((pong.is_final, pong.opcode, pong.payload.as_slice()), (true, PONG, payload), "{name}");
        socket.send(&frame(FIN | TEXT, PING_JSON)).await;
        assert_pong(&mut socket, &name).await;
    }
    bystander.assert_unharmed().await;
}

#[tokio::test]
async fn a_ping_between_fragments_is_answered_before_the_message_is_whole() {
    let bystander = Bystander::start("rfc-woven").await;
    let mut socket = bystander.open().await;
    let pieces = fragments(TEXT, PING_JSON, &[4, 8, 12]);
    for (n, piece) in pieces.iter().enumerate() {
        socket.send(piece).await;
        if n + 1 < pieces.len() {
            let payload = [u8::try_from(n).expect("few")];
            socket.send(&frame(FIN | PING, &payload)).await;
            let pong = socket.frame("5.4: a pong between fragments").await;
            assert_eq!((pong.opcode, pong.payload.as_slice()), (PONG, payload.as_slice()));
        }
    }
    assert_pong(&mut socket, "5.4: the whole message").await;
    bystander.assert_unharmed().await;
}

#[tokio::test]
async fn of_several_pings_the_last_is_answered_at_least() {
    let bystander = Bystander::start("rfc-pings").await;
    let mut socket = bystander.open().await;
    // Section 5.5.3 lets older pings go unanswered.
    let pings: Vec<u8> = (0..20).flat_map(|n: u8| frame(FIN | PING, &[n])).collect();
    socket.send(&pings).await;
    let mut last = None;
    while last != Some(19) {
        let pong = socket.frame("5.5.3: a pong").await;
        assert_eq!((pong.opcode, pong.payload.len()), (PONG, 1), "{pong:?}");
        let n = pong.payload[0];
        assert!(last.is_none_or(|last| n > last), "in their order, and none twice: {n} after {last:?}");
        last = Some(n);
    }
    socket.send(&frame(FIN | TEXT, PING_JSON)).await;
    assert_pong(&mut socket, "5.5.3: nothing is left over").await;
    bystander.assert_unharmed().await;
}

#[tokio::test]
async fn a_pong_that_nobody_asked_for_is_taken_without_a_word() {
    let bystander = Bystander::start("rfc-pong").await;
    let mut socket = bystander.open().await;
    for payload in [b"".as_slice(), b"unasked", &[0xff; 125]] {
        socket.send(&frame(FIN | PONG, payload)).await;
    }
    socket.send(&frame(FIN | TEXT, PING_JSON)).await;
    assert_pong(&mut socket, "5.5.3: a pong alone").await;
    bystander.assert_unharmed().await;
}
