//! What `--json` prints is what docs/json.md says, no more and no less.

use crate::harness::archive::{small_database, small_project};
use crate::harness::{Database, Repo, Run, project};
use regex::Regex;
use serde_json::Value;
use std::collections::BTreeSet;

type Names = BTreeSet<String>;

fn document(name: &str) -> String {
    std::fs::read_to_string(project().join("docs").join(name)).unwrap()
}

/// The names in backticks in a column of the tables below a heading.
fn named(text: &str, heading: &str, column: usize) -> Vec<(String, Names)> {
    let name = Regex::new(r"`([a-z_0-9.\[\]]+)`").unwrap();
    let names = |cell: &str| name.captures_iter(cell).map(|found| found[1].to_owned()).collect();
    let begins = format!("{heading}\n");
    let section = text.split_once(&begins).unwrap_or_else(|| panic!("no {heading}")).1;
    let section = section.split("\n#").next().unwrap();
    let rows: Vec<Vec<&str>> = section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').map(str::trim).skip(1).collect())
        .collect();
    assert!(!rows.is_empty(), "{heading} has no table");
    rows.iter().map(|row| (row[0].trim_matches('`').to_owned(), names(row[column]))).collect()
}

fn fields(text: &str, heading: &str) -> Names {
    named(text, heading, 0).into_iter().flat_map(|(_, names)| names).collect()
}

/// The paths of all fields, as deep as the document goes.
fn paths(prefix: &str, value: &Value, documented: &Names, found: &mut Names) {
    let Value::Object(object) = value else { return };
    for (key, value) in object {
        let path = format!("{prefix}{key}");
        let goes_on = |more: &str| {
            let below = format!("{path}{more}");
            documented.iter().any(|name| name.starts_with(&below)).then_some(below)
        };
        match value {
            Value::Array(values) => {
                if let Some(below) = goes_on("[].") {
                    values.iter().for_each(|value| paths(&below, value, documented, found));
                }
            }
            value => {
                if let Some(below) = goes_on(".") {
                    paths(&below, value, documented, found);
                }
            }
        }
        found.insert(path);
    }
}

/// The results of a verb have the fields that the document gives it, and each of them is there in one
/// of the results.
#[track_caller]
fn is_documented(verb: &str, results: &[Value]) {
    let text = document("json.md");
    let documented = fields(&text, &format!("### {verb}"));
    let every = ["json_version", "event", "result", "exit_code"];
    let failure = fields(&text, "### A failure");
    let mut found = Names::new();
    for result in results {
        assert_eq!((&result["json_version"], &result["event"]), (&1.into(), &"result".into()));
        assert!(result["result"].is_string() && result["exit_code"].is_u64(), "{verb}: {result}");
        let mut own = Names::new();
        paths("", result, &documented, &mut own);
        if result["result"] == "failed" && !documented.contains("error") {
            own.retain(|name| !failure.contains(name));
        }
        found.extend(own);
    }
    found.retain(|name| !every.contains(&name.as_str()));
    assert_eq!(found, documented, "{verb}");
}

fn results(runs: &[&Run]) -> Vec<Value> {
    runs.iter().map(|run| run.json()).collect()
}

