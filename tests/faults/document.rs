//! `docs/RELIABILITY.md` names tests that there are, and every file of tests here.

use std::path::Path;

use crate::support::repository;

/// The words in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

fn files_below(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_file()).map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn each_test_that_the_table_names_is_there_and_each_file_of_tests_is_named() {
    let document = std::fs::read_to_string(repository().join("docs/RELIABILITY.md")).unwrap();
    let here = repository().join("tests/faults");
    let mut named = 0;
    for (file, test) in quoted(&document).filter_map(|words| words.split_once("::")) {
        let code = std::fs::read_to_string(here.join(file).with_extension("rs")).unwrap_or_default();
        assert!(code.contains(&format!("fn {test}(")), "{file}::{test}");
        named += 1;
    }
    assert!(named > 20, "{named}");
    let elsewhere =
        ["tests/system", "tests/broker", "src/runtime"].map(|folder| files_below(&repository().join(folder)).concat());
    for test in quoted(&document)
        .filter(|words| words.starts_with("a_") || words.starts_with("what_") || words.starts_with("killed_"))
    {
        assert!(elsewhere.iter().any(|code| code.contains(&format!("fn {test}("))), "{test}");
    }
    for folder in ["broker", "pages", "store"] {
        for entry in std::fs::read_dir(here.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let code = std::fs::read_to_string(&path).unwrap();
            let name = format!("{folder}/{}", path.file_stem().unwrap().to_string_lossy());
            assert!(
                !code.contains("#[tokio::test") || document.contains(&name),
                "{name} is not in docs/RELIABILITY.md"
            );
        }
    }
}
