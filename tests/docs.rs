//! The documents, checked: every relative link leads somewhere, each Chinese page has the headings, snippets and tables of
//! its English one, and the README stays short. Reads files alone.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path, PathBuf};

const README_LINES_MAX: usize = 170;

/// What is somebody else's or made by a build.
const FOLDERS_LEFT_OUT: [&str; 4] = ["target", "node_modules", "miniprogram_npm", "secrets"];

/// What a publisher, a page's developer and an operator need: each has a sister in Chinese, and so has all of a folder.
const IN_CHINESE: [&str; 19] = [
    "README.md",
    "SECURITY.md",
    "clients/miniprogram/README.md",
    "docs/CALLBACKS.md",
    "docs/PROTOCOL.md",
    "docs/adoption",
    "docs/mappings.md",
    "docs/operations",
    "docs/pages.md",
    "docs/publishing.md",
    "docs/troubleshooting.md",
    "docs/workers.md",
    "examples/by-hand/README.md",
    "examples/inquiry/README.md",
    "examples/miniprogram/README.md",
    "examples/publishers/README.md",
    "examples/spring-boot/README.md",
    "examples/tickets/README.md",
    "examples/undelivered/README.md",
];

/// The languages of snippets whose comments begin with `//`; in all others it is `#`.
const SLASH_COMMENTS: [&str; 11] = ["js", "jsx", "ts", "tsx", "vue", "java", "go", "rust", "php", "jsonc", "c"];

/// The languages of snippets that have texts between tags.
const MARKUP: [&str; 6] = ["html", "jsx", "tsx", "vue", "wxml", "xml"];

/// A page of Markdown, as far as it is looked at. Lines count from 1.
#[derive(Debug, Default)]
struct Page {
    headings: Vec<Heading>,
    snippets: Vec<Snippet>,
    /// First line and number of rows of each table.
    tables: Vec<(usize, usize)>,
    links: Vec<(usize, String)>,
    anchors: Vec<String>,
}

#[derive(Debug)]
struct Heading {
    line: usize,
    level: usize,
    text: String,
}

#[derive(Debug)]
struct Snippet {
    line: usize,
    language: String,
    code: Vec<String>,
}

#[test]
fn every_relative_link_leads_somewhere() {
    let pages = pages();
    let mut offences = Vec::new();
    for (path, page) in &pages {
        for (line, link) in &page.links {
            if let Err(why) = resolve(path, link, &pages) {
                offences.push(format!("{}:{line}: {link}: {why}", path.display()));
            }
        }
    }
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}

#[test]
fn each_chinese_page_is_the_sister_of_an_english_one() {
    let pages = pages();
    let chinese: Vec<&PathBuf> = pages.keys().filter(|path| english_of(path).is_some()).collect();
    assert!(chinese.len() >= IN_CHINESE.len(), "the pages are where they were: {chinese:?}");
    let mut offences = Vec::new();
    for path in chinese {
        let english = english_of(path).expect("filtered");
        match pages.get(&english) {
            Some(page) => offences.extend(differences((&english, page), (path, &pages[path]))),
            None => offences.push(format!("{} has no {}", path.display(), english.display())),
        }
    }
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}

#[test]
fn what_has_to_be_in_chinese_is() {
    let pages = pages();
    for listed in IN_CHINESE {
        let english: Vec<_> =
            pages.keys().filter(|path| path.starts_with(listed) && english_of(path).is_none()).collect();
        assert!(!english.is_empty(), "{listed} is not there");
        for chinese in english.into_iter().map(|path| chinese_of(path)) {
            assert!(pages.contains_key(&chinese), "{} is not there", chinese.display());
        }
    }
}

/// The two name each other at their tops, and a Chinese page leads to Chinese pages where there are any.
#[test]
fn a_reader_stays_in_one_language() {
    let pages = pages();
    let mut offences = Vec::new();
    for (path, page) in &pages {
        let Some(english) = english_of(path) else { continue };
        for (from, to) in [(path, &english), (&english, path)] {
            let at_top = |page: &Page| {
                page.links.iter().any(|(line, link)| *line <= 5 && joined(from, link) == Some(to.clone()))
            };
            if !pages.get(from).is_some_and(at_top) {
                offences.push(format!("{}: its first lines do not link {}", from.display(), to.display()));
            }
        }
        for (line, link) in &page.links {
            let target = joined(path, link.split('#').next().unwrap_or_default());
            if target
                .is_some_and(|to| to != english && pages.contains_key(&chinese_of(&to)) && english_of(&to).is_none())
            {
                offences.push(format!("{}:{line}: {link} is there in Chinese", path.display()));
            }
        }
    }
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}

