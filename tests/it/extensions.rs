//! PostgreSQL's own extensions: every one that the server has, with what users build on it.

use crate::harness::carried::{carry, carry_rows, copy};
use crate::harness::{Database, Repo, pg_dump_schema, project, role, server, server_of};
use std::collections::BTreeMap;

/// What users build on each extension.
fn fixtures() -> BTreeMap<String, String> {
    let file = project().join("tests/fixtures/extensions.sql");
    let text = std::fs::read_to_string(file).unwrap();
    let sections = text.split("\n-- extension ").skip(1);
    let named = sections.map(|section| section.split_once('\n').unwrap());
    named.map(|(name, sql)| (name.to_owned(), sql.to_owned())).collect()
}

/// Interpreters that a machine without them cannot load: `plperl`, `hstore_plpython3u` …
fn needs_an_interpreter(extension: &str) -> bool {
    ["perl", "perlu", "python2u", "python3u", "pythonu", "tcl", "tclu"].iter().any(|language| {
        extension.strip_suffix(language).is_some_and(|rest| rest == "pl" || rest.ends_with("_pl"))
    })
}

/// Installs every extension of the server, half of them into a schema with a hostile name, and
/// builds on them. Gives their names.
fn install_all(database: &Database) -> Vec<String> {
    let mut client = database.client();
    client
        .batch_execute(
            r#"CREATE SCHEMA "Ext, Schema"; SET search_path = public, "Ext, Schema", pg_catalog"#,
        )
        .unwrap();
    let fixtures = fixtures();
    let names = client
        .query(
            "SELECT e.name::text, v.relocatable AND v.schema IS NULL FROM pg_available_extensions e
             JOIN pg_available_extension_versions v
               ON v.name = e.name AND v.version = e.default_version ORDER BY 1",
            &[],
        )
        .unwrap();
    let mut installed = Vec::new();
    for (number, row) in names.iter().enumerate() {
        let (name, movable): (String, bool) = (row.get(0), row.get(1));
        let schema = if movable && number % 2 == 0 { r#""Ext, Schema""# } else { "public" };
        let schema = if movable { format!("SCHEMA {schema}") } else { String::new() };
        let sql = format!("CREATE EXTENSION IF NOT EXISTS \"{name}\" {schema} CASCADE");
        if let Err(error) = client.batch_execute(&sql) {
            let code = error.code().map(|code| code.code().to_owned());
            assert!(
                needs_an_interpreter(&name) && code.as_deref() == Some("58P01"),
                "{sql}: {error:?}"
            );
            continue;
        }
        if let Some(fixture) = fixtures.get(&name)
            && let Err(error) = client.batch_execute(fixture)
        {
            panic!("{name}: {error:?}");
        }
        installed.push(name);
    }
    installed
}

#[test]
fn every_extension_of_the_server_comes_back_with_what_is_built_on_it() {
    let source = Database::empty();
    let installed = install_all(&source);
    assert!(installed.len() > 35, "the server brings its contrib modules: {installed:?}");

    // None of those that users can build on is without a fixture.
    let fixtures = fixtures();
    let buildable = "SELECT string_agg(DISTINCT x.extname, ' ' ORDER BY x.extname) FROM pg_extension x
        JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = x.oid AND d.deptype = 'e'
        LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
        WHERE d.classid IN ('pg_type'::regclass, 'pg_opclass'::regclass, 'pg_am'::regclass,
            'pg_ts_dict'::regclass, 'pg_ts_template'::regclass, 'pg_operator'::regclass)
          AND NOT EXISTS (SELECT FROM pg_type t JOIN pg_class c ON c.oid = t.typrelid
            WHERE d.classid = 'pg_type'::regclass AND t.oid = d.objid AND c.relkind = 'v')
          OR p.prorettype IN ('trigger'::regtype, 'tsm_handler'::regtype)";
    for name in source.one(buildable).split(' ') {
        assert!(
            fixtures.contains_key(name),
            "tests/fixtures/extensions.sql has nothing for {name}"
        );
    }

    let target = carry(&source).target;
    let members = "SELECT string_agg(format('%s %s %I: %s', extname, extversion, extnamespace::regnamespace,
            (SELECT count(*) FROM pg_depend d WHERE d.refclassid = 'pg_extension'::regclass
               AND d.refobjid = x.oid AND d.deptype = 'e')), E'\n' ORDER BY extname) FROM pg_extension x";
    assert_eq!(target.one(members), source.one(members));
}

