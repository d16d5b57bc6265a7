//! All JSON pointers of a mapping as one tree, so that a body is read once, whatever the number of its fields.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Pointers of one mapping. Each is one bit of what was seen in an object.
const POINTERS_MAX: usize = 64;
/// A clause that goes after the name of a key.
pub(super) const NO_POINTER: &str = "must be a JSON pointer, which begins with /";

/// One reference token, with what is looked for at it and below it.
#[derive(Debug, Clone, Default)]
struct Node {
    /// The member's name; for an element of an array its place too.
    token: Box<str>,
    place: Option<usize>,
    pointer: Box<str>,
    slot: Option<usize>,
    below: Vec<Node>,
}

/// Which values of a body are wanted.
#[derive(Debug, Clone, Default)]
pub(super) struct Pointers {
    root: Node,
    slots: usize,
}

/// The values of one body, by slot. One that is absent is not set.
#[derive(Debug)]
pub(super) struct Values<'t, 'a> {
    slots: Vec<Option<&'a RawValue>>,
    /// The first pointer that leads to two values.
    pub(super) twice: Option<&'t str>,
}

impl<'a> Values<'_, 'a> {
    /// The value in a slot that [`Pointers::slot`] gave.
    pub(super) fn at(&self, slot: usize) -> Option<&'a RawValue> {
        self.slots.get(slot).copied().flatten()
    }
}

impl Pointers {
    /// The slot of a pointer, the same for the same pointer.
    ///
    /// # Errors
    /// What is wrong with it: a clause that goes after the name of its key.
    pub(super) fn slot(&mut self, pointer: &str) -> Result<usize, String> {
        let mut node = &mut self.root;
        for token in tokens(pointer)? {
            let known = node.below.iter().position(|child| *child.token == *token);
            let at = known.unwrap_or_else(|| {
                let path = format!("{}/{}", node.pointer, token.replace('~', "~0").replace('/', "~1"));
                node.below.push(Node { place: place(&token), token, pointer: path.into(), ..Node::default() });
                node.below.len() - 1
            });
            node = &mut node.below[at];
        }
        if let Some(slot) = node.slot {
            return Ok(slot);
        }
        if self.slots == POINTERS_MAX {
            return Err(format!("is one pointer too many: a mapping has at most {POINTERS_MAX}"));
        }
        self.slots += 1;
        Ok(*node.slot.insert(self.slots - 1))
    }

    /// Reads the body once. Not set where it is not JSON.
    pub(super) fn read<'t, 'a>(&'t self, body: &'a str) -> Option<Values<'t, 'a>> {
        let mut values = Values { slots: vec![None; self.slots], twice: None };
        let mut json = serde_json::Deserializer::from_str(body);
        Reader { node: &self.root, values: &mut values }.deserialize(&mut json).ok()?;
        json.end().ok()?;
        Some(values)
    }
}

/// The reference tokens of a pointer (RFC 6901), without their escapes.
fn tokens(pointer: &str) -> Result<Vec<Box<str>>, String> {
    let Some(rest) = pointer.strip_prefix('/') else {
        return Err(NO_POINTER.to_owned());
    };
    let token = |token: &str| {
        if token.split('~').skip(1).any(|after| !after.starts_with(['0', '1'])) {
            return Err("is no JSON pointer: ~ must be written ~0, and / within a name ~1".to_owned());
        }
        Ok(token.replace("~1", "/").replace("~0", "~").into_boxed_str())
    };
    rest.split('/').map(token).collect()
}

/// The place in an array that a token means, if it can mean one.
fn place(token: &str) -> Option<usize> {
    let canonical = token == "0" || !token.starts_with(['0', '+']);
    token.parse().ok().filter(|_| canonical)
}

struct Reader<'t, 's, 'a> {
    node: &'t Node,
    values: &'s mut Values<'t, 'a>,
}

impl<'a> Reader<'_, '_, 'a> {
    /// Keeps the value that was read whole, and looks into it for what is wanted below.
    fn keep(self, slot: usize, value: &'a RawValue) -> serde_json::Result<()> {
        self.values.slots[slot] = Some(value);
        if self.node.below.is_empty() {
            return Ok(());
        }
        let mut json = serde_json::Deserializer::from_str(value.get());
        self.deserialize(&mut json)
    }
}

