//! Doors open one way only. These tables say who may import whom; the test reads every source file and checks.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Inside `model/`, each room imports only rooms above it.
const MODEL: &[&str] = &[
    "lock",
    "watch",
    "question",
    "bell",
    "cache",
    "clock",
    "log",
    "demand",
    "expiry",
    "subgroup",
    "image",
    "group",
    "track",
    "broadcast",
    "route",
    "origin",
];

/// What each part of moq-lite may import of the crate.
const PARTS: &[(&str, &[&str])] = &[
    ("transport", &[]),
    ("stats", &[]),
    ("model", &["model"]),
    ("session", &["model", "session", "stats", "transport"]),
    ("testing", &["model", "session", "stats", "transport", "testing"]),
];

/// What each part may import from elsewhere.
const OUTSIDE: &[(&str, &[&str])] = &[
    ("transport", &["std", "bytes", "smallvec", "thiserror"]),
    ("stats", &["std"]),
    // Of the wire the model knows nouns only; of time, what it is told.
    ("model", &["std", "bytes", "moq_proto", "smallvec", "slab", "thiserror", "tracing"]),
    ("session", &["std", "bytes", "futures", "moq_proto", "rand", "slab", "smallvec", "thiserror", "tokio", "tracing"]),
    ("testing", &["std", "bytes", "moq_proto", "tokio"]),
];

/// The crates of this workspace that each crate may depend on.
const CRATES: &[(&str, &[&str])] = &[
    ("moq-proto", &[]),
    ("moq-lite", &["moq-proto"]),
    ("moq-token", &["moq-proto"]),
    ("moq-native", &["moq-lite", "moq-proto"]),
    ("moq-cli", &["moq-lite", "moq-native", "moq-proto"]),
    ("moq-relay", &["moq-lite", "moq-native", "moq-proto", "moq-token"]),
    ("../dev/impair", &[]),
];

#[test]
fn parts_import_only_what_they_may() {
    let mut wrong = Vec::new();
    for file in sources(&manifest().join("src")) {
        let Some(part) = part(&file) else { continue };
        for import in imports(&file) {
            let (from, name) = import.split_once("::").unwrap_or((&import, ""));
            let table = if from == "crate" { PARTS } else { OUTSIDE };
            let wanted = if from == "crate" { name.split("::").next().unwrap_or(name) } else { from };
            let allowed = table.iter().find(|(of, _)| *of == part).map_or(&[][..], |(_, allowed)| allowed);
            if !allowed.contains(&wanted) {
                wrong.push(format!("{} imports {import}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn imports_are_read_whole() {
    let fanout = imports(&manifest().join("src/session/fanout.rs"));
    for import in ["std::cell::RefCell", "slab::Slab", "crate::model::bell::Ringer", "crate::session::viewer::Viewer"] {
        assert!(fanout.contains(import), "{import} not among {fanout:?}");
    }
    assert!(sources(&manifest().join("src")).len() > 30);
}

#[test]
fn rooms_of_the_model_import_only_rooms_above_them() {
    let mut wrong = Vec::new();
    for file in sources(&manifest().join("src/model")) {
        let Some(room) = room(&file) else { continue };
        let place = MODEL.iter().position(|name| *name == room);
        let place = place.unwrap_or_else(|| panic!("{room} is not in the table of rooms"));
        for import in imports(&file) {
            let Some(name) = import.strip_prefix("crate::model::") else { continue };
            let name = name.split("::").next().unwrap_or(name);
            if !MODEL[..=place].contains(&name) {
                wrong.push(format!("{} imports {name}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_model_knows_no_message_and_no_clock() {
    for file in sources(&manifest().join("src/model")) {
        let code = production(&file);
        for word in ["moq_proto::lite", "Instant::now", "SystemTime", "tokio::"] {
            assert!(!code.contains(word), "{} says {word}", file.display());
        }
    }
}

#[test]
fn crates_depend_only_on_crates_below_them() {
    let rs = manifest().join("..");
    for (name, allowed) in CRATES {
        let text = fs::read_to_string(rs.join(name).join("Cargo.toml")).unwrap();
        let normal = text.split("[dev-dependencies]").next().unwrap();
        for line in normal.lines().filter(|line| line.starts_with("moq-")) {
            let dependency = line.split(['.', ' ', '=']).next().unwrap();
            assert!(allowed.contains(&dependency), "{name} depends on {dependency}");
        }
    }
}

#[test]
fn rooms_stay_small() {
    let rs = manifest().join("..");
    let mut long = Vec::new();
    for (name, _) in CRATES {
        for file in sources(&rs.join(name).join("src")) {
            let lines = production(&file).lines().count();
            if lines > 500 {
                long.push(format!("{} has {lines} lines", file.display()));
            }
        }
    }
    assert!(long.is_empty(), "a room has at most 500 lines, tests aside:\n{}", long.join("\n"));
}

fn manifest() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust sources below `folder`, tests aside.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if name.ends_with(".rs") && name != "tests.rs" && path.parent().is_none_or(|folder| !folder.ends_with("tests")) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A file without its tests.
fn production(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    text.split("\n#[cfg(test)]\nmod ").next().unwrap().to_owned()
}

fn below_src(file: &Path) -> Vec<String> {
    let below = file.strip_prefix(manifest().join("src")).unwrap();
    below.iter().map(|name| name.to_string_lossy().trim_end_matches(".rs").to_owned()).collect()
}

fn part(file: &Path) -> Option<String> {
    Some(below_src(file)[0].clone()).filter(|part| part != "lib")
}

fn room(file: &Path) -> Option<String> {
    below_src(file).get(1).cloned().filter(|room| room != "mod")
}

/// The paths a file imports, `use` trees spelled out: `crate::model::track`, `std::sync`.
fn imports(file: &Path) -> BTreeSet<String> {
    let code = production(file);
    let here = below_src(file);
    let mut found = BTreeSet::new();
    for statement in code.split("\nuse ").skip(1).chain(code.split("\npub use ").skip(1)) {
        let tree: String = statement.split(';').next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        for path in spell(&tree) {
            found.insert(absolute(&path, &here));
        }
    }
    found
}

/// Spells a `use` tree out into its paths.
fn spell(tree: &str) -> Vec<String> {
    let Some(open) = tree.find('{') else { return vec![tree.trim().to_owned()] };
    let (stem, inner) = (&tree[..open], &tree[open + 1..tree.rfind('}').unwrap()]);
    let (mut depth, mut from, mut paths) = (0, 0, Vec::new());
    for (at, letter) in inner.char_indices().chain([(inner.len(), ',')]) {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let part = inner[from..at].trim();
                if !part.is_empty() {
                    paths.extend(spell(part).iter().map(|rest| format!("{}{rest}", stem.trim_start())));
                }
                from = at + 1;
            }
            _ => {}
        }
    }
    paths
}

/// Turns `super::` and `self::` into `crate::`.
fn absolute(path: &str, here: &[String]) -> String {
    let mut module: Vec<&str> = here.iter().map(String::as_str).filter(|name| *name != "mod" && *name != "lib").collect();
    let mut rest = path;
    let mut relative = false;
    if let Some(tail) = rest.strip_prefix("self::") {
        (rest, relative) = (tail, true);
    }
    while let Some(tail) = rest.strip_prefix("super::") {
        module.pop();
        (rest, relative) = (tail, true);
    }
    if relative { format!("crate::{}", [module.join("::"), rest.to_owned()].join("::")) } else { rest.to_owned() }
}
