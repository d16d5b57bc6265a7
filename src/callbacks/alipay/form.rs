//! `application/x-www-form-urlencoded`, read strictly and as bytes: Alipay signs the bytes of the charset that it sends,
//! which may be GBK.

use std::collections::BTreeMap;

/// The fields of a form, by name, in the order of the names' bytes.
pub(super) struct Form(BTreeMap<Vec<u8>, Vec<u8>>);

impl Form {
    /// Reads `a=1&b=%32+3`. `None` where an escape is broken or a name is there twice: then it is not certain which of
    /// the two was signed.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let mut fields = BTreeMap::new();
        for pair in body.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
            let at = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
            let value = pair.get(at + 1..).unwrap_or_default();
            if fields.insert(decode(&pair[..at])?, decode(value)?).is_some() {
                return None;
            }
        }
        Some(Self(fields))
    }

    /// The field's text; `None` where it is absent, empty or not UTF-8.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name.as_bytes())?;
        std::str::from_utf8(value).ok().filter(|text| !text.is_empty())
    }

    /// True if a field has no value.
    pub(super) fn has_empty(&self) -> bool {
        self.0.values().any(Vec::is_empty)
    }

    /// `name=value` of all fields but those in `without`, and but those without a value where `with_empty` is false; sorted,
    /// joined with `&`.
    pub(super) fn signed_text(&self, without: &[&str], with_empty: bool) -> Vec<u8> {
        let mut text = Vec::new();
        let is_signed = |name: &[u8], value: &[u8]| {
            (with_empty || !value.is_empty()) && !without.iter().any(|w| w.as_bytes() == name)
        };
        for (name, value) in self.0.iter().filter(|(name, value)| is_signed(name, value)) {
            if !text.is_empty() {
                text.push(b'&');
            }
            text.extend_from_slice(name);
            text.push(b'=');
            text.extend_from_slice(value);
        }
        text
    }
}

fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        rest = after;
        decoded.push(match first {
            b'+' => b' ',
            b'%' => {
                let [high, low, after @ ..] = after else { return None };
                rest = after;
                hex(*high)? << 4 | hex(*low)?
            }
            plain => *plain,
        });
    }
    Some(decoded)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded_once_and_sorted() {
        let form = Form::parse(b"b=1%2B1+%3D+2&a=%E8%AE%A2&sign=x%3D%3D&c=%D6%D0&=&d").unwrap();
        assert_eq!(form.text("b"), Some("1+1 = 2"));
        assert_eq!((form.text("c"), form.text("d"), form.text("e")), (None, None, None));
        assert_eq!(form.signed_text(&["sign", ""], true), b"a=\xE8\xAE\xA2&b=1+1 = 2&c=\xD6\xD0&d=");
        assert_eq!(form.signed_text(&["sign"], false), b"a=\xE8\xAE\xA2&b=1+1 = 2&c=\xD6\xD0");
        assert!(form.has_empty() && !Form::parse(b"a=1").unwrap().has_empty());
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_not_read() {
        for bad in ["a=1&a=2", "a=1&%61=1", "a=%", "a=%4", "a=%zz", "%=1"] {
            assert!(Form::parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
