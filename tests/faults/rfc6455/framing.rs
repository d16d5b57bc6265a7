//! Sections 5.1 to 5.4: masking, reserved bits, opcodes, lengths, fragmentation.

use super::wire::{
    BINARY, CONTINUATION, FIN, Length, PING, PING_JSON, PONG, TEXT, fragments, frame, frame_with, promise, unmasked,
};
use super::{Bystander, Fails, assert_fails, assert_pong};

/// What a frame may not be. The connection is failed, with the reason said first.
fn broken() -> Vec<(String, &'static str, Vec<u8>, Fails)> {
    use Fails::{BadRequest, TooLarge};
    let mut cases: Vec<(String, &'static str, Vec<u8>, Fails)> = Vec::new();
    let mut add = |name: &str, section, bytes, fails| cases.push((name.to_owned(), section, bytes, fails));

    add("a text frame that is not masked", "5.1", unmasked(FIN | TEXT, PING_JSON), BadRequest);
    add("a ping that is not masked", "5.1", unmasked(FIN | PING, b"x"), BadRequest);
    add("an empty frame that is not masked", "5.1", unmasked(FIN | TEXT, b""), BadRequest);
    for (bit, name) in [(0x40, "RSV1"), (0x20, "RSV2"), (0x10, "RSV3"), (0x70, "all three")] {
        add(&format!("{name} on a text frame"), "5.2", frame(FIN | bit | TEXT, PING_JSON), BadRequest);
        add(&format!("{name} on a ping"), "5.2", frame(FIN | bit | PING, b"x"), BadRequest);
        let in_the_middle = [frame(TEXT, b"{"), frame(FIN | bit | CONTINUATION, b"}")].concat();
        add(&format!("{name} on a continuation"), "5.2", in_the_middle, BadRequest);
    }
    for opcode in [0x3, 0x4, 0x5, 0x6, 0x7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        add(&format!("reserved opcode {opcode:#x}"), "5.2", frame(FIN | opcode, b"{}"), BadRequest);
        add(&format!("reserved opcode {opcode:#x}, no FIN"), "5.2", frame(opcode, b"{}"), BadRequest);
        add(&format!("reserved opcode {opcode:#x}, empty"), "5.2", frame(FIN | opcode, b""), BadRequest);
    }
    for (length, name) in [(1 << 63, "2^63"), (u64::MAX, "2^64-1"), ((1 << 63) | 2, "2^63+2")] {
        add(&format!("a length of {name}: its first bit must be 0"), "5.2", promise(FIN | TEXT, length), TooLarge);
        add(&format!("a ping with a length of {name}"), "5.2", promise(FIN | PING, length), TooLarge);
    }
    add("a continuation of nothing", "5.4", frame(FIN | CONTINUATION, b"{}"), BadRequest);
    add("a continuation of nothing, no FIN", "5.4", frame(CONTINUATION, b"{}"), BadRequest);
    add("an empty continuation of nothing", "5.4", frame(FIN | CONTINUATION, b""), BadRequest);
    let after_the_end = [fragments(TEXT, PING_JSON, &[3]).concat(), frame(FIN | CONTINUATION, b"{}")].concat();
    add("a continuation after the last fragment", "5.4", after_the_end, BadRequest);
    for (opcode, name) in [(TEXT, "text"), (BINARY, "binary")] {
        for fin in [FIN, 0] {
            let bytes = [frame(TEXT, b"{\"type\""), frame(fin | opcode, PING_JSON)].concat();
            add(&format!("{name} inside of a fragmented message, FIN {}", fin >> 7), "5.4", bytes, BadRequest);
        }
    }
    let many: Vec<u8> = fragments(TEXT, &[b'x'; 70_000], &[10_000, 20_000, 30_000, 40_000, 50_000, 60_000]).concat();
    add("a message over the limit in small fragments", "10.4", many, TooLarge);
    add("a binary message: pages speak text", "5.6", frame(FIN | BINARY, PING_JSON), BadRequest);
    add("a fragmented binary message", "5.6", fragments(BINARY, PING_JSON, &[4, 9]).concat(), BadRequest);
    cases
}

#[tokio::test]
async fn a_frame_that_breaks_the_standard_gets_an_error_frame_and_a_close() {
    let bystander = Bystander::start("rfc-framing").await;
    for (name, section, bytes, fails) in broken() {
        let name = format!("{section}: {name}");
        let mut socket = bystander.open().await;
        // What the service says of it is read next.
        drop(socket.try_send(&bytes).await);
        // What the message before it was answered is right, whatever comes after it.
        if name.contains("after the last fragment") {
            assert_pong(&mut socket, &name).await;
        }
        assert_fails(&mut socket, fails, &name).await;
    }
    bystander.assert_unharmed().await;
}

/// One application ping, in every form that the standard allows.
fn sound() -> Vec<(String, &'static str, Vec<u8>)> {
    let mut cases: Vec<(String, &'static str, Vec<u8>)> = Vec::new();
    let mut add = |name: &str, section, bytes| cases.push((name.to_owned(), section, bytes));
    let long = format!("{:<200}", r#"{"type":"ping"}"#).into_bytes();
    let longest = format!("{:<8192}", r#"{"type":"ping"}"#).into_bytes();

    add("one frame", "5.2", frame(FIN | TEXT, PING_JSON));
    add("a length of 125", "5.2", frame(FIN | TEXT, &long_of(125)));
    add("a length of 126", "5.2", frame(FIN | TEXT, &long_of(126)));
    add("a length of 16 bits", "5.2", frame(FIN | TEXT, &long));
    add("the largest that is allowed", "5.2", frame(FIN | TEXT, &longest));
    for mask in [[0; 4], [0xff; 4], [1, 2, 3, 4]] {
        let bytes = frame_with(FIN | TEXT, PING_JSON, Length::Shortest, mask);
        add(&format!("the mask {mask:?}"), "5.3", bytes);
    }
    // Section 5.2 binds who writes a length; a reader that takes a longer form is misled by nothing.
    for (length, name) in [(Length::Sixteen, "16"), (Length::SixtyFour, "64")] {
        let bytes = frame_with(FIN | TEXT, PING_JSON, length, [9; 4]);
        add(&format!("a short length in {name} bits"), "5.2", bytes);
    }
    add("two fragments", "5.4", fragments(TEXT, PING_JSON, &[7]).concat());
    let each: Vec<usize> = (1..PING_JSON.len()).collect();
    add("a fragment for each byte", "5.4", fragments(TEXT, PING_JSON, &each).concat());
    let empty_ones =
        [frame(TEXT, b""), frame(CONTINUATION, PING_JSON), frame(CONTINUATION, b""), frame(FIN | CONTINUATION, b"")];
    add("empty fragments first, between and last", "5.4", empty_ones.concat());
    let pieces = fragments(TEXT, PING_JSON, &[5, 10]);
    let woven = [&pieces[0], &frame(FIN | PONG, b"unasked"), &pieces[1], &frame(FIN | PONG, b""), &pieces[2]];
    add("pongs between the fragments", "5.4", woven.into_iter().flatten().copied().collect());
    cases
}

/// The application's ping, with blanks behind it up to a length.
fn long_of(bytes: usize) -> Vec<u8> {
    format!("{:<bytes$}", r#"{"type":"ping"}"#).into_bytes()
}

#[tokio::test]
async fn every_form_of_a_frame_that_the_standard_allows_is_understood() {
    let bystander = Bystander::start("rfc-sound").await;
    for (name, section, bytes) in sound() {
        let name = format!("{section}: {name}");
        let mut socket = bystander.open().await;
        socket.send(&bytes).await;
        assert_pong(&mut socket, &name).await;
        // Nothing is left over of it.
        socket.send(&frame(FIN | TEXT, PING_JSON)).await;
        assert_pong(&mut socket, &name).await;
    }
    bystander.assert_unharmed().await;
}

#[tokio::test]
async fn how_frames_are_cut_into_segments_means_nothing() {
    let bystander = Bystander::start("rfc-segments").await;
    for (name, _, bytes) in sound().into_iter().filter(|(_, _, bytes)| bytes.len() < 500) {
        let mut socket = bystander.open().await;
        // A byte a segment.
        for byte in &bytes {
            socket.send(&[*byte]).await;
        }
        assert_pong(&mut socket, &name).await;
        // Several frames in one segment, and a frame over two.
        let several = bytes.repeat(4);
        let (one, two) = several.split_at(several.len() - 3);
        socket.send(one).await;
        for _ in 0..3 {
            assert_pong(&mut socket, &name).await;
        }
        socket.send(two).await;
        assert_pong(&mut socket, &name).await;
    }
    bystander.assert_unharmed().await;
}
