//! JSON objects from outside.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::value::MapAccessDeserializer;
use serde::{Deserialize, Deserializer, de};

/// What was read from an object, and from nothing else. By itself a struct is also read from an array of its fields' values,
/// which no document of ours allows: whatever strangers send is read as this, and so is each object within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object<T>(pub T);

impl<T> Deref for Object<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Visitor(PhantomData)).map(Self)
    }
}

struct Visitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Visitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Inner {
        n: u8,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer<'a> {
        inner: Option<Object<Inner>>,
        #[serde(borrow)]
        raw: &'a RawValue,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(tag = "type", rename_all = "snake_case")]
    enum Tagged {
        Say { text: String },
        Nothing {},
    }

    #[test]
    fn an_object_is_read_as_without_it_and_an_array_is_not() {
        let outer: Object<Outer<'_>> = serde_json::from_str(r#"{"inner":{"n":1},"raw":[1, 2]}"#).unwrap();
        assert_eq!((outer.inner.as_deref(), outer.raw.get()), (Some(&Inner { n: 1 }), "[1, 2]"));
        for array in
            [r#"[{"n":1},2]"#, r#"{"inner":[1],"raw":2}"#, "[]", "null", "7", r#""text""#, r#"{"inner":{"n":1}}"#]
        {
            assert!(serde_json::from_str::<Object<Outer<'_>>>(array).is_err(), "{array}");
        }
        assert!(serde_json::from_str::<Object<Outer<'_>>>(r#"{"raw":1,"more":2}"#).is_err());
        let tagged = |text| serde_json::from_str::<Object<Tagged>>(text).map(|tagged| tagged.0).ok();
        assert_eq!(tagged(r#"{"text":"a","type":"say"}"#), Some(Tagged::Say { text: "a".to_owned() }));
        assert_eq!(tagged(r#"{"type":"nothing"}"#), Some(Tagged::Nothing {}));
        assert_eq!((tagged(r#"["say","a"]"#), tagged(r#"["nothing"]"#)), (None, None));
    }

    #[test]
    fn an_error_says_where_it_is() {
        let error = serde_json::from_str::<Object<Inner>>(r#"{"n":"no number"}"#).unwrap_err();
        assert!(error.is_data() && error.column() > 1, "{error}");
        let error = serde_json::from_str::<Object<Inner>>("[1]").unwrap_err();
        assert!(error.is_data() && error.to_string().contains("expected an object"), "{error}");
    }
}
