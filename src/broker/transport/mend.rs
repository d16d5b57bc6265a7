//! What is wrong with one frame, put right in place: lengths stay, but where headers would not fit a frame.
//!
//! - A short text that is not UTF-8 gets [`MARK`] for each byte that is wrong.
//! - A table or list that is nested too deeply, or whose inside cannot be read, becomes its own bytes (type `x`).
//! - Headers that cannot be read to their end, or do not fit, lose what is wrong or largest, which a header records.

use std::ops::Range;

use super::witness::Witness;

/// Type, channel, size.
pub(super) const HEAD_BYTES: usize = 7;
/// The octet that ends each frame.
pub(super) const END_BYTES: usize = 1;

/// A control character that no publisher means: SUBSTITUTE, "in the place of a character that is invalid".
const MARK: u8 = 0x1a;
/// lapin reads, copies and drops tables by calling itself, on the stack.
const DEPTH_MAX: usize = 32;
// Class and method.
const CONNECTION_TUNE: [u8; 4] = [0, 10, 0, 30];
const CONNECTION_CLOSE: [u8; 4] = [0, 10, 0, 50];
const CHANNEL_CLOSE: [u8; 4] = [0, 20, 0, 40];
const BASIC_RETURN: [u8; 4] = [0, 60, 0, 50];
const BASIC_DELIVER: [u8; 4] = [0, 60, 0, 60];
const BASIC_GET_OK: [u8; 4] = [0, 60, 0, 71];
/// Behind class, weight, and size of the body.
const FLAGS_AT: usize = 12;
const BIT_HEADERS: u16 = 1 << 13;
/// As in a dead letter whose headers are left out in part.
const DROPPED: &[u8] = b"\x11x-headers-droppedt\x01";
const DELIVERY_COUNT: &[u8] = b"x-delivery-count";

/// Whether a text came with bytes that were no text: what it meant is not known, and two that differed may be equal.
pub(crate) fn is_mended(text: &str) -> bool {
    text.as_bytes().contains(&MARK)
}

/// The payload of `connection.tune` says how large a frame may be at most, or 0.
pub(super) fn tuned_frame_max(payload: &[u8]) -> Option<u32> {
    let tune = payload.strip_prefix(&CONNECTION_TUNE)?;
    tune.get(2..6)?.try_into().ok().map(u32::from_be_bytes)
}

/// The payload of a content header says how many bytes of a body follow.
pub(super) fn body_bytes(payload: &[u8]) -> Option<u64> {
    payload.get(4..FLAGS_AT)?.try_into().ok().map(u64::from_be_bytes)
}

/// Properties and body follow.
pub(super) fn begins_a_message(payload: &[u8]) -> bool {
    [BASIC_DELIVER, BASIC_GET_OK, BASIC_RETURN].iter().any(|id| payload.starts_with(id))
}

/// Mends what others have a say in: names, keys, and reasons, which quote names and are cut to length.
pub(super) fn method(payload: &mut [u8]) -> bool {
    let Some(id) = payload.first_chunk::<4>().copied() else { return false };
    let mut cursor = Cursor { bytes: payload, at: id.len(), has_mended: false };
    let read = match id {
        CONNECTION_CLOSE | CHANNEL_CLOSE => cursor.skip(2).and_then(|()| cursor.shorts(1)),
        BASIC_RETURN => cursor.skip(2).and_then(|()| cursor.shorts(3)),
        BASIC_DELIVER => cursor.shorts(1).and_then(|()| cursor.skip(9)).and_then(|()| cursor.shorts(2)),
        BASIC_GET_OK => cursor.skip(9).and_then(|()| cursor.shorts(2)),
        _ => None,
    };
    // One that ends too early is for lapin to refuse.
    read.is_some() && cursor.has_mended
}

