//! What a source file names: every path of it, made absolute, with the line. Read from the tokens, since that is all that
//! the order of rooms and files needs, and a whole parser would be one more dependency.

use std::collections::HashMap;

/// A path from the crate's root on, such as `["store", "sqlite", "open"]`.
pub(crate) type Names = Vec<String>;

pub(crate) struct Path {
    pub(crate) line: usize,
    pub(crate) names: Names,
}

/// What one file says of others.
#[derive(Default)]
pub(crate) struct Source {
    /// Every path that is named, those of `use` among them, but for those that are only passed on.
    pub(crate) paths: Vec<Path>,
    /// `pub use`: the name under which a path is passed on.
    pub(crate) passed_on: HashMap<String, Names>,
    /// `pub use path::*`.
    pub(crate) all_passed_on: Vec<Names>,
}

type Token = (usize, String);

/// Reads the text of the module `module`. `is_module` answers whether a path is a module of the crate.
pub(crate) fn read(text: &str, module: &[String], is_module: &dyn Fn(&[String]) -> bool) -> Source {
    let tokens = tokens(text);
    let mut reader = Reader { tokens: &tokens, is_module, source: Source::default(), known: HashMap::new() };
    // Names come into a file by `use`, wherever it stands, so all of them are read before the paths that begin with one.
    reader.walk(module, true);
    reader.walk(module, false);
    reader.source
}

struct Reader<'a> {
    tokens: &'a [Token],
    is_module: &'a dyn Fn(&[String]) -> bool,
    source: Source,
    /// Names that `use` brought in, by the module they were brought into, with what they stand for.
    known: HashMap<(Names, String), Names>,
}

impl Reader<'_> {
    fn walk(&mut self, module: &[String], only_uses: bool) {
        let (mut inside, mut depth, mut opened): (Names, usize, Vec<usize>) = (module.to_vec(), 0, Vec::new());
        let mut at = 0;
        while at < self.tokens.len() {
            match self.text(at) {
                "{" => depth += 1,
                "}" => {
                    depth -= 1;
                    if opened.last() == Some(&depth) {
                        opened.pop();
                        inside.pop();
                    }
                }
                "mod" if self.text(at + 2) == "{" => {
                    inside.push(self.text(at + 1).to_owned());
                    opened.push(depth);
                    at += 1;
                }
                "use" => {
                    let passed_on = inside == module && self.is_visible(at);
                    let mut found = Vec::new();
                    at = self.use_tree(at + 1, &[], &mut found);
                    if only_uses {
                        self.bring_in(&inside, found, passed_on);
                    }
                    continue;
                }
                first if !only_uses && is_name(first) && self.begins_path(at) => {
                    let line = self.tokens[at].0;
                    let (names, after) = self.path(at);
                    self.name(line, &inside, &names);
                    at = after;
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
    }

    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |(_, text)| text)
    }

    /// A `use` with any visibility but its file's own.
    fn is_visible(&self, at: usize) -> bool {
        at > 0
            && (self.text(at - 1) == "pub"
                || (self.text(at - 1) == ")" && self.tokens[..at].iter().rev().take(8).any(|t| t.1 == "pub")))
    }

    fn begins_path(&self, at: usize) -> bool {
        self.text(at + 1) == "::" && (at == 0 || !matches!(self.text(at - 1), "::" | "."))
    }

    /// `a::b::c` with what comes after it; a turbofish or a macro's `!` ends it.
    fn path(&self, mut at: usize) -> (Names, usize) {
        let mut names = vec![self.text(at).to_owned()];
        while self.text(at + 1) == "::" && is_name(self.text(at + 2)) {
            at += 2;
            names.push(self.text(at).to_owned());
        }
        (names, at + 1)
    }

    /// Reads one tree of a `use` and answers where it ended.
    fn use_tree(&self, mut at: usize, before: &[String], found: &mut Vec<Used>) -> usize {
        let line = self.tokens.get(at).map_or(0, |token| token.0);
        let mut names = before.to_vec();
        loop {
            match self.text(at) {
                "{" => {
                    at += 1;
                    while self.text(at) != "}" && at < self.tokens.len() {
                        at = self.use_tree(at, &names, found);
                        if self.text(at) == "," {
                            at += 1;
                        }
                    }
                    return at + 1;
                }
                "*" => {
                    found.push(Used { line, names, called: None });
                    return at + 1;
                }
                "::" => at += 1,
                name if is_name(name) => {
                    names.push(name.to_owned());
                    at += 1;
                    if self.text(at) != "::" {
                        let mut called = names.last().cloned();
                        if names.last().is_some_and(|name| name == "self") {
                            names.pop();
                            called = names.last().cloned();
                        }
                        if self.text(at) == "as" {
                            called = Some(self.text(at + 1).to_owned());
                            at += 2;
                        }
                        found.push(Used { line, names, called });
                        return at;
                    }
                }
                _ => return at + 1,
            }
        }
    }

    fn bring_in(&mut self, inside: &[String], found: Vec<Used>, passed_on: bool) {
        for Used { line, names, called } in found {
            let Some(names) = self.absolute(inside, &names) else { continue };
            match &called {
                Some(called) if passed_on => drop(self.source.passed_on.insert(called.clone(), names.clone())),
                None if passed_on => self.source.all_passed_on.push(names.clone()),
                _ => self.source.paths.push(Path { line, names: names.clone() }),
            }
            if let Some(called) = called {
                self.known.insert((inside.to_vec(), called), names);
            }
        }
    }

    fn name(&mut self, line: usize, inside: &[String], names: &[String]) {
        if let Some(names) = self.absolute(inside, names) {
            self.source.paths.push(Path { line, names });
        }
    }

    /// The path from the crate's root; none for another crate's and for a local type's.
    fn absolute(&self, inside: &[String], names: &[String]) -> Option<Names> {
        let first = names.first()?;
        let (base, rest) = match first.as_str() {
            "crate" | "payment_notifier" => (Vec::new(), &names[1..]),
            "self" => (inside.to_vec(), &names[1..]),
            "super" => {
                let supers = names.iter().take_while(|name| *name == "super").count();
                (inside[..inside.len().checked_sub(supers)?].to_vec(), &names[supers..])
            }
            _ => {
                if let Some(known) = self.known.get(&(inside.to_vec(), first.clone())) {
                    (known.clone(), &names[1..])
                } else {
                    let child = [inside, std::slice::from_ref(first)].concat();
                    if !(self.is_module)(&child) {
                        return None;
                    }
                    (child, &names[1..])
                }
            }
        };
        Some([&base, rest].concat())
    }
}