/// The names of tests have more words than any setting.
#[test]
fn each_test_that_the_threat_model_names_is_there() {
    let page = std::fs::read_to_string(root().join("SECURITY.md")).expect("readable");
    let named: Vec<&str> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| word.matches('_').count() > 4 && !word.contains('.'))
        .collect();
    assert!(named.len() > 10, "{named:?}");
    let mut code = String::new();
    for folder in ["tests/system", "tests/callbacks"] {
        for entry in std::fs::read_dir(root().join(folder)).expect("readable") {
            let path = entry.expect("readable").path();
            code += &std::fs::read_to_string(path).expect("readable");
        }
    }
    let missing: Vec<&&str> = named.iter().filter(|name| !code.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "SECURITY.md names tests that are not there: {missing:?}");
}

#[test]
fn the_readme_is_short() {
    for name in ["README.md", "README.zh-CN.md"] {
        let lines = std::fs::read_to_string(root().join(name)).expect("readable").lines().count();
        assert!(lines <= README_LINES_MAX, "{name} has {lines} lines; what is more belongs into docs/");
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every page of the repository by its path from the root.
fn pages() -> BTreeMap<PathBuf, Page> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("readable") {
            let path = entry.expect("readable").path();
            let name = path.file_name().expect("named").to_string_lossy();
            if path.is_dir() && !name.starts_with('.') && !FOLDERS_LEFT_OUT.contains(&&*name) {
                folders.push(path);
            } else if path.is_file() && name.ends_with(".md") {
                let text = std::fs::read_to_string(&path).expect("readable");
                found.insert(path.strip_prefix(root()).expect("found below it").to_owned(), parse(&text));
            }
        }
    }
    assert!(found.len() > 20, "the pages are where they were: {:?}", found.keys());
    found
}

/// `docs/x.md` of `docs/x.zh-CN.md`.
fn english_of(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?.strip_suffix(".zh-CN.md")?;
    Some(path.with_file_name(format!("{name}.md")))
}

fn chinese_of(path: &Path) -> PathBuf {
    path.with_extension("zh-CN.md")
}

// --- Reading ----------------------------------------------------------------------------------------------------------

fn parse(text: &str) -> Page {
    let mut page = Page::default();
    let mut open: Option<Snippet> = None;
    let mut seen = HashMap::new();
    for (index, whole) in text.lines().enumerate() {
        let (line, trimmed) = (index + 1, whole.trim());
        if let Some(snippet) = &mut open {
            if trimmed == "```" {
                page.snippets.extend(open.take());
            } else {
                snippet.code.push(whole.trim_end().to_owned());
            }
            continue;
        }
        if let Some(language) = trimmed.strip_prefix("```") {
            open = Some(Snippet { line, language: language.to_owned(), code: Vec::new() });
            continue;
        }
        let level = whole.chars().take_while(|character| *character == '#').count();
        if (1..=6).contains(&level) && whole[level..].starts_with(' ') {
            let text = plain(whole[level..].trim());
            let slug = slug(&text);
            let times: &mut usize = seen.entry(slug.clone()).or_default();
            page.anchors.push(if *times == 0 { slug } else { format!("{slug}-{times}") });
            *times += 1;
            page.headings.push(Heading { line, level, text });
        }
        if trimmed.starts_with('|') {
            match page.tables.last_mut() {
                Some((first, rows)) if *first + *rows == line => *rows += 1,
                _ => page.tables.push((line, 1)),
            }
        }
        let prose = without_code(whole);
        page.links.extend(links(&prose).into_iter().map(|link| (line, link)));
        page.anchors.extend(["id=\"", "name=\""].iter().flat_map(|mark| quoted(&prose, mark)));
    }
    assert!(open.is_none(), "a snippet does not end");
    page
}

/// A line without its inline code.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("code")
}

/// A heading without its marks: `[a](b)` is `a`, and `` `c` `` is `c`.
fn plain(heading: &str) -> String {
    let mut text = heading.replace('`', "");
    while let Some(middle) = text.find("](") {
        let Some(end) = text[middle..].find(')') else { break };
        text.replace_range(middle..=middle + end, "");
        text = text.replacen('[', "", 1);
    }
    text
}

