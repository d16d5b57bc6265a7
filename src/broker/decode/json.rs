//! JSON one object at a time: an error names its field, a key that stands twice is seen, and text that is nested too
//! deep is refused before anything walks it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Reject;

/// Refuses text with more than `levels_max` open brackets at any point. Checks nothing else of its syntax.
pub(super) fn check_depth(text: &str, levels_max: usize) -> Result<(), Reject> {
    let (mut levels, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => levels += 1,
            b'}' | b']' => levels = levels.saturating_sub(1),
            _ => {}
        }
        if levels > levels_max {
            return Err(Reject::too_deep(levels_max));
        }
    }
    Ok(())
}

/// The members `names` of the object `text`, in that order; other members are checked for syntax only. A member that is
/// `null` or an empty text counts as absent. `path` is what errors put before a name: empty, or `refund.`.
pub(super) fn members<'a, const N: usize>(
    text: &'a str,
    path: &str,
    names: &[&str; N],
) -> Result<[Option<&'a RawValue>; N], Reject> {
    Ok(written_members(text, path, names)?.map(|value| value.filter(|raw| !is_empty(raw))))
}

/// True for what counts as absent.
pub(super) fn is_empty(raw: &RawValue) -> bool {
    matches!(raw.get(), "null" | "\"\"")
}

/// As [`members`], with those that count as absent.
pub(super) fn written_members<'a, const N: usize>(
    text: &'a str,
    path: &str,
    names: &[&str; N],
) -> Result<[Option<&'a RawValue>; N], Reject> {
    let mut twice = None;
    let mut json = serde_json::Deserializer::from_str(text);
    let found =
        Members { names, twice: &mut twice }.deserialize(&mut json).and_then(|found| json.end().map(|()| found));
    match found {
        Ok(found) => Ok(found),
        Err(error) => Err(match twice {
            Some(name) => Reject::duplicate(&format!("{path}{name}")),
            // serde's words for a value of another kind would repeat the value.
            None if path.is_empty() && error.is_data() => Reject::invalid_json("it is another kind of JSON value"),
            None if path.is_empty() => Reject::invalid_json(error),
            None => Reject::malformed(path.trim_end_matches('.'), "must be an object"),
        }),
    }
}

struct Members<'n, 't, const N: usize> {
    names: &'n [&'n str; N],
    twice: &'t mut Option<&'n str>,
}

impl<'de, const N: usize> DeserializeSeed<'de> for Members<'_, '_, N> {
    type Value = [Option<&'de RawValue>; N];
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for Members<'_, '_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; N];
        while let Some(index) = map.next_key_seed(KnownName(self.names))? {
            match index {
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
                Some(index) if found[index].is_some() => {
                    *self.twice = Some(self.names[index]);
                    return Err(A::Error::custom("a field appears twice"));
                }
                Some(index) => found[index] = Some(map.next_value::<&RawValue>()?),
            }
        }
        Ok(found)
    }
}

/// Reads a key as its index among the known names.
struct KnownName<'n>(&'n [&'n str]);

impl<'de> DeserializeSeed<'de> for KnownName<'_> {
    type Value = Option<usize>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KnownName<'_> {
    type Value = Option<usize>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|name| *name == key))
    }
}

/// The text in a member that must be one.
pub(super) fn text<'a>(value: Option<&'a RawValue>, field: &str) -> Result<Option<Cow<'a, str>>, Reject> {
    let Some(raw) = value.map(RawValue::get) else {
        return Ok(None);
    };
    match raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(plain) if !plain.contains('\\') => Ok(Some(Cow::Borrowed(plain))),
        Some(_) => match serde_json::from_str::<String>(raw) {
            Ok(text) => Ok(Some(text).filter(|text| !text.is_empty()).map(Cow::Owned)),
            // A lone surrogate: JSON allows the escape, but it is no character.
            Err(_not_unicode) => Err(Reject::malformed(field, "must be a string of Unicode characters")),
        },
        None => Err(Reject::malformed(field, "must be a string")),
    }
}

/// A text of at most `bytes_max`, boxed.
pub(super) fn short(value: Option<&RawValue>, field: &str, bytes_max: usize) -> Result<Option<Box<str>>, Reject> {
    match text(value, field)? {
        Some(text) if text.len() > bytes_max => {
            Err(Reject::malformed(field, format_args!("must be at most {bytes_max} bytes")))
        }
        text => Ok(text.map(|text| text.into_owned().into_boxed_str())),
    }
}

/// Follows the reference tokens of a JSON pointer (RFC 6901). Not set where the pointer leads to nothing.
pub(super) fn point<'a>(text: &'a str, tokens: &[String]) -> Result<Option<&'a str>, Reject> {
    let mut here = text;
    for token in tokens {
        let next = if here.trim_start().starts_with('[') {
            let list: Vec<&RawValue> = serde_json::from_str(here).map_err(Reject::invalid_json)?;
            let canonical = token == "0" || !token.starts_with(['0', '+']);
            token.parse::<usize>().ok().filter(|_| canonical).and_then(|index| list.get(index).copied())
        } else {
            let [member] = members(here, "", &[token.as_str()])?;
            member
        };
        match next {
            Some(raw) => here = raw.get(),
            None => return Ok(None),
        }
    }
    Ok(Some(here))
}