#[test]
fn every_result_has_the_fields_that_are_documented() {
    let (repo, source, target) = (Repo::new(), small_database(), Database::empty());
    let project = small_project(repo.path());
    let (from, to) = (source.url(), target.url());
    let run = |arguments: &[&str], code: i32| {
        let run = repo.run(&[arguments, &["--json"]].concat()).expect_code(code);
        for event in run.events() {
            assert!(event["event"].is_string(), "{event}");
        }
        run
    };
    let failed = run(&["backup", "--url", "host=/nowhere user=u dbname=d"], 17);
    let text = document("json.md");
    let mut keys: Names = failed.json().as_object().unwrap().keys().cloned().collect();
    keys.retain(|key| !["json_version", "event", "result", "exit_code"].contains(&key.as_str()));
    assert_eq!(keys, fields(&text, "### A failure"));

    let backup = run(&["backup", "--url", &from, "--name", "a", "--migrations", &project], 0);
    let mut documented = backup.json();
    // No object of today's servers is one that cannot be carried.
    assert_eq!(documented["not_carried"], serde_json::json!([]));
    documented["not_carried"] =
        serde_json::json!([{"class": "x", "name": "y", "schema": "s", "table": "t"}]);
    is_documented("backup", &[documented]);
    let restore = run(&["restore", "a", "--url", &to], 0);
    is_documented("restore", &results(&[&restore]));
    let list = run(&["list"], 0);
    let path = repo.path().join("manifests/unreadable.json");
    #[allow(clippy::disallowed_methods, reason = "the test's own files")]
    std::fs::write(&path, "{}").unwrap();
    is_documented("list", &results(&[&list, &run(&["list"], 0)]));
    std::fs::remove_file(&path).unwrap();
    let file = repo.path().join("rows.csv");
    let extract = ["extract", "a", "--table", "people", "-o", file.to_str().unwrap()];
    is_documented("extract", &results(&[&run(&extract, 0)]));
    is_documented("config", &results(&[&run(&["config"], 0)]));
    let unready = run(&["check", "--url", "host=/nowhere user=u dbname=d"], 17);
    is_documented("check", &results(&[&run(&["check", "--url", &from], 0), &unready]));
    let comparison = ["compare", "a", "--with", &to];
    let rows = run(&comparison, 0).json();
    let schema = run(&[&comparison[..], &["--schema"]].concat(), 0).json();
    let documented = fields(&document("compare.md"), "## JSON");
    for key in rows.as_object().unwrap().keys().chain(schema.as_object().unwrap().keys()) {
        let is_known = documented.contains(key) || ["json_version", "event"].contains(&&key[..]);
        assert!(is_known, "compare.md says nothing of {key}");
    }

    let shown = run(&["show", "a"], 0);
    let verified = run(&["verify", "a"], 0);
    let archive = repo.path().join("backups/a.tar");
    let sound = std::fs::read(&archive).unwrap();
    #[allow(clippy::disallowed_methods, reason = "the test's own files")]
    std::fs::write(&archive, &sound[..sound.len() / 2]).unwrap();
    let (damaged, of_damaged) = (run(&["verify", "a"], 13), run(&["show", "a"], 13));
    assert_eq!(damaged.json()["result"], "damaged");
    assert!(of_damaged.json()["error"].is_string() && of_damaged.stderr.is_empty());
    is_documented("verify", &results(&[&verified, &damaged]));
    is_documented("show", &results(&[&shown, &of_damaged]));
    let manifest = std::fs::read(repo.path().join("manifests/a.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(shown.json()["manifest"], manifest);
    assert_eq!(of_damaged.json()["manifest"], manifest);
}

#[test]
fn every_event_has_the_fields_that_are_documented() {
    let (repo, source) = (Repo::new(), small_database());
    source.execute(
        "CREATE TABLE rows AS SELECT i, repeat('x', 900) AS t FROM generate_series(1, 4000) AS i",
    );
    let url = source.url();
    let mut events = Vec::new();
    for more in [&["--verbose", "--progress", "1", "--rate-limit", "1MB"][..], &["--name", "b"]] {
        let backup = ["backup", "--url", &url, "--json", "--no-migrations"];
        events.extend(repo.ok(&[&backup[..], more].concat()).events());
    }
    // Of a run that was killed.
    let left = repo.path().join("backups/.x.tar.partial");
    #[allow(clippy::disallowed_methods, reason = "the test's own files")]
    std::fs::write(&left, "").unwrap();
    #[allow(clippy::disallowed_methods, reason = "the test's own files")]
    std::fs::write(repo.path().join("backups/y.tar"), "").unwrap();
    let backup = ["backup", "--url", &url, "--json", "--no-migrations", "--name", "c"];
    events.extend(repo.ok(&backup).events());
    let documented = named(&document("json.md"), "## Events", 1);
    for (event, mut names) in documented.into_iter().filter(|(event, _)| event != "result") {
        names.extend(["json_version", "event", "time"].map(str::to_owned));
        let mut of_this = events.iter().filter(|value| value["event"] == event.as_str()).peekable();
        assert!(of_this.peek().is_some(), "no {event}");
        for value in of_this {
            let keys: Names = value.as_object().unwrap().keys().cloned().collect();
            assert_eq!(keys, names, "{event}");
        }
    }
}