/// Tables that come with an extension, as its script would make them: each database has them.
const MEMBERS: &str = "CREATE EXTENSION hstore;
    CREATE TABLE base (id int PRIMARY KEY, note text NOT NULL DEFAULT 'x', amount numeric CHECK (amount > 0));
    CREATE TABLE other (id int, note text NOT NULL DEFAULT 'y', more int DEFAULT 7);
    ALTER TABLE other ALTER note SET STORAGE EXTERNAL;
    CREATE TABLE parted (k int, above int REFERENCES base, v text NOT NULL DEFAULT 'd', CHECK (k < 100),
      PRIMARY KEY (k)) PARTITION BY LIST (k);
    CREATE INDEX by_v ON parted (v);
    CREATE TRIGGER same BEFORE UPDATE ON parted FOR EACH ROW
      EXECUTE FUNCTION suppress_redundant_updates_trigger();
    ALTER EXTENSION hstore ADD TABLE base; ALTER EXTENSION hstore ADD TABLE other;
    ALTER EXTENSION hstore ADD TABLE parted;";

#[test]
fn what_inherits_from_the_table_of_an_extension_does_so_again() {
    let source = Database::with(MEMBERS);
    source.execute(
        "CREATE TABLE child (x int) INHERITS (base); CREATE TABLE grandchild () INHERITS (child);
         ALTER TABLE child ALTER note DROP DEFAULT;
         ALTER TABLE other ALTER note SET STORAGE EXTENDED;
         CREATE TABLE of_both (note text DEFAULT 'own') INHERITS (base, other);
         ALTER TABLE other ALTER note SET STORAGE EXTERNAL;
         ALTER TABLE of_both ADD CONSTRAINT more CHECK (more > 0);
         INSERT INTO child VALUES (1, 'a', 2, 3); INSERT INTO grandchild VALUES (2, 'b', 3, 4);
         INSERT INTO of_both (id) VALUES (5);",
    );
    carry_into(&source, MEMBERS);
}

#[test]
fn a_partition_of_the_table_of_an_extension_is_one_again() {
    let source = Database::with(MEMBERS);
    source.execute(
        "CREATE TABLE p1 (v text DEFAULT 'own' NOT NULL, k int NOT NULL, above int, CONSTRAINT parted_k_check CHECK (k < 100));
         CREATE INDEX \"its own\" ON p1 (v) WITH (fillfactor = 50); ALTER TABLE parted ATTACH PARTITION p1 FOR VALUES IN (1);
         CREATE TABLE p2 PARTITION OF parted FOR VALUES IN (2, 3) PARTITION BY LIST (k);
         CREATE TABLE p2_2 PARTITION OF p2 FOR VALUES IN (2);
         ALTER TABLE p1 DISABLE TRIGGER same;
         CREATE TABLE refers (k int REFERENCES parted);
         INSERT INTO parted (k, v) VALUES (1, 'one'), (2, 'two'); INSERT INTO refers VALUES (1), (2)",
    );
    carry_into(&source, MEMBERS);
}

/// Carries into a database that has the extension already, and into another one as a copy.
fn carry_into(source: &Database, members: &str) {
    let schema = pg_dump_schema(source);
    let carried = carry_rows(source, &[], Database::with(members));
    assert_eq!(pg_dump_schema(&carried.target), schema);
    let target = Database::with(members);
    copy(source, &target, &[]).expect_code(0);
    assert_eq!(pg_dump_schema(&target), schema, "the copy");
}

#[test]
fn an_extension_without_its_comment_stays_so() {
    carry(&Database::with("CREATE EXTENSION citext; COMMENT ON EXTENSION citext IS NULL"));
}

