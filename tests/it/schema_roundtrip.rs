//! The schema of a database, read from its catalogs and made again, is the same to `pg_dump`.

use pgark::model::connection::Connection;
use pgark::model::schema::{ObjectClass, SchemaObject};
use pgark::pg::access::{self, Scope};
use pgark::pg::ddl::{self, DatabaseSchema};
use pgark::pg::session::{Purpose, Session};
use pgark::rules::order::restore_order;
use std::path::Path;
use std::process::Command;

fn connection() -> Connection {
    let string = crate::harness::server().url("postgres", "postgres");
    Connection { string, ..Connection::default() }
}

fn open(database: &str, purpose: Purpose) -> Session {
    Session::open(&connection(), Some(database), purpose).unwrap()
}

/// A database that goes when the test ends well, and stays to be looked at when it does not.
struct Scratch(String);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("pgark_{name}_{}", std::process::id());
        let mut session = open("postgres", Purpose::Write);
        session.execute(&format!("DROP DATABASE IF EXISTS {name}")).unwrap();
        session.execute(&format!("CREATE DATABASE {name} TEMPLATE template0")).unwrap();
        Self(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let mut session = open("postgres", Purpose::Write);
            session.execute(&format!("DROP DATABASE {} WITH (FORCE)", self.0)).unwrap();
        }
    }
}

fn load(scratch: &Scratch, file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/schema").join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let mut session = open(&scratch.0, Purpose::Write);
    let major = session.facts.major();
    // Fixtures are written as people write: with a search path, checked bodies, no pinned words.
    session.execute("RESET ALL").unwrap();
    session.execute("SET client_min_messages = warning").unwrap();
    for (since, part) in parts(&text) {
        if major >= since {
            session.client.batch_execute(part).unwrap_or_else(|error| {
                panic!(
                    "{file}: {:?}",
                    error.as_db_error().map_or(error.to_string(), |e| format!("{e:?}"))
                )
            });
        }
    }
}

/// `-- since 15` begins what only servers from 15 on understand, up to the next such line.
fn parts(text: &str) -> Vec<(u32, &str)> {
    let mut parts = Vec::new();
    let (mut since, mut start) = (0, 0);
    for (position, _) in text.match_indices("\n-- since ") {
        parts.push((since, &text[start..position]));
        since = text[position + 10..].split_whitespace().next().unwrap().parse().unwrap();
        start = position + 1;
    }
    parts.push((since, &text[start..]));
    parts
}

fn read(scratch: &Scratch) -> (DatabaseSchema, u32) {
    let mut session = open(&scratch.0, Purpose::Catalog);
    session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").unwrap();
    let schema = ddl::read(&mut session.client, &session.facts).unwrap();
    (schema, session.facts.major())
}

fn replay(scratch: &Scratch, objects: &[SchemaObject], major: u32) {
    let mut session = open(&scratch.0, Purpose::Write);
    let (last, first): (Vec<&SchemaObject>, Vec<&SchemaObject>) =
        objects.iter().partition(|object| object.class == ObjectClass::MaterializedViewData);
    let without_privileges = first.into_iter().filter(|object| object.access.is_none());
    run(&mut session, without_privileges);
    let wanted: Vec<_> = objects.iter().filter_map(|object| object.access.clone()).collect();
    access::apply(&mut session.client, major, &wanted, Scope::WholeDatabase).unwrap();
    let left = access::reconcile(&mut session.client, major, &wanted, Scope::WholeDatabase);
    assert_eq!(left.unwrap(), Vec::<String>::new());
    run(&mut session, last.into_iter());
}

fn run<'a>(session: &mut Session, objects: impl Iterator<Item = &'a SchemaObject>) {
    for object in objects {
        for statement in &object.statements {
            if let Err(error) = session.client.execute(statement.sql.as_str(), &[]) {
                panic!("{object}: {:?}\n{}", error.as_db_error(), statement.sql);
            }
        }
    }
}

/// The statements as a person would run them, privileges included.
fn replay_by_hand(scratch: &Scratch, objects: &[SchemaObject]) {
    let mut session = open(&scratch.0, Purpose::Write);
    run(&mut session, objects.iter());
}

