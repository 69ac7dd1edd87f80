//! What users add to the type system: whole backups and restores of it, failed ones too.

use crate::harness::{Database, Repo, project};

const FAMILIES: [&str; 7] =
    ["base_types", "operators", "aggregates", "casts", "collations", "languages", "text_search"];

/// How many rows of the catalogs users made, whichever schema they lie in or in none.
fn made_by_users(database: &Database) -> String {
    let catalogs = [
        "pg_class",
        "pg_proc",
        "pg_type",
        "pg_namespace",
        "pg_operator",
        "pg_opclass",
        "pg_opfamily",
        "pg_amop",
        "pg_amproc",
        "pg_cast",
        "pg_collation",
        "pg_conversion",
        "pg_language",
        "pg_transform",
        "pg_am",
        "pg_ts_parser",
        "pg_ts_template",
        "pg_ts_dict",
        "pg_ts_config",
    ];
    let count = |catalog: &&str| {
        // Collations that look imported are the system's, and stay; so do the schemas of sessions.
        let theirs = match *catalog {
            "pg_collation" => " AND collname !~ '^imported'",
            "pg_namespace" => " AND nspname !~ '^pg_'",
            _ => "",
        };
        format!(
            "(SELECT '{catalog} ' || string_agg(oid::text, ',') FROM {catalog}
              WHERE oid >= 16384{theirs})"
        )
    };
    let counts: Vec<String> = catalogs.iter().map(count).collect();
    database.one(&format!("SELECT concat_ws(' ', {})", counts.join(", ")))
}

/// The parts of a fixture that the server understands.
fn fixture(name: &str, major: u32) -> String {
    let path = project().join("tests/fixtures/schema").join(format!("{name}.sql"));
    let text = std::fs::read_to_string(path).unwrap();
    let mut since = 0;
    let understood = |line: &&str| {
        if let Some(rest) = line.strip_prefix("-- since ") {
            since = rest.split_whitespace().next().unwrap().parse().unwrap();
        }
        major >= since
    };
    text.lines().filter(understood).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_failed_restore_takes_it_all_away_and_a_good_one_brings_it_all() {
    for name in FAMILIES {
        let source = Database::empty();
        source.execute(&fixture(name, source.server.major()));
        if name == "base_types" {
            source.execute(
                "INSERT INTO uses (s, t, r) SELECT '1 .. 2', '(1,2)', '[3,5]'
                 FROM generate_series(1, 40); UPDATE uses SET ws = ARRAY[w, '8']",
            );
        }
        source.execute(
            "CREATE TABLE failing (id int); INSERT INTO failing VALUES (1);
             ALTER TABLE failing ADD CHECK (id > 1) NOT VALID;
             UPDATE pg_constraint SET convalidated = true WHERE conrelid = 'failing'::regclass",
        );
        let (repo, target) = (Repo::new(), Database::empty());
        let before = made_by_users(&target);
        repo.backup(&source, &["--name", "bad"]);
        repo.run(&["restore", "bad", "--url", &target.url()])
            .expect_code(1)
            .says(&["empty as before", "failing_id_check"]);
        assert_eq!(made_by_users(&target), before, "{name}");

        source.execute("DROP TABLE failing");
        repo.backup(&source, &["--name", "good"]);
        let restored = repo.ok(&["restore", "good", "--url", &target.url()]);
        if name == "base_types" {
            // Its function is not made for what it is asked to analyze.
            restored.says(&["cannot analyze public.uses"]);
        }
        repo.ok(&["compare", "good", "--with", &target.url()]);
    }
}
