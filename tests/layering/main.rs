//! The order of the rooms and of the files, checked on the source: `main → cli → app → {broker, bridge, operators, demo} →
//! {callbacks, hub, store, tickets, http} → payment`, with `config`, `telemetry` and `runtime` as leaves, and no circle between
//! files anywhere.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod circles;
mod paths;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use paths::{Names, Source};

/// What each room may name. `main` and `cli` may name everything below them; what is in no list is an unknown room.
const MAY_NAME: [(&str, &str); 16] = [
    ("main", "cli app broker bridge operators demo callbacks hub store tickets http payment config telemetry runtime"),
    ("cli", "app broker bridge operators demo callbacks hub store tickets http payment config telemetry runtime"),
    ("app", "broker bridge operators demo callbacks hub store tickets http payment config telemetry runtime"),
    ("broker", "callbacks hub store payment config telemetry runtime"),
    ("bridge", "callbacks hub store tickets http payment config telemetry runtime"),
    ("operators", "store tickets http payment config telemetry runtime"),
    ("demo", "tickets http payment runtime"),
    ("callbacks", "payment config runtime"),
    ("hub", "payment config telemetry runtime"),
    ("store", "payment config telemetry runtime"),
    ("tickets", "store payment config telemetry runtime"),
    ("http", "config telemetry runtime"),
    ("payment", ""),
    ("config", ""),
    ("telemetry", "config runtime"),
    ("runtime", ""),
];

/// Every file of `src` by the module it holds.
struct Crate {
    files: BTreeMap<Names, PathBuf>,
    sources: BTreeMap<Names, Source>,
}

impl Crate {
    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let files: BTreeMap<_, _> = rust_files(&root)
            .into_iter()
            .map(|file| (module_of(file.strip_prefix(&root).expect("found below it")), file))
            .collect();
        assert!(files.len() > 100, "the source is where it was: {files:?}");
        let text = |file: &Path| std::fs::read_to_string(file).expect("readable");
        let of = |(module, file): (&Names, &PathBuf)| {
            (module.clone(), paths::read(&text(file), module, &|names| files.contains_key(names)))
        };
        let sources = files.iter().map(of).collect();
        Self { files, sources }
    }

    fn name(&self, module: &[String]) -> String {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        self.files
            .get(module)
            .and_then(|file| file.strip_prefix(root).ok())
            .expect("a file of src")
            .display()
            .to_string()
    }
}

#[test]
fn rooms_name_only_what_is_below_them() {
    let house = Crate::read();
    let mut offences = BTreeSet::new();
    for (module, source) in &house.sources {
        // The crate's own module only lists the rooms.
        let Some(room) = module.first() else { continue };
        let Some((_, may_name)) = MAY_NAME.iter().find(|(name, _)| name == room) else {
            offences.insert(format!("{}: {room} is in no list of this test", house.name(module)));
            continue;
        };
        let passed_on = source.passed_on.values().chain(&source.all_passed_on).map(|names| (0, names));
        for (line, names) in source.paths.iter().map(|path| (path.line, &path.names)).chain(passed_on) {
            if let Some(to) = names.first()
                && to != room
                && !may_name.split(' ').any(|name| name == to)
            {
                offences.insert(format!("{}:{line}: {room} must not name {to}", house.name(module)));
            }
        }
    }
    assert!(offences.is_empty(), "\n{}", Vec::from_iter(offences).join("\n"));
}

#[test]
fn no_files_name_each_other_in_a_circle() {
    let house = Crate::read();
    let edges = circles::edges(&house.sources);
    let found: Vec<_> = circles::find(&edges).iter().map(|circle| describe(&house, &edges, circle)).collect();
    assert!(found.is_empty(), "{} circles\n{}", found.len(), found.join("\n"));
}

fn describe(house: &Crate, edges: &circles::Edges, circle: &BTreeSet<Names>) -> String {
    let mut text = String::from("a circle:");
    for from in circle {
        for (to, (line, what)) in edges[from].iter().filter(|(to, _)| circle.contains(*to)) {
            text += &format!("\n  {}:{line} names {} ({what})", house.name(from), house.name(to));
        }
    }
    text
}

/// `store/sqlite/mod.rs` holds `store::sqlite`, as `store/sqlite.rs` would; `lib.rs` the crate's root.
fn module_of(relative: &Path) -> Names {
    let mut names: Names =
        relative.iter().map(|name| name.to_string_lossy().trim_end_matches(".rs").to_owned()).collect();
    if names.last().is_some_and(|last| last == "mod" || last == "lib") {
        names.pop();
    }
    names
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
    files
}

fn names(path: &str) -> Names {
    path.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[test]
fn every_way_to_name_another_file_is_seen() {
    let text = r##"
        use crate::{hub::Hub, store::{self, Error as Fault}, payment};
        use super::super::broker::Consumer; // crate::comment
        /* crate::block */ fn f<'a>(x: &'a crate::bridge::Wire) -> char { '"' }
        const T: &str = "crate::text \" crate::more"; const R: &str = r#"crate::raw"#;
        pub(crate) use super::sibling::Thing; type P = payment_notifier::app::Run;
        fn g() -> store::sqlite::Store { child::made(Fault::Full, x.store::<u8>(), std::io::empty()) }
        mod inner { use super::child::Other; fn h() { store::not_known_here(); } }
    "##;
    let modules = ["a", "a::b", "a::b::child"].map(names);
    let source = paths::read(text, &names("a::b"), &|path| modules.contains(&path.to_vec()));
    let found: Vec<_> = source.paths.iter().map(|path| (path.line, path.names.join("::"))).collect();
    let expected = [
        (2, "hub::Hub"),
        (2, "store"),
        (2, "store::Error"),
        (2, "payment"),
        (3, "broker::Consumer"),
        (8, "a::b::child::Other"),
        (4, "bridge::Wire"),
        (6, "app::Run"),
        (7, "store::sqlite::Store"),
        (7, "a::b::child::made"),
        (7, "store::Error::Full"),
    ];
    assert_eq!(found, expected.map(|(line, path)| (line, path.to_owned())));
    assert_eq!(source.passed_on["Thing"], names("a::sibling::Thing"));
}

#[test]
fn a_circle_is_found_through_what_is_passed_on() {
    let files = [
        ("", "mod a; mod b; mod c;"),
        ("a", "pub use inner::Deep; mod inner; use crate::c::C;"),
        ("a::inner", "pub struct Deep(crate::b::B);"),
        ("b", "use crate::a; pub struct B; fn f(_: a::Deep) {}"),
        ("c", "use crate::a::Deep; pub struct C;"),
    ];
    let modules = files.map(|(module, _)| names(module));
    let sources = files.map(|(module, text)| {
        (names(module), paths::read(text, &names(module), &|path| modules.contains(&path.to_vec())))
    });
    let circles = circles::find(&circles::edges(&BTreeMap::from(sources)));
    assert_eq!(circles, [BTreeSet::from([names("a::inner"), names("b")])]);
}
