//! Frames as bytes, right and wrong ones.

pub(super) const FIN: u8 = 0x80;
pub(super) const CONTINUATION: u8 = 0x0;
pub(super) const TEXT: u8 = 0x1;
pub(super) const BINARY: u8 = 0x2;
pub(super) const CLOSE: u8 = 0x8;
pub(super) const PING: u8 = 0x9;
pub(super) const PONG: u8 = 0xa;

/// The application's ping.
pub(super) const PING_JSON: &[u8] = br#"{"type":"ping"}"#;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// How the payload's length is written: section 5.2 wants the shortest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    Shortest,
    Sixteen,
    SixtyFour,
}

/// A masked frame with the first byte as it is given: FIN, reserved bits, opcode.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    frame_with(first, payload, Length::Shortest, MASK)
}

/// The same with any mask, and with the length written in any way.
pub(super) fn frame_with(first: u8, payload: &[u8], length: Length, mask: [u8; 4]) -> Vec<u8> {
    let mut bytes = head(first, payload.len(), length, 0x80);
    bytes.extend_from_slice(&mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// A frame that is not masked.
pub(super) fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = head(first, payload.len(), Length::Shortest, 0);
    bytes.extend_from_slice(payload);
    bytes
}

/// The head of a masked frame that promises 64-bit `length` bytes, and no byte of them.
pub(super) fn promise(first: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![first, 0xff];
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&MASK);
    bytes
}

fn head(first: u8, length: usize, form: Length, mask_bit: u8) -> Vec<u8> {
    let mut bytes = vec![first];
    match (u8::try_from(length), u16::try_from(length), form) {
        (Ok(short), _, Length::Shortest) if short < 126 => bytes.push(mask_bit | short),
        (_, Ok(long), Length::Shortest | Length::Sixteen) => {
            bytes.push(mask_bit | 126);
            bytes.extend_from_slice(&long.to_be_bytes());
        }
        _ => {
            bytes.push(mask_bit | 127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    bytes
}

/// A close frame's payload.
pub(super) fn close_payload(code: u16, reason: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes(), reason].concat()
}

/// A message cut into fragments at these places (5.4).
pub(super) fn fragments(opcode: u8, message: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
    let ends: Vec<usize> = cuts.iter().copied().chain([message.len()]).collect();
    let starts = std::iter::once(0).chain(cuts.iter().copied());
    let last = ends.len() - 1;
    let piece = |(n, (start, end)): (usize, (usize, usize))| {
        let opcode = if n == 0 { opcode } else { CONTINUATION };
        let fin = if n == last { FIN } else { 0 };
        frame(fin | opcode, &message[start..end])
    };
    starts.zip(ends.iter().copied()).enumerate().map(piece).collect()
}