/// Mends the content header that begins at `from` and ends `frames`. Answers whether anything was wrong with it.
pub(super) fn header(frames: &mut Vec<u8>, from: usize, frame_bytes_max: usize, witness: &Witness) -> bool {
    let is_too_large = frames.len() - from > frame_bytes_max;
    let payload_from = from + HEAD_BYTES;
    let end = frames.len() - END_BYTES;
    let Some(payload) = frames.get_mut(payload_from..end) else { return false };
    let mut properties = Properties::default();
    let mut cursor = Cursor { bytes: payload, at: FLAGS_AT, has_mended: false };
    if cursor.properties(&mut properties).is_none() {
        return false;
    }
    if let Some(times) = properties.delivery_count {
        witness.delivered_before(times);
    }
    let has_mended = cursor.has_mended;
    let Some(table) = properties.table else { return has_mended };
    if !is_too_large && properties.unreadable_from.is_none() {
        return has_mended;
    }
    let table = payload_from + table.start..payload_from + table.end;
    let readable = table.start..properties.unreadable_from.map_or(table.end, |at| payload_from + at);
    let room = frame_bytes_max.saturating_sub(frames.len() - from - table.len());
    let kept = fitting(frames, readable, room);
    replace_table(frames, from, table, &kept);
    true
}

#[derive(Default)]
struct Properties {
    /// Without its length.
    table: Option<Range<usize>>,
    /// Of the table. Nothing from here on can be read.
    unreadable_from: Option<usize>,
    delivery_count: Option<i64>,
}

struct Cursor<'a> {
    bytes: &'a mut [u8],
    at: usize,
    has_mended: bool,
}

/// A table or list that is being read.
struct Open {
    end: usize,
    has_names: bool,
    /// Where its type stands. Not set for the outermost.
    kind_at: Option<usize>,
}

impl Cursor<'_> {
    fn skip(&mut self, bytes: usize) -> Option<()> {
        let at = self.at.checked_add(bytes).filter(|at| *at <= self.bytes.len())?;
        self.at = at;
        Some(())
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = *self.bytes.get(self.at..)?.first_chunk()?;
        self.at += N;
        Some(taken)
    }

    /// Mends a short text that has to end at `end` at the latest, and answers where it is.
    fn short(&mut self, end: usize) -> Option<Range<usize>> {
        let [length] = self.take()?;
        let range = self.at..self.at + usize::from(length);
        let text = self.bytes.get_mut(range.clone()).filter(|_| range.end <= end)?;
        if std::str::from_utf8(text).is_err() {
            mark_invalid(text);
            self.has_mended = true;
        }
        self.at = range.end;
        Some(range)
    }

    fn shorts(&mut self, count: usize) -> Option<()> {
        let end = self.bytes.len();
        (0..count).try_for_each(|_| self.short(end).map(drop))
    }

    /// All properties in their order: two texts, the headers, two numbers, four texts, a time, four texts.
    fn properties(&mut self, properties: &mut Properties) -> Option<()> {
        let flags = u16::from_be_bytes(self.take()?);
        for bit in (2..16).rev().map(|shift| 1_u16 << shift) {
            if flags & bit == 0 {
                continue;
            }
            match 15 - bit.trailing_zeros() {
                _ if bit == BIT_HEADERS => {
                    let length = usize::try_from(u32::from_be_bytes(self.take()?)).ok()?;
                    let table = self.at..self.at.checked_add(length)?;
                    self.bytes.get(table.clone())?;
                    properties.unreadable_from = self.fields(table.end, properties);
                    self.has_mended |= properties.unreadable_from.is_some();
                    self.at = table.end;
                    properties.table = Some(table);
                }
                3 | 4 => self.skip(1)?,
                9 => self.skip(8)?,
                _ => self.shorts(1)?,
            }
        }
        Some(())
    }

    /// Reads the fields of a table up to `end`. Where one of them cannot be read, answers where it begins.
    fn fields(&mut self, end: usize, properties: &mut Properties) -> Option<usize> {
        let mut open = vec![Open { end, has_names: true, kind_at: None }];
        let mut field_at = self.at;
        while let Some(Open { end, has_names, kind_at }) = open.last() {
            let (end, has_names, kind_at) = (*end, *has_names, *kind_at);
            if open.len() == 1 {
                field_at = self.at;
            }
            if self.at == end {
                open.pop();
                continue;
            }
            match self.field(end, has_names, open.len() == DEPTH_MAX, properties) {
                Some(Some(inner)) => open.push(inner),
                Some(None) => {}
                None => {
                    // What is around it can be read, but where it is the headers themselves.
                    let Some(kind_at) = kind_at else { return Some(field_at) };
                    self.bytes[kind_at] = b'x';
                    self.has_mended = true;
                    self.at = end;
                    open.pop();
                }
            }
        }
        None
    }

    /// Reads a field of what ends at `end`, or only its beginning where it holds more fields.
    fn field(
        &mut self,
        end: usize,
        has_name: bool,
        is_deepest: bool,
        properties: &mut Properties,
    ) -> Option<Option<Open>> {
        let name = if has_name { self.short(end)? } else { 0..0 };
        let kind_at = self.at;
        let [kind] = self.take()?;
        let bytes = match kind {
            b'V' => 0,
            b't' | b'b' | b'B' => 1,
            b's' | b'u' | b'U' => 2,
            b'I' | b'i' | b'f' => 4,
            b'D' => 5,
            b'l' | b'L' | b'd' | b'T' => 8,
            b'S' | b'x' | b'F' | b'A' => usize::try_from(u32::from_be_bytes(self.take()?)).ok()?,
            _ => return None,
        };
        let field_end = self.at.checked_add(bytes).filter(|field_end| *field_end <= end)?;
        if matches!(kind, b'F' | b'A') {
            if !is_deepest {
                return Some(Some(Open { end: field_end, has_names: kind == b'F', kind_at: Some(kind_at) }));
            }
            self.bytes[kind_at] = b'x';
            self.has_mended = true;
        }
        if matches!(kind, b'l' | b'L') && self.bytes.get(name) == Some(DELIVERY_COUNT) {
            let count = self.bytes.get(self.at..).and_then(|value| value.first_chunk());
            properties.delivery_count = count.copied().map(i64::from_be_bytes);
        }
        self.at = field_end;
        Some(None)
    }
}

