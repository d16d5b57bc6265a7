//! The order of the rooms, checked: `main → cli → app → {broker, bridge} → {callbacks, hub, store} → payment`, with
//! `config`, `telemetry` and `runtime` as leaves. Reads the source and looks at every path that leaves its room.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

/// What each room may name. `main` and `cli` may name everything below them; what is in no list is an unknown room.
const MAY_NAME: [(&str, &[&str]); 12] = [
    (
        "main",
        &["cli", "app", "broker", "bridge", "callbacks", "hub", "store", "payment", "config", "telemetry", "runtime"],
    ),
    ("cli", &["app", "broker", "bridge", "callbacks", "hub", "store", "payment", "config", "telemetry", "runtime"]),
    ("app", &["broker", "bridge", "callbacks", "hub", "store", "payment", "config", "telemetry", "runtime"]),
    ("broker", &["callbacks", "hub", "store", "payment", "config", "telemetry", "runtime"]),
    ("bridge", &["callbacks", "hub", "store", "payment", "config", "telemetry", "runtime"]),
    ("callbacks", &["payment", "config", "runtime"]),
    ("hub", &["payment", "config", "telemetry", "runtime"]),
    ("store", &["payment", "config", "telemetry", "runtime"]),
    ("payment", &[]),
    ("config", &[]),
    ("telemetry", &["config", "runtime"]),
    ("runtime", &[]),
];

#[derive(Debug, PartialEq)]
struct Edge {
    line: usize,
    to: String,
}

#[test]
fn imports_point_one_way() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = rust_files(&source);
    assert!(files.len() > 20, "the source is where it was: {files:?}");
    let mut offences = Vec::new();
    for file in &files {
        let relative = file.strip_prefix(&source).expect("found below it");
        let Some(room) = room_of(relative) else { continue };
        let Some((_, may_name)) = MAY_NAME.iter().find(|(name, _)| *name == room) else {
            offences.push(format!("src/{}: {room} is in no list of this test", relative.display()));
            continue;
        };
        let text = std::fs::read_to_string(file).expect("readable");
        for Edge { line, to } in edges(&text, levels_below_root(relative)) {
            if to != room && !may_name.contains(&to.as_str()) {
                offences.push(format!("src/{}:{line}: {room} must not name {to}", relative.display()));
            }
        }
    }
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}

/// The first folder, or the file itself; `lib.rs` only lists the rooms.
fn room_of(relative: &Path) -> Option<String> {
    let first = relative.iter().next()?.to_str()?;
    let room = first.strip_suffix(".rs").unwrap_or(first);
    (room != "lib").then(|| room.to_owned())
}

/// How many `super::` lead from this file's module to the crate's root.
fn levels_below_root(relative: &Path) -> usize {
    let parts = relative.iter().count();
    let is_folder_module = relative.file_name().is_some_and(|name| name == "mod.rs");
    if is_folder_module { parts - 1 } else { parts }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Every room that the text names: by `crate::room`, `crate::{room, …}`, the crate's own name, or enough `super::`.
fn edges(text: &str, levels: usize) -> Vec<Edge> {
    let tokens = tokens(text);
    let mut edges = Vec::new();
    for (place, (line, token)) in tokens.iter().enumerate() {
        let after = if token == "crate" || token == "payment_notifier" {
            place + 1
        } else if token == "super" && !follows_super(&tokens, place) {
            let supers = tokens[place..].chunks(2).take_while(|pair| is_step(pair, "super")).count();
            if supers < levels || levels == 0 {
                continue;
            }
            place + 2 * supers - 1
        } else {
            continue;
        };
        if tokens.get(after).is_some_and(|(_, token)| token == "::") {
            edges.extend(first_names(&tokens[after + 1..]).into_iter().map(|to| Edge { line: *line, to }));
        }
    }
    edges
}

fn is_step(pair: &[(usize, String)], name: &str) -> bool {
    matches!(pair, [(_, token), (_, colons)] if token == name && colons == "::")
}

fn follows_super(tokens: &[(usize, String)], place: usize) -> bool {
    place >= 2 && is_step(&tokens[place - 2..place], "super")
}

/// The names that a path goes on with: one, or each of a group.
fn first_names(tokens: &[(usize, String)]) -> Vec<String> {
    let is_name = |text: &str| text.starts_with(|c: char| c.is_alphabetic() || c == '_');
    let mut names = Vec::new();
    if tokens.first().is_none_or(|(_, token)| token != "{") {
        names.extend(tokens.first().map(|(_, token)| token.clone()).filter(|token| is_name(token)));
        return names;
    }
    let (mut depth, mut at_start) = (0, true);
    for (_, token) in tokens {
        match token.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," if depth == 1 => at_start = true,
            "self" => {}
            name => {
                if depth == 1 && at_start && is_name(name) {
                    names.push(name.to_owned());
                }
                at_start = false;
            }
        }
        if depth == 0 {
            break;
        }
    }
    names
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

#[test]
fn every_way_to_name_a_room_is_seen() {
    let text = r##"
        use crate::{hub::Hub, store::{self, Error}, payment};
        use super::super::broker::Consumer; // crate::comment
        /* crate::block */ fn f<'a>(x: &'a crate::bridge::Wire) -> char { '"' }
        const T: &str = "crate::text \" crate::more"; const R: &str = r#"crate::raw"#;
        use super::sibling; pub(crate) struct S; type P = payment_notifier::app::Run;
    "##;
    let named: Vec<_> = edges(text, 2).into_iter().map(|edge| (edge.line, edge.to)).collect();
    let expected = [(2, "hub"), (2, "store"), (2, "payment"), (3, "broker"), (4, "bridge"), (6, "app")]
        .map(|(l, to)| (l, to.to_owned()));
    assert_eq!(named, expected);
    assert_eq!(edges("use super::store;", 1), [Edge { line: 1, to: "store".to_owned() }]);
}
