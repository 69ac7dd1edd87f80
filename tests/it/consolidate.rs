//! `pgark migrations consolidate` with real Alembic: what is put in the place of a chain builds the
//! same, and whatever fails leaves everything as it was.

use crate::harness::alembic::Project;
use crate::harness::{Database, Repo, pg_dump_schema};
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn eighteen_revisions_become_one_that_builds_the_same() {
    let (project, repo, live) = (Project::fintrack(), Repo::new(), Database::fintrack(1));
    let rows = live.one("SELECT count(*) FROM audit_log");
    let run = project.run(&repo, &live, &["consolidate", "--json"]).expect_code(0);
    let summary = json(&run.stdout);
    for found in summary["compared"].as_array().unwrap() {
        assert_eq!(found["equal"], true, "{found}");
    }
    assert_eq!(summary["compared"].as_array().unwrap().len(), 3, "{summary}");
    assert_eq!(summary["replaced"].as_array().unwrap().len(), 17);
    assert_eq!(
        project.paths("migrations/versions"),
        ["migrations/versions/ffcccccc0004_squashed.py"]
    );
    // A new database, and one that has applied all.
    let fresh = Database::empty();
    project.alembic(&fresh, &["upgrade", "head"]);
    assert_eq!(pg_dump_schema(&fresh), pg_dump_schema(&live));
    assert!(project.alembic(&live, &["current"]).contains("ffcccccc0004 (head)"));
    project.alembic(&live, &["upgrade", "head"]);
    assert_eq!(live.one("SELECT count(*) FROM audit_log"), rows);
}
