//! WebSocket frames and the chunks of HTTP by hand.

use std::ops::Range;

pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xa;

/// How what follows the head is cut into messages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    WebSocket,
    /// The chunks of HTTP/1.1, each holding one server-sent event or comment.
    Chunks,
}

/// Where the payload lies, and where the next begins.
pub(crate) struct Frame {
    pub(crate) opcode: u8,
    pub(crate) payload: Range<usize>,
    pub(crate) end: usize,
}

/// Appends a frame from client to server.
pub(crate) fn write(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    match u16::try_from(payload.len()) {
        Ok(length) if length < 126 => out.push(0x80 | length as u8),
        Ok(length) => {
            out.push(0x80 | 126);
            out.extend_from_slice(&length.to_be_bytes());
        }
        Err(_longer) => panic!("a frame of {} bytes", payload.len()),
    }
    // A mask of zeros is a mask.
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

/// The first frame in `buffer`, if it is whole: its opcode and where its payload lies. The next begins at the range's end.
fn read(buffer: &[u8]) -> Option<(u8, Range<usize>)> {
    let (opcode, short) = (*buffer.first()?, usize::from(*buffer.get(1)?));
    assert!(opcode & 0x80 != 0 && short < 0x80, "a fragmented or masked frame from a server");
    let (head, length) = match short {
        126 => (4, usize::from(u16::from_be_bytes([*buffer.get(2)?, *buffer.get(3)?]))),
        127 => (10, usize::try_from(u64::from_be_bytes(buffer.get(2..10)?.try_into().unwrap())).unwrap()),
        short => (2, short),
    };
    (buffer.len() >= head + length).then(|| (opcode & 0x0f, head..head + length))
}

/// The first frame or chunk, if it is whole. A chunk counts as text, and the one that ends the stream as a close.
pub(crate) fn next(framing: Framing, buffer: &[u8]) -> Option<Frame> {
    match framing {
        Framing::WebSocket => {
            let (opcode, payload) = read(buffer)?;
            Some(Frame { opcode, end: payload.end, payload })
        }
        Framing::Chunks => {
            let line_end = find(buffer, b"\r\n")?;
            let size =
                std::str::from_utf8(&buffer[..line_end]).ok().and_then(|hex| usize::from_str_radix(hex, 16).ok());
            let size = size.unwrap_or_else(|| panic!("not a chunk: {}", String::from_utf8_lossy(buffer)));
            let payload = line_end + 2..line_end + 2 + size;
            let opcode = if size == 0 { CLOSE } else { TEXT };
            (buffer.len() >= payload.end + 2).then(|| Frame { opcode, end: payload.end + 2, payload })
        }
    }
}

/// Where the answer's head ends, if it is there.
pub(crate) fn head_end(buffer: &[u8]) -> Option<usize> {
    find(buffer, b"\r\n\r\n").map(|at| at + 4)
}

pub(crate) fn find(buffer: &[u8], what: &[u8]) -> Option<usize> {
    buffer.windows(what.len()).position(|window| window == what)
}