impl<'a> DeserializeSeed<'a> for Reader<'_, '_, 'a> {
    type Value = ();
    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Reader<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let wanted = &self.node.below;
        let mut seen = 0_u64;
        while let Some(at) = map.next_key_seed(Token(wanted))? {
            let Some((at, node)) = at.and_then(|at| Some((at, wanted.get(at)?))) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if seen & (1 << at) != 0 {
                self.values.twice.get_or_insert(&node.pointer);
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            seen |= 1 << at;
            let below = Reader { node, values: &mut *self.values };
            match node.slot {
                Some(slot) => below.keep(slot, map.next_value()?).map_err(A::Error::custom)?,
                None => map.next_value_seed(below)?,
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut list: A) -> Result<(), A::Error> {
        for place in 0.. {
            let wanted = self.node.below.iter().find(|node| node.place == Some(place));
            let Some(node) = wanted else {
                match list.next_element::<IgnoredAny>()? {
                    Some(_) => continue,
                    None => break,
                }
            };
            let below = Reader { node, values: &mut *self.values };
            let more = match node.slot {
                Some(slot) => match list.next_element()? {
                    Some(value) => {
                        below.keep(slot, value).map_err(A::Error::custom)?;
                        true
                    }
                    None => false,
                },
                None => list.next_element_seed(below)?.is_some(),
            };
            if !more {
                break;
            }
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Reads a member's name as its index among those that are wanted.
struct Token<'t>(&'t [Node]);

impl<'a> DeserializeSeed<'a> for Token<'_> {
    type Value = Option<usize>;
    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Token<'_> {
    type Value = Option<usize>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|node| *node.token == *key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pointers: &[&str], body: &str) -> Vec<Option<String>> {
        let mut tree = Pointers::default();
        let slots: Vec<usize> = pointers.iter().map(|pointer| tree.slot(pointer).unwrap()).collect();
        let values = tree.read(body).unwrap();
        slots.into_iter().map(|slot| values.at(slot).map(|raw| raw.get().to_owned())).collect()
    }

    #[test]
    fn each_pointer_finds_its_value() {
        let body = r#"{"a":{"b":[1,{"c":"x"}],"d~/":null},"":2,"e":{"0":true},"a2":[[],7]}"#;
        let pointers = ["/a/b/1/c", "/a/d~0~1", "/", "/e/0", "/a2/1", "/a/b", "/a/b/2", "/x", "/a/b/1/c"];
        let expected = ["\"x\"", "null", "2", "true", "7", "[1,{\"c\":\"x\"}]"].map(|text| Some(text.to_owned()));
        let found = found(&pointers, body);
        assert_eq!(found[..6], expected);
        assert_eq!(found[6..], [None, None, Some("\"x\"".to_owned())]);
    }

    #[test]
    fn a_value_of_another_kind_leads_nowhere() {
        for body in ["7", "\"a\"", "[]", r#"{"a":7}"#, r#"{"a":[{"b":1}]}"#, r#"{"a":"b"}"#, r#"{"a":null}"#] {
            assert_eq!(found(&["/a/b"], body), [None], "{body}");
        }
        let mut tree = Pointers::default();
        tree.slot("/a").unwrap();
        assert!(["", "{", "{}{}", "a=1"].iter().all(|body| tree.read(body).is_none()));
    }

    #[test]
    fn a_wanted_value_that_is_there_twice_is_told() {
        let mut tree = Pointers::default();
        tree.slot("/a/b").unwrap();
        let twice = |body: &str| tree.read(body).unwrap().twice.map(str::to_owned);
        assert_eq!(twice(r#"{"a":{"b":1,"b":2}}"#).as_deref(), Some("/a/b"));
        assert_eq!(twice(r#"{"a":{},"\u0061":{}}"#).as_deref(), Some("/a"));
        assert_eq!(twice(r#"{"a":{"b":1},"c":1,"c":2}"#), None);
    }

    #[test]
    fn what_is_no_pointer_is_refused() {
        for bad in ["", "a", "a/b", "/a~", "/~2", "/a/~x~0"] {
            assert!(tokens(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_number_of_pointers_has_a_bound() {
        let mut tree = Pointers::default();
        for n in 0..POINTERS_MAX {
            tree.slot(&format!("/{n}")).unwrap();
        }
        assert!(tree.slot("/7").is_ok() && tree.slot("/more").is_err());
    }
}