struct Used {
    line: usize,
    names: Names,
    /// The name it has in the file; none for `*`.
    called: Option<String>,
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Words, `::` and single other characters with their lines, without comments, texts and characters.
fn tokens(text: &str) -> Vec<(usize, String)> {
    let bytes = text.as_bytes();
    let (mut tokens, mut line, mut at) = (Vec::new(), 1, 0);
    while at < bytes.len() {
        let rest = &text[at..];
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = text_literal(rest) {
            length
        } else if bytes[at].is_ascii_alphanumeric() || bytes[at] == b'_' {
            let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push((line, rest[..word].to_owned()));
            word
        } else if rest.starts_with("::") {
            tokens.push((line, "::".to_owned()));
            2
        } else {
            let length = rest.chars().next().map_or(1, char::len_utf8);
            if !rest.starts_with(char::is_whitespace) {
                tokens.push((line, rest[..length].to_owned()));
            }
            length
        };
        line += rest[..length].matches('\n').count();
        at += length;
    }
    tokens
}

/// The length of the text or character literal that `rest` starts with.
fn text_literal(rest: &str) -> Option<usize> {
    let unprefixed = rest.strip_prefix(['b', 'c']).unwrap_or(rest);
    let prefix = rest.len() - unprefixed.len();
    if let Some(raw) = unprefixed.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let open = prefix + 1 + hashes + 1;
            return Some(rest[open..].find(&end).map_or(rest.len(), |at| open + at + end.len()));
        }
    }
    let quote = unprefixed.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    // A lifetime has no second quote after one character.
    if quote == '\'' && !unprefixed[1..].starts_with('\\') && unprefixed.chars().nth(2) != Some('\'') {
        return None;
    }
    let mut escaped = false;
    for (at, c) in unprefixed.char_indices().skip(1) {
        if c == quote && !escaped {
            return Some(prefix + at + 1);
        }
        escaped = c == '\\' && !escaped;
    }
    Some(rest.len())
}