/// Each byte that is no part of a UTF-8 text.
fn mark_invalid(text: &mut [u8]) {
    let mut invalid = Vec::new();
    let mut at = 0;
    for chunk in text.utf8_chunks() {
        at += chunk.valid().len();
        invalid.push(at..at + chunk.invalid().len());
        at += chunk.invalid().len();
    }
    invalid.into_iter().for_each(|range| text[range].fill(MARK));
}

/// Which fields of a table are kept so that they and the note that some are not fit into `room`: all but the largest.
fn fitting(frames: &mut [u8], table: Range<usize>, room: usize) -> Vec<Range<usize>> {
    let mut fields = Vec::new();
    let mut cursor = Cursor { bytes: frames, at: table.start, has_mended: false };
    while cursor.at < table.end {
        let from = cursor.at;
        // Each could be read before.
        let Some(inside) = cursor.field(table.end, true, false, &mut Properties::default()) else { break };
        cursor.at = inside.map_or(cursor.at, |inside| inside.end);
        fields.push(from..cursor.at);
    }
    let mut bytes = DROPPED.len() + fields.iter().map(Range::len).sum::<usize>();
    let mut by_size: Vec<usize> = (0..fields.len()).collect();
    by_size.sort_by_key(|at| fields[*at].len());
    let mut dropped = vec![false; fields.len()];
    while bytes > room
        && let Some(largest) = by_size.pop()
    {
        bytes -= fields[largest].len();
        dropped[largest] = true;
    }
    fields.into_iter().zip(dropped).filter(|(_, dropped)| !dropped).map(|(field, _)| field).collect()
}

/// The frame with a table of these fields and a note.
fn replace_table(frames: &mut Vec<u8>, from: usize, table: Range<usize>, kept: &[Range<usize>]) {
    let mut fields = Vec::with_capacity(kept.iter().map(Range::len).sum::<usize>() + DROPPED.len());
    kept.iter().for_each(|field| fields.extend_from_slice(&frames[field.clone()]));
    fields.extend_from_slice(DROPPED);
    let length_at = table.start - 4..table.start;
    let length = u32::try_from(fields.len()).unwrap_or(u32::MAX);
    frames[length_at].copy_from_slice(&length.to_be_bytes());
    frames.splice(table, fields);
    let payload = frames.len() - from - HEAD_BYTES - END_BYTES;
    let size = u32::try_from(payload).unwrap_or(u32::MAX);
    frames[from + 3..from + HEAD_BYTES].copy_from_slice(&size.to_be_bytes());
}
