//! Where one frame and one message end and the next begin, seen from the bytes that pass by.

/// Two bytes, eight of length, four of mask (RFC 6455, 5.2).
const HEADER_BYTES_MAX: usize = 14;

/// Follows frame headers without looking at payloads. Does not check whether the frames are valid.
#[derive(Debug, Default)]
pub(super) struct MessageBoundary {
    header: [u8; HEADER_BYTES_MAX],
    header_bytes: usize,
    payload_bytes_left: u64,
    /// A message has begun whose last frame has not come.
    in_message: bool,
}

impl MessageBoundary {
    /// Takes bytes up to the end of a frame, at most: how many, and whether a frame has ended with them.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut passed = 0;
        while let Some(byte) = bytes.get(passed) {
            if self.payload_bytes_left > 0 {
                let rest = bytes.len() - passed;
                let here = usize::try_from(self.payload_bytes_left).unwrap_or(usize::MAX).min(rest);
                passed += here;
                self.payload_bytes_left -= here as u64;
            } else {
                self.header[self.header_bytes] = *byte;
                self.header_bytes += 1;
                passed += 1;
                if self.header_bytes < self.header_bytes_wanted() {
                    continue;
                }
                self.begin_payload();
            }
            if self.payload_bytes_left == 0 {
                return (passed, true);
            }
        }
        (passed, false)
    }

    /// True between two messages: nothing of the next one was read.
    pub(super) fn is_between_messages(&self) -> bool {
        self.header_bytes == 0 && self.payload_bytes_left == 0 && !self.in_message
    }

    fn header_bytes_wanted(&self) -> usize {
        if self.header_bytes < 2 {
            return 2;
        }
        let length = match self.header[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if self.header[1] & 0x80 == 0 { 0 } else { 4 };
        2 + length + mask
    }

    fn begin_payload(&mut self) {
        let [first, second, rest @ ..] = &self.header;
        let (is_last, opcode) = (first & 0x80 != 0, first & 0x0f);
        // Control frames come between the frames of a message and do not end it.
        if opcode < 8 {
            self.in_message = !is_last;
        }
        let big_endian = |bytes: &[u8]| bytes.iter().fold(0, |value, byte| (value << 8) | u64::from(*byte));
        self.payload_bytes_left = match second & 0x7f {
            126 => big_endian(&rest[..2]),
            127 => big_endian(&rest[..8]),
            short => u64::from(short),
        };
        self.header_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tungstenite::protocol::frame::coding::{Control, Data, OpCode};
    use tungstenite::protocol::frame::{Frame, FrameHeader};

    use super::*;

    fn frame(opcode: OpCode, is_final: bool, payload_bytes: usize, masked: bool) -> Vec<u8> {
        let mut header = FrameHeader { is_final, opcode, ..FrameHeader::default() };
        header.mask = masked.then_some([1, 2, 3, 4]);
        let mut bytes = Vec::new();
        Frame::from_payload(header, vec![0xff; payload_bytes].into()).format(&mut bytes).unwrap();
        bytes
    }

    fn opcode(control: bool, first: bool) -> OpCode {
        match (control, first) {
            (true, _) => OpCode::Control(Control::Ping),
            (false, true) => OpCode::Data(Data::Text),
            (false, false) => OpCode::Data(Data::Continue),
        }
    }

    proptest! {
        #[test]
        fn it_is_between_messages_after_each_last_frame_and_nowhere_else(
            frames in proptest::collection::vec((any::<bool>(), any::<bool>(), prop_oneof![0..200_usize, 65_000..66_000_usize], any::<bool>()), 1..8),
            step in 1..40_usize,
        ) {
            let mut boundary = MessageBoundary::default();
            let mut in_message = false;
            for (control, is_final, payload_bytes, masked) in frames {
                let bytes = frame(opcode(control, !in_message), is_final || control, payload_bytes, masked);
                if !control { in_message = !is_final }
                let (last, before) = bytes.split_last().unwrap();
                for part in before.chunks(step) {
                    prop_assert_eq!(boundary.pass(part), (part.len(), false));
                    prop_assert!(!boundary.is_between_messages());
                }
                // What follows the frame is left.
                prop_assert_eq!(boundary.pass(&[*last, 0x81, 0x80]), (1, true));
                prop_assert_eq!(boundary.is_between_messages(), !in_message);
            }
        }
    }
}
