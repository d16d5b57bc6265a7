//! Several secrets of one kind, while one takes the place of another.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use subtle::{Choice, ConstantTimeEq};

use super::Secret;

/// Secrets of which the first signs or is shown, and all are taken. A text is one, a list is several; an empty text and an
/// empty list are none. `Debug` and serialisation show only how many there are.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(Vec<Secret>);

impl Secrets {
    /// As a list, the first first.
    #[must_use]
    pub fn new(secrets: Vec<Secret>) -> Self {
        Self(secrets)
    }

    /// False where there is none.
    #[must_use]
    pub fn is_set(&self) -> bool {
        !self.0.is_empty()
    }

    /// The one to sign with, or to show.
    #[must_use]
    pub fn first(&self) -> Option<&Secret> {
        self.0.first()
    }

    /// All, the first first.
    pub fn iter(&self) -> std::slice::Iter<'_, Secret> {
        self.0.iter()
    }

    /// Whether `given` is one of them. Each is compared, and in constant time: how long it takes tells only their lengths.
    #[must_use]
    pub fn contains(&self, given: &[u8]) -> bool {
        let is_one =
            self.0.iter().fold(Choice::from(0), |is_one, secret| is_one | secret.expose().as_bytes().ct_eq(given));
        is_one.into()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} set)", self.0.len())
    }
}

impl Serialize for Secrets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.len() {
            0 => serializer.serialize_str(""),
            1 => serializer.serialize_str(Secret::SHOWN),
            many => serializer.collect_seq(std::iter::repeat_n(Secret::SHOWN, many)),
        }
    }
}

impl<'de> Deserialize<'de> for Secrets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrList)
    }
}

struct TextOrList;

impl<'de> Visitor<'de> for TextOrList {
    type Value = Secrets;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list of strings")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Secrets, E> {
        Ok(Secrets(if text.is_empty() { Vec::new() } else { vec![Secret::new(text)] }))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Secrets, A::Error> {
        let mut secrets = Vec::new();
        while let Some(secret) = list.next_element()? {
            secrets.push(secret);
        }
        Ok(Secrets(secrets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_of_them_is_taken_and_nothing_else() {
        let secrets = Secrets::new(vec![Secret::new("first-one"), Secret::new("second-one")]);
        for (given, is_one) in
            [("first-one", true), ("second-one", true), ("first", false), ("first-oneX", false), ("", false)]
        {
            assert_eq!(secrets.contains(given.as_bytes()), is_one, "{given:?}");
        }
        assert!(!Secrets::default().contains(b""));
    }

    #[test]
    fn nothing_of_them_is_shown_but_how_many_there_are() {
        for (texts, debug, shown) in [
            (vec![], "(0 set)", r#""""#),
            (vec!["amqp://u:hunter2@h"], "(1 set)", r#""(set)""#),
            (vec!["hunter2", "hunter3"], "(2 set)", r#"["(set)","(set)"]"#),
        ] {
            let secrets = Secrets::new(texts.into_iter().map(Secret::new).collect());
            assert_eq!(format!("{secrets:?}"), debug);
            assert_eq!(serde_json::to_string(&secrets).unwrap(), shown);
        }
    }
}