fn dump(scratch: &Scratch) -> String {
    let url = crate::harness::server().url(&scratch.0, "postgres");
    let output = Command::new(crate::harness::server().pg_dump())
        .args(["--schema-only", "--restrict-key=x", "--dbname", &url])
        .output()
        .expect("pg_dump can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The comment and privileges of the database, which `pg_dump` without `-C` leaves out.
fn database_access(scratch: &Scratch) -> (Option<String>, Option<String>) {
    let sql = "SELECT shobj_description(oid, 'pg_database'), datacl::text
        FROM pg_catalog.pg_database WHERE datname = current_database()";
    let row = open(&scratch.0, Purpose::Read).client.query_one(sql, &[]).unwrap();
    (row.get(0), row.get(1))
}

fn assert_same(source: &str, copy: &str) {
    if source == copy {
        return;
    }
    let source: Vec<&str> = source.lines().collect();
    let copy: Vec<&str> = copy.lines().collect();
    let common = source.iter().zip(&copy).take_while(|(one, other)| one == other).count();
    let near = |lines: &[&str]| {
        let start = common.saturating_sub(6);
        lines[start.min(lines.len())..(common + 14).min(lines.len())].join("\n")
    };
    panic!("line {common}\n--- source\n{}\n--- copy\n{}", near(&source), near(&copy));
}

/// Loads the fixture, makes it again in two ways, and compares; gives what was not carried.
fn roundtrip(name: &str) -> DatabaseSchema {
    let file = format!("{name}.sql");
    let source = Scratch::new(&format!("{name}_source"));
    load(&source, &file);
    let (schema, major) = read(&source);
    let unknown: Vec<_> =
        schema.not_carried.iter().filter(|left| left.class == ObjectClass::Unknown).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let objects = restore_order(schema.objects.clone()).unwrap();

    let copy = Scratch::new(&format!("{name}_copy"));
    replay(&copy, &objects, major);
    assert_same(&dump(&source), &dump(&copy));

    let (again, _) = read(&copy);
    let lines = |schema: &DatabaseSchema| -> Vec<String> {
        let statements = schema.objects.iter().flat_map(|object| &object.statements);
        statements.map(|statement| statement.sql.clone()).collect()
    };
    assert_eq!(lines(&again), lines(&schema), "reading the copy gives the same statements");

    assert_eq!(database_access(&source), database_access(&copy));

    let by_hand = Scratch::new(&format!("{name}_by_hand"));
    replay_by_hand(&by_hand, &objects);
    assert_same(&dump(&source), &dump(&by_hand));
    assert_eq!(database_access(&source), database_access(&by_hand));
    schema
}

macro_rules! families {
    ($($name:ident,)*) => {
        $(#[test]
        fn $name() {
            let schema = roundtrip(stringify!($name));
            assert_eq!(schema.not_carried, [], "everything in this fixture is carried");
        })*
    };
}

families! {
    types, functions, tables, inheritance, partitions, constraints, indexes, views, triggers,
    names, privileges,
}

#[test]
fn what_is_not_carried_is_named() {
    let source = Scratch::new("left_out");
    load(&source, "left_out.sql");
    let (schema, _) = read(&source);
    let named: Vec<String> =
        schema.not_carried.iter().map(|left| format!("{} {}", left.class, left.name)).collect();
    let expected = [
        "aggregate public.total(integer)",
        "cast integer AS point",
        "collation public.coll",
        "conversion public.conv",
        "database-setting work_mem",
        "default-privileges for postgres on r",
        "event-trigger ev",
        "extended-statistics public.stats",
        "foreign-data-wrapper fdw",
        "foreign-server srv",
        "foreign-table public.remote",
        "foreign-table public.remote_part",
        "operator public.===(integer, text)",
        "operator-class public.cls using hash",
        "operator-family public.cls using hash",
        "operator-family public.fam using btree",
        "policy pol on public.t",
        "publication pub",
        "base-type public.shell",
        "row-security public.t",
        "rule a rule on public.t",
        "text-search-configuration public.conf",
        "text-search-dictionary public.dict",
        "user-mapping postgres on srv",
        "unknown function \"stray\"()",
    ];
    assert_eq!(named, expected);
}

#[test]
fn an_invalid_index_is_named() {
    let source = Scratch::new("invalid_index");
    let mut session = open(&source.0, Purpose::Write);
    session.execute("CREATE TABLE public.t (a int)").unwrap();
    session.execute("INSERT INTO public.t VALUES (1), (1)").unwrap();
    session.execute("CREATE UNIQUE INDEX CONCURRENTLY broken ON public.t (a)").unwrap_err();
    let (schema, _) = read(&source);
    assert_eq!(schema.not_carried.len(), 1);
    assert_eq!(schema.not_carried[0].class, ObjectClass::InvalidIndex);
    assert_eq!(schema.not_carried[0].name, "public.broken on public.t");
}

/// dump-correctness P3: a column that the parent got after its child was made comes before the
/// child's own columns in the copy. Columns are named wherever rows are read and written.
#[test]
fn only_the_order_of_inherited_columns_differs() {
    let source = Scratch::new("column_order_source");
    let mut session = open(&source.0, Purpose::Write);
    session.execute("CREATE TABLE public.p (a int)").unwrap();
    session.execute("CREATE TABLE public.c (b int) INHERITS (public.p)").unwrap();
    session.execute("ALTER TABLE public.p ADD COLUMN z int").unwrap();
    let (schema, major) = read(&source);
    let copy = Scratch::new("column_order_copy");
    replay(&copy, &restore_order(schema.objects).unwrap(), major);
    let order = |scratch: &Scratch| -> String {
        open(&scratch.0, Purpose::Read)
            .client
            .query_one(
                "SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_catalog.pg_attribute
                 WHERE attrelid = 'public.c'::regclass AND attnum > 0",
                &[],
            )
            .unwrap()
            .get(0)
    };
    assert_eq!(order(&source), "a,b,z");
    assert_eq!(order(&copy), "a,z,b");
    assert_same(&dump(&source), &dump(&copy));
}

/// dump-correctness P14: privileges that the target gives to every new object are taken back.
#[test]
fn default_privileges_of_the_target_do_not_stay() {
    let source = Scratch::new("pollution_source");
    load(&source, "privileges.sql");
    let (schema, major) = read(&source);
    let copy = Scratch::new("pollution_copy");
    let mut session = open(&copy.0, Purpose::Write);
    session.execute("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO pgark_b").unwrap();
    session.execute("ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO PUBLIC").unwrap();
    session.execute("ALTER DEFAULT PRIVILEGES REVOKE ALL ON FUNCTIONS FROM PUBLIC").unwrap();
    replay(&copy, &restore_order(schema.objects).unwrap(), major);
    session.execute("ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM pgark_b").unwrap();
    session.execute("ALTER DEFAULT PRIVILEGES REVOKE ALL ON SEQUENCES FROM PUBLIC").unwrap();
    session.execute("ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO PUBLIC").unwrap();
    // The order of grants on one object may differ: some were there before the others came.
    let sorted = |scratch: &Scratch| {
        // What an extension's objects began with is noted by the target, defaults included.
        let kept = |line: &&str| !line.contains("pg_stat_statements");
        let text = dump(scratch);
        let mut lines: Vec<&str> = text.lines().filter(kept).collect();
        lines.sort();
        lines.join("\n")
    };
    assert_same(&sorted(&source), &sorted(&copy));
}

/// The catalogs are read with a constant number of queries.
#[test]
fn ten_thousand_tables_take_seconds() {
    let source = Scratch::new("many");
    let mut session = open(&source.0, Purpose::Write);
    for part in 0..20 {
        let sql = format!(
            "DO $$BEGIN FOR i IN 1..500 LOOP EXECUTE format('CREATE TABLE public.t_{part}_%s
             (id serial PRIMARY KEY, a text DEFAULT ''x'' CHECK (a <> ''''), b integer)', i);
             END LOOP; END$$"
        );
        session.execute(&sql).unwrap();
    }
    let start = std::time::Instant::now();
    let (schema, _) = read(&source);
    let read = start.elapsed();
    let count = schema.objects.len();
    let sorted = restore_order(schema.objects).unwrap();
    let both = start.elapsed();
    assert_eq!(sorted.len(), count);
    assert!(both.as_secs() < 30, "{count} objects read in {read:?}, ordered after {both:?}");
}