/// As GitHub makes anchors of headings.
fn slug(heading: &str) -> String {
    let kept = |character: &char| character.is_alphanumeric() || matches!(character, ' ' | '-' | '_');
    heading
        .to_lowercase()
        .chars()
        .filter(kept)
        .map(|character| if character == ' ' { '-' } else { character })
        .collect()
}

/// What a line links: `[…](target)`, `[…]: target`, and the attributes of HTML.
fn links(line: &str) -> Vec<String> {
    let target = |text: &str| text.split([')', ' ']).next().unwrap_or_default().to_owned();
    let mut found: Vec<String> = line.split("](").skip(1).map(target).collect();
    if let Some((_, rest)) = line.split_once("]: ").filter(|_| line.starts_with('[')) {
        found.push(target(rest));
    }
    found.extend(["src=\"", "srcset=\"", "href=\""].iter().flat_map(|mark| quoted(line, mark)));
    found.retain(|link| !link.contains("://") && !link.starts_with("mailto:") && !link.starts_with("data:"));
    found
}

/// What stands between `mark`, which ends with a quote, and the next quote.
fn quoted(line: &str, mark: &str) -> Vec<String> {
    line.split(mark).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

// --- Links ------------------------------------------------------------------------------------------------------------

/// `link` as `from` has it, from the root; `None` if that leads out of the repository.
fn joined(from: &Path, link: &str) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for part in from.parent()?.join(link).components() {
        match part {
            Component::ParentDir if !path.pop() => return None,
            Component::ParentDir | Component::CurDir => {}
            other => path.push(other),
        }
    }
    Some(path)
}

fn resolve(from: &Path, link: &str, pages: &BTreeMap<PathBuf, Page>) -> Result<(), String> {
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target =
        if file.is_empty() { from.to_owned() } else { joined(from, file).ok_or("leads out of the repository")? };
    if !root().join(&target).exists() {
        return Err(format!("there is no {}", target.display()));
    }
    match pages.get(&target) {
        Some(page) if !anchor.is_empty() && !page.anchors.iter().any(|known| known == anchor) => {
            Err(format!("{} has no such heading", target.display()))
        }
        _ => Ok(()),
    }
}

// --- Two languages ----------------------------------------------------------------------------------------------------

fn differences((english, page): (&Path, &Page), (chinese, sister): (&Path, &Page)) -> Vec<String> {
    let mut found = Vec::new();
    let mut differ = |line: usize, line_of_sister: usize, what: String| {
        found.push(format!("{}:{line} and {}:{line_of_sister}: {what}", english.display(), chinese.display()));
    };
    let counts = |page: &Page| (page.headings.len(), page.snippets.len(), page.tables.len());
    for (one, other) in page.headings.iter().zip(&sister.headings) {
        if one.level != other.level {
            differ(one.line, other.line, format!("headings of different levels, {:?} and {:?}", one.text, other.text));
            break;
        }
    }
    for (one, other) in page.snippets.iter().zip(&sister.snippets) {
        if let Some(what) = snippets_differ(one, other) {
            differ(one.line, other.line, what);
        }
    }
    for ((line, rows), (line_of_sister, rows_of_sister)) in page.tables.iter().zip(&sister.tables) {
        if rows != rows_of_sister {
            differ(*line, *line_of_sister, format!("tables of {rows} and {rows_of_sister} rows"));
        }
    }
    if counts(page) != counts(sister) {
        let (one, other) = (counts(page), counts(sister));
        differ(1, 1, format!("headings, snippets and tables: {one:?} and {other:?}"));
    }
    found
}

/// The same code; comments and texts in quotes may be in Chinese. Of a drawing the number of lines is compared.
fn snippets_differ(english: &Snippet, chinese: &Snippet) -> Option<String> {
    if english.language != chinese.language {
        return Some(format!("a snippet of {:?} and one of {:?}", english.language, chinese.language));
    }
    if english.code.len() != chinese.code.len() {
        return Some(format!("snippets of {} and {} lines", english.code.len(), chinese.code.len()));
    }
    let is_drawing = english.code.iter().any(|line| line.contains(['│', '┌', '─']));
    let pairs = english.code.iter().zip(&chinese.code);
    pairs.filter(|_| !is_drawing).find_map(|(one, other)| {
        let (one, other) = (without_comment(one, &english.language), without_comment(other, &english.language));
        (!same_line(one, other, &english.language)).then(|| format!("{one:?} and {other:?}"))
    })
}

