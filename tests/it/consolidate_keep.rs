//! `pgark migrations consolidate --keep`: removed revisions fold forward, every kept one still means
//! the same, and sets that would break a database are refused. Ids are this module's own: other
//! databases of the server are looked at.

use crate::consolidate::assert_equal;
use crate::harness::alembic::{Project, revision};
use crate::harness::{Database, Repo, pg_dump_schema};
use serde_json::{Value, json};

const CHAIN: [&str; 7] = ["kp1", "kp2", "kp3", "kp4", "kp5", "kp6", "kp7"];

/// Seven revisions: an enum that grows outside a transaction, a data migration, helpers of the same
/// name in two files, a constant of several lines. Whoever stands at one of them is told of in the other
/// tests, which therefore have ids of their own.
fn chain(prefix: &str) -> Project {
    let file = |number: usize, above: &str, body: &str| {
        let down = match number {
            1 => String::from("None"),
            n => format!("'{prefix}{}'", n - 1),
        };
        let text = revision(&format!("{prefix}{number}"), &down, body);
        let text = text.replace("\n\ndef upgrade", &format!("\n{above}\n\ndef upgrade"));
        (format!("migrations/versions/{number}.py"), text)
    };
    let files = [
        file(
            1,
            "",
            "op.execute(\"CREATE TYPE kind AS ENUM ('a', 'c')\")\nop.execute('CREATE TABLE t (id serial PRIMARY KEY, k kind)')",
        ),
        file(
            2,
            "ROWS = ['a', 'c']\n\ndef add(rows):\n    for row in rows:\n        op.execute(f\"INSERT INTO t (k) VALUES ('{row}')\")",
            "add(ROWS)",
        ),
        file(
            3,
            "",
            "with op.get_context().autocommit_block():\n    op.execute(\"ALTER TYPE kind ADD VALUE 'b' BEFORE 'c'\")",
        ),
        file(4, "", "op.add_column('t', sa.Column('note', sa.Text(), server_default=\"a:b %\"))"),
        file(
            5,
            "BODY = '''\nCREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$\n  SELECT ':x' || '%s'\n$$\n'''\n\ndef add(text):\n    op.execute(sa.text(text.replace(':', '\\\\:')))",
            "add(BODY)",
        ),
        file(6, "", "op.execute(\"UPDATE t SET note = 'six' WHERE k = 'a'\")"),
        file(7, "", "op.create_index('t_note', 't', ['note'])"),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect();
    Project::of(&files)
}

fn rows(database: &Database) -> String {
    database.one("SELECT string_agg(t::text, ' ' ORDER BY id) FROM t")
}

fn keep(project: &Project, repo: &Repo, live: &Database, set: &str) -> Value {
    project.run(repo, live, &["consolidate", "--keep", set, "--json"]).expect_code(0).json()
}

#[test]
fn removed_revisions_fold_forward_and_every_database_is_right_or_refused() {
    let (project, repo, live) = (chain("kp"), Repo::new(), Database::empty());
    project.alembic(&live, &["upgrade", "head"]);
    let summary = keep(&project, &repo, &live, "kp3,kp5,kp7");
    assert_equal(&summary);
    assert_eq!(
        summary["fold"],
        json!([
            {"kept": "kp3", "folds": ["kp1", "kp2"], "follows": []},
            {"kept": "kp5", "folds": ["kp4"], "follows": ["kp3"]},
            {"kept": "kp7", "folds": ["kp6"], "follows": ["kp5"]},
        ])
    );
    let lefts: Vec<&Value> =
        summary["compared"].as_array().unwrap().iter().map(|c| &c["right"]).collect();
    assert_eq!(lefts, ["new revisions", "new revisions", "new revisions", "live"]);
    assert_eq!(project.paths("migrations/versions").len(), 3 + 1, "and .keep");
    let fresh = Database::empty();
    project.alembic(&fresh, &["upgrade", "head"]);
    assert_eq!(pg_dump_schema(&fresh), pg_dump_schema(&live));
    assert_eq!(rows(&fresh), rows(&live));
    let legacy = summary["legacy_ini"].as_str().unwrap();
    for id in CHAIN {
        let database = Database::empty();
        project.alembic(&database, &["-c", legacy, "upgrade", id]);
        if !["kp3", "kp5", "kp7"].contains(&id) {
            let said = project.alembic_fails(&database, &["upgrade", "head"]);
            assert!(
                said.contains(&format!("Can't locate revision identified by '{id}'")),
                "{said}"
            );
            project.alembic(&database, &["-c", legacy, "upgrade", "head"]);
        }
        project.alembic(&database, &["upgrade", "head"]);
        assert_eq!(pg_dump_schema(&database), pg_dump_schema(&live), "{id}");
        assert_eq!(rows(&database), rows(&live), "{id}");
    }
    // And at each revision that stays, a new database is where an old one was.
    for id in ["kp3", "kp5"] {
        let (old, new) = (Database::empty(), Database::empty());
        project.alembic(&old, &["-c", legacy, "upgrade", id]);
        project.alembic(&new, &["upgrade", id]);
        assert_eq!(pg_dump_schema(&new), pg_dump_schema(&old), "{id}");
        assert_eq!(rows(&new), rows(&old), "{id}");
    }
}

#[test]
fn sets_that_would_break_something_are_refused_with_the_nearest_that_does_not() {
    let (project, repo, live) = (chain("ks"), Repo::new(), Database::empty());
    project.alembic(&live, &["upgrade", "head"]);
    let before = project.files();
    let refused = |set: &str, code: i32, says: &[&str]| {
        project.run(&repo, &live, &["consolidate", "--keep", set]).expect_code(code).says(says);
        assert_eq!(project.files(), before);
        assert_eq!(repo.files(), Vec::new());
    };
    // Only those that create something: the head is not among them.
    refused("ks1,ks5", 15, &["ks7 (it is a head)", "--keep ks1,ks5,ks7"]);
    refused("ks1,ks2,ks3,ks4,ks5,ks6,ks7", 15, &["there is nothing to consolidate"]);
    refused("nope", 10, &["there is no revision nope"]);
    // What is to become of each revision is said before anything is tried.
    let arguments = ["consolidate", "--keep", "ks3,ks7", "--alembic", "false"];
    let run = project.run(&repo, &live, &arguments).expect_code(1);
    run.says(&["ks3 takes in ks1, ks2", "ks7 takes in ks4, ks5, ks6", "alembic current failed"]);
    // A database that stands at a revision which would go.
    let stands = Database::empty();
    project.alembic(&stands, &["upgrade", "ks4"]);
    let reason = format!("ks4 (\"{}\" stands there)", stands.name);
    refused("ks3,ks7", 15, &[&reason, "--keep ks3,ks4,ks7"]);
    let run = project.run(&repo, &live, &["consolidate", "--alembic", "false"]).expect_code(1);
    run.says(&[&format!("\"{}\" is at ks4: after the exchange", stands.name)]);
}

#[test]
fn branches_merges_labels_and_dependencies_stay() {
    let make = |id: &str, down: &str, body: &str| {
        (format!("migrations/versions/{id}.py"), revision(id, down, body))
    };
    let table = |name: &str| format!("op.execute('CREATE TABLE {name} (x int)')");
    let mut files = vec![
        make("br1", "None", &table("a")),
        make("br2", "'br1'", &table("b")),
        make("br3l", "'br2'", &table("l1")),
        make("br4l", "'br3l'", &table("l2")),
        make("br3r", "'br2'", &table("r1")),
        make("br5", "('br4l', 'br3r')", "pass"),
        make("br6", "'br5'", &table("c")),
    ];
    // A line of its own, on which br6 depends.
    files.push(make("br0x", "None", &table("x1")));
    files.push(make("br1x", "'br0x'", &table("x2")));
    files[7].1 = files[7].1.replace("branch_labels = None", "branch_labels = ('side',)");
    files[6].1 = files[6].1.replace("depends_on = None", "depends_on = 'br1x'");
    let files: Vec<(&str, &str)> = files.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect();
    let project = Project::of(&files);
    let (repo, live) = (Repo::new(), Database::empty());
    project.alembic(&live, &["upgrade", "heads"]);
    project.run(&repo, &live, &["consolidate", "--keep", "br6"]).expect_code(15).says(&[
        "br2 (several revisions follow it)",
        "br5 (it joins branches)",
        "br1x (",
        "br0x (it has a branch label)",
        "--keep ",
    ]);
    let summary = keep(&project, &repo, &live, "br0x,br1x,br2,br5,br6");
    assert_equal(&summary);
    let fresh = Database::empty();
    project.alembic(&fresh, &["upgrade", "heads"]);
    assert_eq!(pg_dump_schema(&fresh), pg_dump_schema(&live));
    let side = Database::empty();
    project.alembic(&side, &["upgrade", "side@head"]);
    project.alembic(&side, &["upgrade", "heads"]);
    assert_eq!(pg_dump_schema(&side), pg_dump_schema(&live));
}

#[test]
fn what_cannot_be_folded_or_replayed_is_refused() {
    let (repo, live) = (Repo::new(), Database::empty());
    let first = revision("fl1", "None", "global counter\ncounter = 1");
    let project = Project::of(&[
        ("migrations/versions/a.py", &first),
        ("migrations/versions/b.py", &revision("fl2", "'fl1'", "op.execute('CREATE TABLE b ()')")),
    ]);
    project.alembic(&live, &["upgrade", "head"]);
    let before = project.files();
    project
        .run(&repo, &live, &["consolidate", "--keep", "fl2"])
        .expect_code(15)
        .says(&["a.py cannot be folded into another revision", "it uses global"]);
    // What create_all made once: the chain is no whole.
    project.write("migrations/versions/a.py", &revision("fl1", "None", "op.execute('TABLE gone')"));
    let broken = project.files();
    project
        .run(&repo, &live, &["consolidate", "--keep", "fl2"])
        .expect_code(1)
        .says(&["no part of them can be proved", "--reference live"]);
    assert_eq!(project.files(), broken);
    assert_eq!(before.len(), broken.len());
}
