//! Routing keys against a pattern, as a topic exchange of RabbitMQ matches them.

use std::fmt;

const WORD: &str = "*";
const WORDS: &str = "#";
/// What AMQP 0-9-1 allows in a routing key.
const PATTERN_BYTES_MAX: usize = 255;

/// Words between dots: `*` is any one word, `#` any number of words, none among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Topic(Vec<Box<str>>);

impl Topic {
    /// Takes a pattern; an empty one takes every routing key.
    ///
    /// # Errors
    /// What is wrong with it: a clause that goes after its name.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        if pattern.len() > PATTERN_BYTES_MAX {
            return Err(format!("must be at most {PATTERN_BYTES_MAX} bytes"));
        }
        let mut list = words(if pattern.is_empty() { WORDS } else { pattern });
        for word in &list {
            if word.len() > 1 && word.contains(['*', '#']) {
                return Err(format!("has the word {word:?}: * and # stand for whole words between dots"));
            }
        }
        // A run of wildcards takes the same keys in any order, and one # is as much as many.
        for run in list.chunk_by_mut(|a, b| is_wildcard(a) && is_wildcard(b)) {
            run.sort_unstable_by_key(|word| *word == WORDS);
        }
        list.dedup_by(|a, b| *a == WORDS && *b == WORDS);
        Ok(Self(list.into_iter().map(Box::from).collect()))
    }

    /// Whether it takes a routing key of these [`words`].
    pub(super) fn takes(&self, key: &[&str]) -> bool {
        glob(&self.0, key, |pattern, word| pattern == WORD || pattern == word)
    }

    /// Whether it takes every key that `other` takes.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let other: Vec<&str> = other.0.iter().map(AsRef::as_ref).collect();
        glob(&self.0, &other, |pattern, word| pattern == word || (pattern == WORD && word != WORDS))
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// The words of a routing key. An empty key has none.
pub(super) fn words(key: &str) -> Vec<&str> {
    if key.is_empty() { Vec::new() } else { key.split('.').collect() }
}

fn is_wildcard(word: &str) -> bool {
    word == WORD || word == WORDS
}

/// Takes back the latest `#` alone, so that the work is at most the product of the two lengths.
fn glob(pattern: &[Box<str>], words: &[&str], fits: impl Fn(&str, &str) -> bool) -> bool {
    let (mut at, mut word) = (0, 0);
    let mut latest = None;
    while word < words.len() {
        match pattern.get(at) {
            Some(part) if &**part == WORDS => {
                latest = Some((at, word));
                at += 1;
            }
            Some(part) if fits(part, words[word]) => {
                at += 1;
                word += 1;
            }
            _ => {
                let Some((many, taken)) = latest else { return false };
                latest = Some((many, taken + 1));
                at = many + 1;
                word = taken + 1;
            }
        }
    }
    pattern[at..].iter().all(|part| &**part == WORDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(pattern: &str, key: &str) -> bool {
        Topic::new(pattern).unwrap().takes(&words(key))
    }

    #[test]
    fn keys_are_taken_as_by_rabbitmq() {
        for (pattern, key) in [
            ("a.b", "a.b"),
            ("*", "a"),
            ("#", ""),
            ("#", "a.b.c"),
            ("", "a.b"),
            ("a.#", "a"),
            ("a.#", "a.b.c"),
            ("a.*", "a.b"),
            ("a.*", "a."),
            ("#.b", "b"),
            ("#.b.*", "a.b.b.c"),
            ("*.#", "a"),
            ("#.*", "a.b"),
            ("a.#.b.#.c", "a.x.b.b.y.c"),
            ("payment.result.*", "payment.result.hyperswitch"),
        ] {
            assert!(takes(pattern, key), "{pattern} {key}");
        }
        for (pattern, key) in [
            ("a.b", "a.b.c"),
            ("a.b", "A.b"),
            ("*", ""),
            ("*", "a.b"),
            ("*.#", ""),
            ("a.*", "a"),
            ("a.#", "b.a"),
            ("#.b", "b.c"),
            ("a.#.b.#.c", "a.c.b"),
            ("payment.result.*", "payment.result"),
        ] {
            assert!(!takes(pattern, key), "{pattern} {key}");
        }
    }

    #[test]
    fn a_pattern_covers_another_or_not() {
        let covers = |a: &str, b: &str| Topic::new(a).unwrap().covers(&Topic::new(b).unwrap());
        for (a, b) in [
            ("#", "a.*.#"),
            ("", "#"),
            ("a.#", "a"),
            ("a.#", "a.#.b"),
            ("a.*", "a.b"),
            ("*.#", "#.*"),
            ("#.#", "#"),
            ("#.*", "*.*"),
            ("a.b", "a.b"),
        ] {
            assert!(covers(a, b), "{a} {b}");
        }
        for (a, b) in [("a.*", "a.#"), ("*", "#"), ("a.b", "a.*"), ("a.#", "#"), ("a.#.b", "a.#"), ("*.*", "*.#")] {
            assert!(!covers(a, b), "{a} {b}");
        }
    }

    #[test]
    fn a_star_within_a_word_is_refused() {
        assert!(Topic::new("payment.res*").unwrap_err().contains("res*"));
        assert!(Topic::new("##").is_err());
        assert!(Topic::new(&"a".repeat(256)).unwrap_err().contains("255"));
    }
}