fn without_comment<'l>(line: &'l str, language: &str) -> &'l str {
    let mark = if SLASH_COMMENTS.contains(&language) { "//" } else { "#" };
    let begins = |at: usize| line[..at].chars().next_back().is_none_or(char::is_whitespace);
    let comment = line.match_indices(mark).find(|(at, _)| begins(*at));
    line[..comment.map_or(line.len(), |(at, _)| at)].trim_end()
}

fn same_line(english: &str, chinese: &str, language: &str) -> bool {
    let is_markup = MARKUP.contains(&language);
    if is_markup && !english.contains(['<', '>']) && is_translated(chinese) {
        return true;
    }
    let (one, other) = (pieces(english, is_markup), pieces(chinese, is_markup));
    let same = |(at, (one, other)): (usize, (&&str, &&str))| one == other || (at % 2 == 1 && is_translated(other));
    one.len() == other.len() && one.iter().zip(&other).enumerate().all(same)
}

fn is_translated(text: &str) -> bool {
    text.chars().any(|character| ('\u{3000}'..='\u{ffef}').contains(&character))
}

/// A line cut at its quotes: each second piece is a text in quotes, or in markup one between tags.
fn pieces(line: &str, is_markup: bool) -> Vec<&str> {
    let (mut pieces, mut begin, mut open) = (Vec::new(), 0, None);
    for (at, character) in line.char_indices() {
        match open {
            None if matches!(character, '\'' | '"' | '`') => open = Some(character),
            None if is_markup && character == '>' => open = Some('<'),
            Some(quote) if character == quote => open = None,
            _ => continue,
        }
        pieces.push(&line[begin..at]);
        begin = at + 1;
    }
    pieces.push(&line[begin..]);
    pieces
}

#[test]
fn a_missing_section_snippet_or_row_is_found() {
    let page = "# A\n\n## B\n\n```js\nsay('hello') // a greeting\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n";
    let same = "# 甲\n\n## 乙\n\n```js\nsay('你好') // 问候\n```\n\n| 甲 | 乙 |\n|---|---|\n| 1 | 2 |\n";
    let found = |chinese: &str| {
        let (page, sister) = (parse(page), parse(chinese));
        differences((Path::new("a.md"), &page), (Path::new("a.zh-CN.md"), &sister))
    };
    assert_eq!(found(same), Vec::<String>::new());
    for (right, wrong, why) in [
        ("## 乙\n", "### 乙\n", "levels"),
        ("## 乙\n", "", "(2, 1, 1) and (1, 1, 1)"),
        ("say('你好')", "tell('你好')", "say"),
        ("say('你好')", "say('bye')", "hello"),
        ("// 问候\n", "\nsay('再见')\n", "1 and 2 lines"),
        ("```js", "```ts", "\"ts\""),
        ("| 1 | 2 |\n", "", "3 and 2 rows"),
    ] {
        let offences = found(&same.replacen(right, wrong, 1)).join("\n");
        assert!(offences.contains(why), "{wrong:?}: {offences:?}");
    }
}

#[test]
fn links_and_anchors_are_found() {
    let page = parse(
        "# `a` [b](c.md) D?\n## 对象一览\n## 对象一览\nsee [x](y.md#z), ![p](p.png) and <img src=\"q.png\">, not `[n](m)`\n[r]: s.md\n",
    );
    assert_eq!(page.anchors, ["a-b-d", "对象一览", "对象一览-1"]);
    let links: Vec<&str> = page.links.iter().map(|(_, link)| link.as_str()).collect();
    assert_eq!(links, ["c.md", "y.md#z", "p.png", "q.png", "s.md"]);
    assert_eq!(joined(Path::new("docs/a.md"), "../b/./c.md"), Some(PathBuf::from("b/c.md")));
    assert_eq!(joined(Path::new("a.md"), "../c.md"), None);
    let pages = pages();
    for (link, why) in [("no.md", "there is no no.md"), ("README.md#no", "no such heading"), ("../x", "out of")] {
        let error = resolve(Path::new("README.md"), link, &pages).expect_err(link);
        assert!(error.contains(why), "{link}: {error}");
    }
}
