//! Consolidation of projects of every shape: branches, several folders, other configurations and
//! version tables, and bodies that drivers and Alembic read in their own ways.

use crate::consolidate::assert_equal;
use crate::harness::alembic::{Project, revision};
use crate::harness::{Database, Repo, pg_dump_schema};
use serde_json::{Value, json};

/// Brings a database to the head, consolidates, and proves by a new database that nothing is
/// missing: schema, rows, sequences.
#[track_caller]
fn consolidated(project: &Project, more: &[&str]) -> (Database, Database, Value) {
    let (repo, live, fresh) = (Repo::new(), Database::empty(), Database::empty());
    project.alembic(&live, &["upgrade", "head"]);
    let mut arguments = vec!["consolidate", "--json"];
    arguments.extend(more);
    let summary = project.run(&repo, &live, &arguments).expect_code(0).json();
    assert_equal(&summary);
    project.alembic(&fresh, &["upgrade", "head"]);
    assert_eq!(pg_dump_schema(&fresh), pg_dump_schema(&live));
    project.alembic(&live, &["upgrade", "head"]);
    (live, fresh, summary)
}

const VERSIONS: &str = "migrations/versions";

fn path(name: &str) -> String {
    format!("{VERSIONS}/{name}.py")
}

#[test]
fn branches_that_were_joined_and_dependencies_become_one_revision() {
    let files = [
        (path("a"), revision("aaaa", "None", "op.execute('CREATE TABLE a (x int)')")),
        (path("l"), revision("bbbb", "'aaaa'", "op.execute('ALTER TABLE a ADD l int')")),
        (path("r"), revision("cccc", "'aaaa'", "op.execute('CREATE TABLE r (y int)')")),
        (path("m"), revision("dddd", "('bbbb', 'cccc')", "pass")),
        (
            path("n"),
            revision("eeee", "'dddd'", "op.execute('CREATE VIEW v AS SELECT l FROM a')")
                .replace("branch_labels = None", "branch_labels = ('main',)"),
        ),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect();
    let project = Project::of(&files);
    let (live, ..) = consolidated(&project, &[]);
    assert!(project.read(&path("eeee_squashed")).contains("branch_labels = \"main\""));
    assert!(project.alembic(&live, &["heads"]).contains("eeee (main) (head)"));
    project.alembic(&live, &["upgrade", "main@head"]);
}

#[test]
fn two_version_locations_become_one_revision_and_both_folders_stay() {
    for ini in [
        "[alembic]\nscript_location = migrations\nversion_locations = migrations/versions:migrations/more\npath_separator = os\n",
        "[alembic]\nscript_location = migrations\nversion_locations = one two\n",
    ] {
        let (first, second) = match ini.contains("one two") {
            true => ("one", "two"),
            false => ("migrations/versions", "migrations/more"),
        };
        let project = Project::of(&[
            ("alembic.ini", ini),
            (
                &format!("{first}/a.py"),
                &revision("aaaa", "None", "op.execute('CREATE TABLE a (x int)')"),
            ),
            (
                &format!("{second}/b.py"),
                &revision("bbbb", "'aaaa'", "op.execute('CREATE TABLE b (x int)')"),
            ),
            (&format!("{second}/helper.sql"), "SELECT 1;\n"),
        ]);
        consolidated(&project, &[]);
        let paths = project.paths(second);
        assert_eq!(
            paths,
            [format!("{second}/bbbb_squashed.py"), format!("{second}/helper.sql")],
            "{ini}"
        );
        assert!(project.path().join(first).is_dir());
    }
}

#[test]
fn a_pyproject_is_a_configuration_too() {
    let project = Project::of(&[
        (
            "pyproject.toml",
            "[tool.alembic]\nscript_location = \"%(here)s/migrations\"\nprepend_sys_path = [\".\"]\n",
        ),
        (&path("a"), &revision("aaaa", "None", "op.execute('CREATE TABLE a (x int)')")),
        (&path("b"), &revision("bbbb", "'aaaa'", "op.execute('CREATE TABLE b (x int)')")),
    ]);
    std::fs::remove_file(project.path().join("alembic.ini")).unwrap();
    let (_, _, summary) = consolidated(&project, &[]);
    let legacy = summary["legacy_ini"].as_str().unwrap();
    let behind = Database::empty();
    project.alembic(&behind, &["-c", legacy, "upgrade", "aaaa"]);
    project.alembic(&behind, &["-c", legacy, "upgrade", "head"]);
    project.alembic(&behind, &["upgrade", "head"]);
}

#[test]
fn a_version_table_of_another_name_in_another_schema_is_held_and_left_alone() {
    let project = Project::of(&[
        (
            &path("a"),
            &revision(
                "aaaa",
                "None",
                "op.execute('CREATE TABLE ops.a (x int)')\nop.execute('CREATE SCHEMA app')",
            ),
        ),
        (&path("b"), &revision("bbbb", "'aaaa'", "op.execute('CREATE TABLE app.b (x int)')")),
    ]);
    let env = project.read("migrations/env.py").replace(
        "connection=connection,",
        "connection=connection, version_table='revisions', version_table_schema='ops',",
    );
    let env = env.replace(
        "    with engine.connect() as connection:\n",
        "    import sqlalchemy as sa\n    with engine.begin() as connection:\n        connection.execute(sa.text('CREATE SCHEMA IF NOT EXISTS ops'))\n    with engine.connect() as connection:\n",
    );
    project.write("migrations/env.py", &env);
    let (live, fresh, _) = consolidated(&project, &["--version-table", "ops.revisions"]);
    for database in [&live, &fresh] {
        assert_eq!(database.one("SELECT string_agg(version_num, ',') FROM ops.revisions"), "bbbb");
    }
    assert!(
        !project.read(&path("bbbb_squashed")).contains("revisions\" ("),
        "the version table is Alembic's"
    );
}

#[test]
fn rows_and_sequences_that_migrations_make_come_along() {
    let data = "op.execute(\"\"\"CREATE TABLE kinds (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE, p numeric(20,10), b bytea, at timestamptz DEFAULT now(), j jsonb)\"\"\")\n\
        op.execute(sa.text(r\"\"\"INSERT INTO kinds (name, p, b, j) VALUES ('tax\\: %s it''s \\\\n', 3.1234567890, '\\\\x00ff', '{\"a\"\\: [1, null]}'), (NULL, NULL, NULL, NULL)\"\"\"))\n\
        op.execute(\"CREATE TABLE parts (kind int REFERENCES kinds, n int) PARTITION BY LIST (n)\")\n\
        op.execute(\"CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1)\")\n\
        op.execute(\"INSERT INTO parts VALUES (1, 1)\")\n\
        op.execute(\"CREATE SEQUENCE free START 100 INCREMENT 5\")\n\
        op.execute(\"SELECT nextval('free'), nextval('free')\")";
    let project = Project::of(&[
        (&path("a"), &revision("aaaa", "None", data)),
        (
            &path("b"),
            &revision(
                "bbbb",
                "'aaaa'",
                "op.execute(\"UPDATE kinds SET name = 'none' WHERE name IS NULL\")",
            ),
        ),
    ]);
    let (live, fresh, summary) = consolidated(&project, &[]);
    assert_eq!(
        summary["seeds"],
        json!([{"table": "public.kinds", "rows": 2}, {"table": "public.parts_1", "rows": 1}])
    );
    // The time of day is that of the proof's own run of the chain.
    let rows = "SELECT string_agg(format('%s|%s|%s|%s|%s', id, name, p, b, j), E'\\n' ORDER BY id) FROM kinds";
    assert_eq!(fresh.one(rows), live.one(rows));
    assert_eq!(fresh.one("SELECT count(*) FROM parts"), "1");
    assert_eq!(fresh.one("SELECT nextval('free')"), "110");
    fresh.execute("INSERT INTO kinds (name) VALUES ('new')");
    assert_eq!(fresh.one("SELECT max(id) FROM kinds"), "3");
}

#[test]
fn an_enum_that_grew_in_an_autocommit_block_is_made_whole() {
    let grow = "with op.get_context().autocommit_block():\n    op.execute(\"ALTER TYPE kind ADD VALUE 'b' BEFORE 'c'\")";
    let project = Project::of(&[
        (
            &path("a"),
            &revision(
                "aaaa",
                "None",
                "op.execute(\"CREATE TYPE kind AS ENUM ('a', 'c')\")\nop.execute('CREATE TABLE t (k kind)')",
            ),
        ),
        (&path("b"), &revision("bbbb", "'aaaa'", grow)),
        (
            &path("c"),
            &revision("cccc", "'bbbb'", "op.execute(\"ALTER TABLE t ALTER k SET DEFAULT 'b'\")"),
        ),
    ]);
    let (_, fresh, _) = consolidated(&project, &[]);
    assert_eq!(fresh.one("SELECT enum_range(NULL::kind)::text"), "{a,b,c}");
}

/// Statements full of what drivers, SQLAlchemy and Python read in their own ways.
const HARD: &str = r####"
CREATE FUNCTION hard(a text, b timestamptz) RETURNS text LANGUAGE plpgsql AS $body$
DECLARE r text := '100%';
BEGIN
  -- a comment; with a semicolon : and a :bind
  r := r || format('%s %% %I', a, 'x') || to_char(b, 'HH24:MI:SS') || ':name' || E'\\d\n\'' || '\:' || '\\';
  r := r || $q$ it's """ ''' $q$ || a::varchar(3) || 'ends:';
  IF r ~ '^\s*:[a-z]+::%(x)s' THEN RETURN ':a:b:c'; END IF;
  RETURN ((string_to_array(r, ':'))[1:2])::text;
END $body$;
COMMENT ON FUNCTION hard IS E'100% :sure \\ "quoted" $1 {curly} \r\n é 漢 \u200F';
CREATE TABLE hard_table (":col%" text DEFAULT ':x %s \' CHECK (":col%" <> '%:'), "it's ""q""" int,
  at text GENERATED ALWAYS AS (replace(":col%", ':', '%%')) STORED);
CREATE VIEW hard_view AS SELECT ":col%" || ':y' AS "a:b", now()::date::text AS d FROM hard_table WHERE ":col%" LIKE '%:\%' ESCAPE '\';
CREATE TABLE events (id int PRIMARY KEY, parent int REFERENCES events, during tstzrange, EXCLUDE USING gist (during WITH &&));
CREATE INDEX part ON events ((id % 10)) WHERE id % 2 = 0;
ALTER TABLE events ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON events USING (id::text <> ':x');
"####;

#[test]
fn texts_with_colons_and_percent_signs_pass_every_driver_byte_for_byte() {
    for driver in ["psycopg", "psycopg2", "asyncpg"] {
        let project = Project::of(&[
            (
                &path("a"),
                &revision(
                    "aaaa",
                    "None",
                    "from pathlib import Path\nsql = (Path(__file__).parent / 'hard.sql').read_text()\nconnection = op.get_bind()\nimport json, subprocess\nfor statement in json.loads((Path(__file__).parent / 'hard.json').read_text()):\n    op.execute(sa.text(statement.replace(':', '\\\\:')))",
                ),
            ),
            (&path("b"), &revision("bbbb", "'aaaa'", "pass")),
            (&format!("{VERSIONS}/hard.sql"), HARD),
            (&format!("{VERSIONS}/hard.json"), &statements()),
        ]);
        let env = project
            .read("migrations/env.py")
            .replace("postgresql+psycopg://", &format!("postgresql+{driver}://"));
        let env = match driver {
            "asyncpg" => asynchronous(&env),
            _ => env,
        };
        let env = env.replace(
            "if not url:",
            "url = (url or '').replace('postgresql+psycopg://', 'postgresql://')\n    if not url:",
        );
        project.write("migrations/env.py", &env);
        let (live, fresh, _) = consolidated(&project, &[]);
        let body = "SELECT prosrc FROM pg_proc WHERE proname = 'hard'";
        assert_eq!(fresh.one(body), live.one(body), "{driver}");
        let comment = "SELECT obj_description('hard'::regproc)";
        assert_eq!(fresh.one(comment), live.one(comment), "{driver}");
        let said = "SELECT hard('abc', '2020-01-01 12:34:56+00')";
        assert_eq!(fresh.one(said), live.one(said), "{driver}");
    }
}

/// The statements of [`HARD`], as JSON: only the test knows where they end.
fn statements() -> String {
    let (function, rest) = HARD.split_once("$body$;").unwrap();
    let mut all = vec![format!("{function}$body$")];
    all.extend(rest.split(";\n").map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned));
    json!(all).to_string()
}

/// The usual asynchronous `env.py`.
fn asynchronous(env: &str) -> String {
    let begin = env.find("def run_migrations_online").unwrap();
    let end = env.find("if context.is_offline_mode").unwrap();
    format!(
        "{}def do_run(connection):\n    context.configure(connection=connection, target_metadata=target_metadata, transaction_per_migration=True)\n    \
         with context.begin_transaction():\n        context.run_migrations()\n\n\ndef run_migrations_online():\n    import asyncio\n    \
         from sqlalchemy.ext.asyncio import create_async_engine\n    async def run():\n        \
         engine = create_async_engine(database_url(), poolclass=pool.NullPool)\n        \
         async with engine.connect() as connection:\n            await connection.run_sync(do_run)\n            await connection.commit()\n    \
         asyncio.run(run())\n\n\n{}",
        &env[..begin],
        &env[end..]
    )
}

#[test]
fn privileges_that_migrations_give_come_along_and_those_of_production_only_when_asked_for() {
    crate::harness::role("squash_reader", "");
    let project = Project::of(&[
        (
            &path("a"),
            &revision(
                "aaaa",
                "None",
                "op.execute('CREATE TABLE a (x int)')\nop.execute('GRANT SELECT ON a TO squash_reader')",
            ),
        ),
        (&path("b"), &revision("bbbb", "'aaaa'", "op.execute('CREATE TABLE b (x int)')")),
    ]);
    let (repo, live) = (Repo::new(), Database::empty());
    project.alembic(&live, &["upgrade", "head"]);
    live.execute("GRANT INSERT ON b TO squash_reader");
    let run = |more: &[&str]| {
        let mut arguments = vec!["consolidate", "--dry-run"];
        arguments.extend(more);
        project.run(&repo, &live, &arguments).expect_code(0).stdout
    };
    let without = run(&[]);
    assert!(
        without.contains("GRANT SELECT ON TABLE \"public\".\"a\" TO \"squash_reader\""),
        "{without}"
    );
    assert!(!without.contains("GRANT INSERT"), "{without}");
    assert!(without.contains("but for") && without.contains("privileges"), "{without}");
    let note = "privileges of the old revisions (first) and the live database (second) differ";
    assert!(without.contains(note), "{without}");
    let with = run(&["--with-privileges"]);
    assert!(with.contains("GRANT INSERT ON TABLE \"public\".\"b\" TO \"squash_reader\""), "{with}");
}

#[test]
fn owners_that_migrations_name_come_along_and_whoever_runs_them_is_not_named() {
    crate::harness::role("squash_reader", "");
    let project = Project::of(&[
        (
            &path("a"),
            &revision(
                "aaaa",
                "None",
                "op.execute('CREATE TABLE a (x int, made_by varchar(14) DEFAULT current_user)')
op.execute('ALTER TABLE a OWNER TO postgres')
op.execute('ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO squash_reader')
op.execute('CREATE POLICY p ON a TO CURRENT_USER')
op.execute('INSERT INTO a VALUES (1)')",
            ),
        ),
        (
            &path("b"),
            &revision(
                "bbbb",
                "'aaaa'",
                "op.execute('CREATE TABLE b (x int)')\nop.execute('REVOKE TRIGGER ON b FROM CURRENT_USER')",
            ),
        ),
    ]);
    let (_, fresh, summary) = consolidated(&project, &[]);
    let text = project.read(&path("bbbb_squashed"));
    assert!(text.contains("ALTER TABLE \"public\".\"a\" OWNER TO \"postgres\""), "{text}");
    assert!(!text.contains("\"b\" OWNER TO") && !text.contains("pgark_"), "{text}");
    assert!(text.contains("ALTER DEFAULT PRIVILEGES FOR ROLE CURRENT_USER GRANT SELECT"), "{text}");
    assert_eq!(fresh.one("SELECT made_by FROM a"), "postgres");
    assert_eq!(summary["notes"], json!([]));
}

#[test]
fn the_name_of_whoever_runs_the_migrations_is_refused_where_it_cannot_be_generalized() {
    for (sql, about) in [
        (
            "EXECUTE format('CREATE TABLE a (made_by text DEFAULT %L)', current_user)",
            "table public.a",
        ),
        (
            "CREATE TABLE a (made jsonb); INSERT INTO a VALUES (jsonb_build_object('by', current_user))",
            "public.a",
        ),
        ("EXECUTE format('CREATE SCHEMA %I', current_user)", "schema CURRENT_USER"),
    ] {
        let step = format!("op.execute(\"DO $$BEGIN {sql}; END$$\")");
        let project = Project::of(&[
            (&path("a"), &revision("aaaa", "None", &step)),
            (&path("b"), &revision("bbbb", "'aaaa'", "pass")),
        ]);
        let (repo, live) = (Repo::new(), Database::empty());
        project.alembic(&live, &["upgrade", "head"]);
        let run = project.run(&repo, &live, &["consolidate", "--dry-run"]).expect_code(15);
        let named = "write the name of the role that runs them into";
        let run = run.says(&[named, about, "--scratch URL"]);
        assert!(!run.stderr.contains("pgark_"), "{run:?}");
    }
}
