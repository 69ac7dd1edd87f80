//! The architecture is a test: dependencies point down, every outside world has one home, files
//! stay short, and none is forgotten.

#![allow(clippy::unwrap_used, reason = "a test that cannot read its input has failed")]

use regex::Regex;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Who may use whom. Siblings in the middle do not know each other; only `ops` joins them.
const BELOW: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    ("lib", &[]),
    ("cli", &["ops", "rules", "pg", "archive", "store", "process", "model", "error"]),
    ("ops", &["rules", "pg", "archive", "store", "process", "model", "error"]),
    ("rules", &["model", "error"]),
    ("pg", &["model", "error"]),
    ("archive", &["model", "error"]),
    ("store", &["model", "error"]),
    ("process", &["model", "error"]),
    ("model", &["error"]),
    ("error", &[]),
];

/// What only one layer (or two), or one file, may touch, and why somebody would be tempted.
const HOMES: &[(&str, &[&str])] = &[
    (r"\bclap::", &["cli", "main"]),
    (r"\bstd::env\b|\benv::(var|args|current_dir|temp_dir)", &["cli"]),
    (r"\b(tokio_)?postgres(_protocol)?::", &["pg"]),
    // Their `get` panics: a value is null where another session has dropped what it is about.
    (
        r"\btokio_postgres::[\w:{},\s]*\b(Row|SimpleQueryRow|SimpleQueryMessage)\b",
        &["pg/client.rs", "pg/record.rs"],
    ),
    (r"\b(rustls|webpki|socket2|tokio)::", &["pg"]),
    (r"\btar::(Builder|Header|Archive|Entry)", &["archive"]),
    (r"\bzstd::", &["archive"]),
    // A journal knows by it what pgark itself has put into a folder.
    (r"\bsha2::", &["archive", "store"]),
    (r"\be?print(ln)?!|\bstd::io::std(out|err)\b|\bio::std(out|err)\(", &["cli"]),
    (r"\bprocess::exit\b", &["cli"]),
    // A migration project has its own Alembic, and a proof needs a server: nothing else is run.
    (r"(?:^|[^:\w])Command::new\(|process::\{?\s*(Child|Command|Stdio)\b", &["process"]),
    (
        r"\bfs::(write|rename|copy|hard_link|remove_\w+|create_dir\w*|set_permissions)\b|\bFile::create|OpenOptions|DirBuilder",
        &["store"],
    ),
];

const LONGEST: usize = 500;

/// Everything that is wrong with one source file. `path` is relative to `src/`.
fn problems(path: &str, text: &str) -> Vec<String> {
    let module = path.trim_end_matches(".rs");
    let layer = module.split('/').next().unwrap();
    let Some((_, below)) = BELOW.iter().find(|(name, _)| *name == layer) else {
        return vec![format!("{path}: no such layer: {layer}")];
    };
    let mut found = Vec::new();
    if text.lines().count() > LONGEST {
        found.push(format!("{path}: longer than {LONGEST} lines"));
    }
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .fold(String::new(), |c, l| c + l + "\n");
    // `crate::a::b`, `pgark::a::b` (from main), and `crate::{a::b, c}`.
    let one = Regex::new(r"\b(?:crate|pgark)::(\w+)").unwrap();
    let several = Regex::new(r"(?s)\b(?:crate|pgark)::\{(.*?)\};").unwrap();
    let mut used: Vec<String> = one.captures_iter(&code).map(|c| c[1].to_owned()).collect();
    for list in several.captures_iter(&code) {
        let mut depth = 0;
        for part in list[1].split_inclusive(['{', '}', ',']) {
            if depth == 0 {
                used.extend(part.trim().split("::").next().map(str::to_owned));
            }
            depth += part.matches('{').count() as i32 - part.matches('}').count() as i32;
        }
    }
    for target in used.iter().filter(|target| BELOW.iter().any(|(name, _)| name == target)) {
        if target != layer && !below.contains(&target.as_str()) {
            found.push(format!("{path}: {layer} uses {target}, which is not below it"));
        }
    }
    // `super::` that climbs to the crate's root would be a way around.
    let depth = module.split('/').count();
    for climb in Regex::new(r"(?:super::)+").unwrap().find_iter(&code) {
        if depth > 1 && climb.as_str().matches("super::").count() >= depth {
            found.push(format!("{path}: {} climbs out of its layer", climb.as_str()));
        }
    }
    for (pattern, homes) in HOMES {
        let hit = Regex::new(pattern).unwrap().find(&code).map(|hit| hit.as_str().to_owned());
        if let Some(hit) = hit.filter(|_| !homes.contains(&layer) && !homes.contains(&path)) {
            found.push(format!("{path}: {hit} has its home in {}", homes.join(" and ")));
        }
    }
    found
}

fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            let below = path.strip_prefix(project().join("src")).unwrap();
            found.push(below.to_str().unwrap().to_owned());
        }
    }
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn source(path: &str) -> String {
    fs::read_to_string(project().join("src").join(path)).unwrap()
}

#[test]
fn dependencies_point_down_and_every_outside_world_has_one_home() {
    let mut paths = Vec::new();
    sources(&project().join("src"), &mut paths);
    assert!(paths.len() > 50, "{paths:?}");
    let found: Vec<String> = paths.iter().flat_map(|path| problems(path, &source(path))).collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn no_source_file_is_an_orphan() {
    let mut paths = Vec::new();
    sources(&project().join("src"), &mut paths);
    for path in paths.iter().filter(|path| !matches!(path.as_str(), "main.rs" | "lib.rs")) {
        let (parent, name) = match path.trim_end_matches(".rs").rsplit_once('/') {
            None => (String::from("lib.rs"), path.trim_end_matches(".rs")),
            // A folder of lib.rs is declared there; deeper ones by the file beside their folder.
            Some((folder, name)) if !folder.contains('/') => (String::from("lib.rs"), name),
            Some((folder, name)) => (format!("{folder}.rs"), name),
        };
        let declared = Regex::new(&format!(r"(?m)^\s*(pub(\(\w+\))? )?mod {name};")).unwrap();
        assert!(declared.is_match(&source(&parent)), "src/{parent} does not declare src/{path}");
    }
}

#[test]
fn every_test_file_is_declared() {
    let main = fs::read_to_string(project().join("tests/it/main.rs")).unwrap();
    for entry in fs::read_dir(project().join("tests/it")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.trim_end_matches(".rs");
        assert!(
            module == "main" || main.contains(&format!("mod {module};")),
            "tests/it/main.rs does not declare {name}"
        );
    }
}

#[test]
fn no_tracked_file_names_a_place_on_somebodys_machine() {
    let listed = Command::new("git").args(["ls-files"]).current_dir(project()).output();
    let listed = match listed {
        Ok(output) if output.status.success() => String::from_utf8(output.stdout).unwrap(),
        // A release unpacked from a tar has no git.
        _ => return,
    };
    let places: Vec<String> = ["work", "root"].iter().map(|name| format!("/{name}/")).collect();
    for path in listed.lines() {
        let Ok(text) = fs::read_to_string(project().join(path)) else { continue };
        for place in &places {
            assert!(!text.contains(place.as_str()), "{path} names {place}");
        }
    }
}

#[test]
fn this_test_can_fail() {
    let wrong = |path: &str, text: &str| {
        let found = problems(path, text);
        assert_eq!(found.len(), 1, "{path} with {text:?}: {found:?}");
    };
    wrong("rules/a.rs", "use crate::pg::session::Session;");
    wrong("pg/a.rs", "use crate::archive::manifest;");
    wrong("model/a.rs", "fn f() { crate::ops::backup::run(); }");
    wrong("store/a.rs", "use crate::{error::Error, rules::{order, pattern}};");
    wrong("ops/a.rs", "use super::super::cli::args;");
    wrong("ops/a.rs", "use clap::Parser;");
    wrong("ops/a.rs", "fn f() { println!(\"talk\"); }");
    wrong("ops/a.rs", "fn f() { std::fs::write(\"a\", \"b\"); }");
    wrong("rules/a.rs", "fn f() { std::env::var(\"HOME\"); }");
    wrong("archive/a.rs", "use postgres::Client;");
    wrong("ops/a.rs", "fn f() { std::process::Command::new(\"sh\"); }");
    wrong("process/a.rs", "use crate::store::durable;");
    wrong("pg/a.rs", "use sha2::Sha256;");
    wrong("pg/a.rs", "fn f(row: &tokio_postgres::Row) {}");
    wrong("pg/a.rs", "use tokio_postgres::{Error, row::Row};");
    wrong("core/a.rs", "");
    wrong("ops/a.rs", &"\n".repeat(LONGEST + 1));
    assert!(problems("ops/a.rs", "use crate::{pg::ident, model::name};\n// crate::cli").is_empty());
}