/// What users do to the members of an extension, and how a restore names it.
const CHANGES: [(&str, &str); 16] = [
    ("CREATE INDEX more_i ON other (more)", "index public.more_i is not there"),
    ("ALTER TABLE other ADD extra int", "table column public.other.extra is not there"),
    ("ALTER TABLE other ADD CONSTRAINT c CHECK (id > 0)", "table constraint c on public.other"),
    ("ALTER TABLE other ALTER id SET NOT NULL", "table column public.other.id is another"),
    ("ALTER TABLE other ALTER more SET DEFAULT 8", "table column public.other.more is another"),
    ("ALTER TABLE base ENABLE ROW LEVEL SECURITY", "table public.base is another"),
    ("CREATE POLICY po ON base USING (id > 1)", "policy po on public.base is not there"),
    (
        "CREATE RULE ru AS ON DELETE TO base DO INSTEAD NOTHING",
        "rule ru on public.base is not there",
    ),
    (
        "CREATE TRIGGER tr BEFORE UPDATE ON base FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "trigger tr on public.base is not there",
    ),
    ("COMMENT ON INDEX by_v IS 'x'", "comment on index public.by_v is not there"),
    ("COMMENT ON COLUMN base.id IS 'x'", "comment on table column public.base.id is not there"),
    (
        "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 2'",
        "function public.f() is another",
    ),
    ("CREATE OR REPLACE VIEW v AS SELECT 2 AS a", "view public.v is another"),
    ("ALTER TYPE en ADD VALUE 'b'", "type public.en is another"),
    ("SELECT setval('se', 5)", "position of sequence public.se was 5 and is unused"),
    ("ALTER FUNCTION f() OWNER TO e1_other", "owner of function public.f() is not there"),
];

const MORE_MEMBERS: &str = "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE VIEW v AS SELECT 1 AS a; CREATE TYPE en AS ENUM ('a'); CREATE SEQUENCE se;
    ALTER EXTENSION hstore ADD FUNCTION f(); ALTER EXTENSION hstore ADD VIEW v;
    ALTER EXTENSION hstore ADD TYPE en; ALTER EXTENSION hstore ADD SEQUENCE se;";

#[test]
fn what_a_user_has_changed_in_an_extension_is_named() {
    role("e1_other", "");
    let members = format!("{MEMBERS} {MORE_MEMBERS}");
    let (repo, source) = (Repo::new(), Database::with(&members));
    repo.backup(&source, &[]);
    repo.ok(&["restore", "latest", "--url", &Database::with(&members).url()]);
    for (change, _) in CHANGES {
        source.execute(change);
    }
    let run = repo.run(&["compare", "latest", "--with", &source.url(), "--schema"]).expect_code(4);
    assert!(run.stdout.contains("+ index public.more_i: "), "{}", run.stdout);
    source.execute("ALTER EXTENSION hstore DROP FUNCTION f(); DROP FUNCTION f()");
    let target = Database::with(&members);
    repo.backup(&source, &["--name", "changed"]);
    let told = repo.run(&["restore", "changed", "--url", &target.url(), "--json"]).expect_code(3);
    let named = told.json()["changed_extension_members"].to_string();
    for (change, name) in CHANGES.iter().filter(|(_, name)| !name.contains(".f()")) {
        assert!(named.contains(&format!("hstore: {name}")), "{change}: {named}");
    }
    assert!(named.contains("function public.f() was not there"), "{named}");
    copy(&source, &Database::with(&members), &[]).expect_code(3).says(&["index public.more_i"]);
}

#[test]
fn what_is_not_there_of_an_extension_is_named_in_another_version_of_postgresql_too() {
    if server().major() < 18 {
        return;
    }
    let old = server_of(13);
    // One that both have in the same version.
    let members = MEMBERS.replace("hstore", "unaccent");
    let changed = format!("{members} CREATE INDEX more_i ON other (more)");
    let source = Database::with_on(old, &changed);
    let repo = Repo::new();
    repo.backup(&source, &[]);
    let run = repo.run(&["restore", "latest", "--url", &Database::with(&members).url()]);
    let run =
        run.expect_code(3).says(&["of extension unaccent", "index public.more_i is not there"]);
    assert!(!run.stderr.contains("another"), "{}", run.stderr);
}

#[test]
fn a_column_that_was_added_to_configuration_is_asked_for_before_rows_are_loaded() {
    let members = "CREATE EXTENSION hstore; CREATE TABLE conf (id int); ALTER EXTENSION hstore ADD TABLE conf;
        UPDATE pg_extension SET extconfig = ARRAY['conf'::regclass::oid], extcondition = ARRAY['']
          WHERE extname = 'hstore'";
    let (repo, source) = (Repo::new(), Database::with(members));
    source.execute("ALTER TABLE conf ADD extra int; INSERT INTO conf VALUES (1, 2)");
    repo.backup(&source, &[]);
    let target = Database::with(members);
    let url = target.url();
    repo.run(&["restore", "latest", "--url", &url]).expect_code(15).says(&[
        "public.conf, as extension hstore makes it, has no column extra",
        "alter it there first",
    ]);
    target.execute("ALTER TABLE conf ADD extra int");
    repo.ok(&["restore", "latest", "--url", &url]);
}
