use std::sync::Arc;

use amq_protocol::frame::{AMQPFrame, parse_frame};
use amq_protocol::protocol::{AMQPClass, basic};
use amq_protocol::types::{AMQPValue, FieldTable};
use proptest::collection::vec;
use proptest::prelude::*;

use super::frames::{Frames, TooLarge};
use super::witness::Witness;
use super::{FRAME_MAX, is_mended};

const CONTENT_TYPE: u16 = 1 << 15;
const HEADERS: u16 = 1 << 13;
const MESSAGE_ID: u16 = 1 << 7;
const ALL_SHORT: [u32; 10] = [15, 14, 10, 9, 8, 7, 5, 4, 3, 2];

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[kind, 0, 1][..], &size, payload, &[0xce]].concat()
}

fn header(flags: u16, properties: &[u8]) -> Vec<u8> {
    frame(2, &[&[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7][..], &flags.to_be_bytes(), properties].concat())
}

fn short(text: &[u8]) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()][..], text].concat()
}

fn long(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

fn deliver(exchange: &[u8], key: &[u8]) -> Vec<u8> {
    let tag = [0, 0, 0, 0, 0, 0, 0, 1, 0];
    frame(1, &[&[0, 60, 0, 60][..], &short(b"tag"), &tag, &short(exchange), &short(key)].concat())
}

/// Tables or lists, one within the other.
fn nested(kind: u8, depth: usize) -> Vec<u8> {
    let mut heads = Vec::new();
    let each = if kind == b'F' { 6 } else { 5 };
    for level in (0..depth).rev() {
        if kind == b'F' {
            heads.push(0);
        }
        heads.push(kind);
        heads.extend(u32::try_from(level * each).unwrap().to_be_bytes());
    }
    heads
}

fn read(pieces: &[&[u8]]) -> (Result<Vec<u8>, TooLarge>, Arc<Witness>) {
    let witness = Arc::new(Witness::default());
    let (mut frames, mut ready) = (Frames::new(FRAME_MAX, Arc::clone(&witness)), Vec::new());
    let read = pieces.iter().try_for_each(|piece| frames.read(piece, &mut ready));
    frames.end(&mut ready);
    (read.map(|()| ready), witness)
}

fn mended(bytes: &[u8]) -> Vec<u8> {
    read(&[bytes]).0.unwrap()
}

/// As lapin parses it; it has to be one frame.
fn parsed(bytes: &[u8]) -> AMQPFrame {
    let (rest, frame) = parse_frame(bytes).unwrap_or_else(|e| panic!("{e}: {bytes:02x?}"));
    assert!(rest.is_empty());
    frame
}

fn properties(bytes: &[u8]) -> basic::AMQPProperties {
    let AMQPFrame::Header(1, header) = parsed(bytes) else { panic!("no header") };
    assert_eq!(header.body_size, 7);
    header.properties
}

fn headers(bytes: &[u8]) -> FieldTable {
    properties(bytes).headers().clone().unwrap()
}

#[test]
fn what_lapin_can_read_passes_as_it_is() {
    let table = [&short("键".as_bytes())[..], b"S", &long(b"\xff\xfe"), &short(b"n"), b"V"].concat();
    let given = [
        deliver(b"payments", "键".as_bytes()),
        header(CONTENT_TYPE | HEADERS, &[short(b"text/plain"), long(&table)].concat()),
        frame(3, b"\xff\xfe\x01"),
        frame(8, b""),
    ]
    .concat();
    let (read, witness) = read(&[&given]);
    assert_eq!((read.unwrap(), witness.take_mended()), (given, 0));
}

#[test]
fn each_short_property_that_is_no_text_is_read_with_a_mark_for_each_wrong_byte() {
    for bit in ALL_SHORT {
        // "付款" in GBK.
        let given = header(1 << bit, &short(b"a\xb8\xb6\xbf\xee"));
        let (answer, witness) = read(&[&given]);
        let answer = answer.unwrap();
        assert_eq!((answer.len(), witness.take_mended()), (given.len(), 1));
        let text = format!("{:?}", properties(&answer));
        assert!(text.contains("a\\u{1a}\\u{1a}\\u{1a}\\u{1a}"), "{text}");
    }
    let id = properties(&mended(&header(MESSAGE_ID, &short(b"\xff")))).message_id().clone().unwrap();
    assert!(is_mended(id.as_str()) && !is_mended("plain"));
}

#[test]
fn names_of_headers_are_mended_at_every_depth_and_their_values_kept() {
    let inner = [&short(b"\xb6")[..], b"S", &long(b"\xb6")].concat();
    let list = [&b"F"[..], &long(&inner), b"t\x01"].concat();
    let table = [&short(b"\xb8\xb6")[..], b"A", &long(&list), &short(b"x"), b"I\0\0\0\x05"].concat();
    let headers = headers(&mended(&header(HEADERS, &long(&table))));
    let Some(AMQPValue::FieldArray(list)) = headers.inner().get("\u{1a}\u{1a}") else { panic!("{headers:?}") };
    let [AMQPValue::FieldTable(inner), AMQPValue::Boolean(true)] = list.as_slice() else { panic!("{list:?}") };
    assert_eq!(inner.inner().get("\u{1a}"), Some(&AMQPValue::LongString(b"\xb6".to_vec().into())));
    assert_eq!(headers.inner().get("x"), Some(&AMQPValue::LongInt(5)));
}

#[test]
fn what_is_nested_as_deeply_as_a_frame_can_hold_is_read_as_bytes_below_a_depth() {
    for table in [nested(b'F', 21_800), [&short(b"k")[..], &nested(b'A', 26_000)].concat()] {
        let table = [&table[..], &short(b"beside"), b"t\x01"].concat();
        let given = header(HEADERS, &long(&table));
        let answer = mended(&given);
        assert_eq!(answer.len(), given.len());
        let headers = headers(&answer);
        assert_eq!(headers.inner().get("beside"), Some(&AMQPValue::Boolean(true)));
        assert_eq!(headers.inner().len(), 2);
    }
}

#[test]
fn what_cannot_be_read_within_a_header_is_read_as_bytes_and_in_the_headers_themselves_is_dropped() {
    let bad = [&short(b"good")[..], b"t\x01", &short(b"bad"), b"z\0\0"].concat();
    let table = [&short(b"in")[..], b"F", &long(&bad), &short(b"beside"), b"t\x01"].concat();
    let within = headers(&mended(&header(HEADERS | MESSAGE_ID, &[long(&table), short(b"id")].concat())));
    assert_eq!(within.inner().get("in"), Some(&AMQPValue::ByteArray(bad.clone().into())));
    assert_eq!(within.inner().get("beside"), Some(&AMQPValue::Boolean(true)));
    let itself = mended(&header(HEADERS | MESSAGE_ID, &[long(&bad), short(b"id")].concat()));
    assert_eq!(properties(&itself).message_id().clone().unwrap().as_str(), "id");
    let itself = headers(&itself);
    assert_eq!(itself.inner().len(), 2);
    assert!(itself.contains_key("good") && itself.contains_key("x-headers-dropped"));
    // A name that would reach beyond its table must not be mended there.
    let beyond = [&long(b"\x05\xff")[..], &short("标识".as_bytes())].concat();
    let beyond = properties(&mended(&header(HEADERS | MESSAGE_ID, &beyond)));
    assert_eq!(beyond.message_id().clone().unwrap().as_str(), "标识");
}

#[test]
fn headers_that_rabbitmq_made_larger_than_a_frame_lose_the_largest() {
    // As RabbitMQ 3.10 delivers a full frame for the second time.
    let counted = [&short(b"x-delivery-count")[..], b"l\0\0\0\0\0\0\0\x03"].concat();
    let rest = [&short(b"small")[..], b"S", &long(b"kept"), &short(b"large"), b"S"].concat();
    let fill = FRAME_MAX as usize - 22 - 4 - rest.len() - 4;
    let table = [&rest[..], &long(&vec![b'a'; fill]), &counted].concat();
    let given = header(HEADERS, &long(&table));
    assert_eq!(given.len(), FRAME_MAX as usize + 26);
    let (answer, witness) = read(&[&deliver(b"", b""), &given]);
    let answer = answer.unwrap().split_off(deliver(b"", b"").len());
    assert!(answer.len() <= FRAME_MAX as usize);
    let headers = headers(&answer);
    assert!(headers.contains_key("small") && headers.contains_key("x-headers-dropped"));
    assert!(headers.contains_key("x-delivery-count") && !headers.contains_key("large"));
    assert_eq!((witness.take_mended(), witness.delivery_count()), (1, Some(3)));
    // Of many small ones as many as have to.
    let many: Vec<u8> =
        (0..13_200).flat_map(|n| [&short(format!("{n:05}").as_bytes())[..], b"s\0\0"].concat()).collect();
    let many: Vec<u8> = many.into_iter().chain(long_fill(5_000)).collect();
    let answer = mended(&header(HEADERS, &long(&many)));
    assert!((FRAME_MAX as usize - 100..=FRAME_MAX as usize).contains(&answer.len()), "{}", answer.len());
}

/// Fields of eleven bytes.
fn long_fill(count: usize) -> Vec<u8> {
    (0..count).flat_map(|n| [&short(format!("{n:04}").as_bytes())[..], b"D\0\0\0\0\0"].concat()).collect()
}

#[test]
fn the_frame_that_the_broker_asks_for_counts_where_it_is_smaller() {
    let tune = frame(1, &[&[0, 10, 0, 30, 0, 0][..], &8192_u32.to_be_bytes(), &[0, 60]].concat());
    let table = [&short(b"k")[..], b"S", &long(&vec![b'a'; 8192])].concat();
    let answer = mended(&[&tune[..], &header(HEADERS, &long(&table))].concat());
    assert!(answer.len() < tune.len() + 100, "{}", answer.len());
}

#[test]
fn names_and_reasons_in_methods_are_mended() {
    let AMQPFrame::Method(1, AMQPClass::Basic(basic::AMQPMethod::Deliver(deliver))) =
        parsed(&mended(&deliver(b"\xff", b"a.\xff")))
    else {
        panic!("no delivery")
    };
    assert_eq!(
        (deliver.exchange.as_str(), deliver.routing_key.as_str(), deliver.delivery_tag),
        ("\u{1a}", "a.\u{1a}", 1)
    );
    let texts = [short(b"\xe6\x94"), short(b"x\xff"), short(b"\xff")].concat();
    let tag = [0; 9];
    for payload in [
        [&[0, 60, 0, 50, 1, 56][..], &texts].concat(),
        [&[0, 60, 0, 71][..], &tag, &short(b"\xff"), &short(b"\xff"), &[0; 4]].concat(),
        [&[0, 20, 0, 40, 1, 148][..], &short(b"no exchange \xe6\x94"), &[0; 4]].concat(),
        [&[0, 10, 0, 50, 1, 148][..], &short(b"no exchange \xe6\x94"), &[0; 4]].concat(),
    ] {
        parsed(&mended(&frame(1, &payload)));
    }
}

#[test]
fn what_is_no_amqp_passes_and_what_is_too_large_ends_the_connection() {
    for foreign in [&b"AMQP\0\0\x09\x01"[..], b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0", b"\x01\0"] {
        assert_eq!(mended(foreign), foreign);
    }
    for kind in [1, 2] {
        let head = [&[kind, 0, 1][..], &(256 * 1024_u32).to_be_bytes(), b"x"].concat();
        assert_eq!(read(&[&head]).0, Err(TooLarge(256 * 1024 + 8)));
    }
    let body = [&[3, 0, 1][..], &u32::MAX.to_be_bytes(), b"x"].concat();
    assert_eq!(mended(&body), body);
}

/// Any fields that RabbitMQ passes on.
fn fields() -> impl Strategy<Value = Vec<u8>> {
    let scalar = prop_oneof![
        Just(b"V".to_vec()),
        any::<u8>().prop_map(|n| vec![b't', n]),
        any::<[u8; 2]>().prop_map(|n| [&b"s"[..], &n].concat()),
        any::<[u8; 4]>().prop_map(|n| [&b"i"[..], &n].concat()),
        any::<[u8; 5]>().prop_map(|n| [&b"D"[..], &n].concat()),
        any::<[u8; 8]>().prop_map(|n| [&b"T"[..], &n].concat()),
        vec(any::<u8>(), 0..20).prop_map(|bytes| [&b"S"[..], &long(&bytes)].concat()),
    ];
    let value = scalar.prop_recursive(5, 24, 4, |value| {
        let field = (vec(any::<u8>(), 0..5), value.clone());
        let table = vec(field.prop_map(|(name, value)| [short(&name), value].concat()), 0..4);
        prop_oneof![
            table.prop_map(|fields| [&b"F"[..], &long(&fields.concat())].concat()),
            vec(value, 0..4).prop_map(|values| [&b"A"[..], &long(&values.concat())].concat()),
        ]
    });
    let field = (vec(any::<u8>(), 0..5), value).prop_map(|(name, value)| [short(&name), value].concat());
    vec(field, 0..6).prop_map(|fields| fields.concat())
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    let texts = vec(any::<u8>(), 0..12);
    (texts.clone(), texts.clone(), texts, fields(), vec(any::<u8>(), 0..300)).prop_map(
        |(key, kind, id, fields, body)| {
            let properties = [short(&kind), long(&fields), short(&id)].concat();
            [deliver(b"payments", &key), header(CONTENT_TYPE | HEADERS | MESSAGE_ID, &properties), frame(3, &body)]
                .concat()
        },
    )
}

fn cut(bytes: &[u8], at: &[prop::sample::Index]) -> Vec<u8> {
    let mut places: Vec<usize> = at.iter().map(|at| at.index(bytes.len() + 1)).collect();
    places.sort_unstable();
    let ends = places.iter().copied().chain([bytes.len()]);
    let pieces: Vec<&[u8]> =
        std::iter::once(0).chain(places.iter().copied()).zip(ends).map(|(from, to)| &bytes[from..to]).collect();
    read(&pieces).0.unwrap_or_default()
}

proptest! {
    #[test]
    fn lapin_reads_whatever_rabbitmq_passes_on_and_lengths_stay(messages in vec(message(), 1..4)) {
        let given = messages.concat();
        let answer = mended(&given);
        prop_assert_eq!(answer.len(), given.len());
        let mut rest = &answer[..];
        while !rest.is_empty() {
            (rest, _) = parse_frame(rest).unwrap();
        }
        prop_assert_eq!(mended(&answer), answer, "twice is once");
    }

    #[test]
    fn the_answer_is_the_same_wherever_the_bytes_are_cut(
        messages in vec(message(), 1..3),
        at in vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let given = messages.concat();
        prop_assert_eq!(cut(&given, &at), mended(&given));
        let each: Vec<&[u8]> = given.chunks(1).collect();
        prop_assert_eq!(read(&each).0, Ok(mended(&given)));
    }

    #[test]
    fn no_bytes_make_it_panic_or_depend_on_cuts(
        kind in 0_u8..10,
        bytes in vec(any::<u8>(), 0..200),
        at in vec(any::<prop::sample::Index>(), 0..10),
    ) {
        for given in [bytes.clone(), frame(kind, &bytes), header(u16::from(kind) << 12 | HEADERS, &bytes)] {
            prop_assert_eq!(cut(&given, &at), read(&[&given]).0.unwrap_or_default());
        }
    }
}

/// A message whose body is large, in frames as RabbitMQ makes them.
fn large_message(body_bytes: usize) -> Vec<u8> {
    let size = u64::try_from(body_bytes).unwrap().to_be_bytes();
    let header = frame(2, &[&[0, 60, 0, 0][..], &size, &[0, 0]].concat());
    let body = vec![b'a'; body_bytes];
    let frames = body.chunks(100_000).flat_map(|chunk| frame(3, chunk));
    [deliver(b"x", b"k"), header].concat().into_iter().chain(frames).collect()
}

/// Reads on as far as the gate lets it.
fn read_on(frames: &mut Frames, mut bytes: &[u8]) -> usize {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let (all, mut ready) = (bytes.len(), Vec::new());
    while !bytes.is_empty()
        && let std::task::Poll::Ready(bytes_max) = frames.poll_readable(&mut cx, 32 * 1024)
    {
        let here = bytes_max.min(bytes.len());
        frames.read(&bytes[..here], &mut ready).unwrap();
        bytes = &bytes[here..];
    }
    all - bytes.len()
}

#[test]
fn a_large_body_is_read_to_its_end_and_what_comes_behind_it_waits_until_it_is_settled() {
    const LARGE: usize = 1_000_000;
    const MOST: usize = 64 * 1024 * 1024 - 1;
    let witness = Arc::new(Witness::default());
    let gate = Arc::clone(witness.gate());
    let mut frames = Frames::new(FRAME_MAX, Arc::clone(&witness));
    let message = large_message(LARGE);
    let two = [message.clone(), message.clone()].concat();
    assert_eq!(read_on(&mut frames, &two), two.len(), "nobody looks after what is read");
    gate.keep();
    gate.arrives(u64::try_from(MOST).unwrap());
    assert_eq!(read_on(&mut frames, &two), message.len());
    drop(gate.hold(LARGE));
    assert_eq!(read_on(&mut frames, &message), message.len());
    assert_eq!(read_on(&mut frames, &two), 0);
    drop((gate.hold(LARGE), gate.hold(MOST)));
    // A small one is no matter of the gate.
    let small = [large_message(10), message].concat();
    assert_eq!(read_on(&mut frames, &small), small.len());
}
