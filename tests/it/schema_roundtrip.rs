//! The schema of a database, read from its catalogs and made again, is the same to `pg_dump`.

use pgark::model::catalog::Catalog;
use pgark::model::connection::Connection;
use pgark::model::schema::{AccessList, ObjectClass, SchemaObject};
use pgark::pg::access::{self, Scope};
use pgark::pg::ddl::{self, DatabaseSchema};
use pgark::pg::session::{Purpose, Session};
use pgark::rules::order::restore_order;
use std::process::Command;

fn connection() -> Connection {
    let string = crate::harness::server().url("postgres", "postgres");
    Connection { string, ..Connection::default() }
}

pub fn open(database: &str, purpose: Purpose) -> Session {
    Session::open(&connection(), Some(database), purpose).unwrap()
}

/// A database that goes when the test ends well, and stays to be looked at when it does not.
pub struct Scratch(pub String);

impl Scratch {
    pub fn new(name: &str) -> Self {
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
            crate::harness::drop_subscriptions(&mut crate::harness::connect(&self.0, "postgres"));
            let mut session = open("postgres", Purpose::Write);
            session.execute(&format!("DROP DATABASE {} WITH (FORCE)", self.0)).unwrap();
        }
    }
}

fn load(scratch: &Scratch, file: &str) {
    let mut session = open(&scratch.0, Purpose::Write);
    let text = crate::harness::fixture(file, session.facts.major());
    // Fixtures are written as people write: with a search path, checked bodies, no pinned words.
    session.execute("RESET ALL").unwrap();
    session.execute("SET client_min_messages = warning").unwrap();
    session.client.batch_execute(&text).unwrap_or_else(|error| {
        panic!("{file}: {:?}", error.as_db_error().map_or(error.to_string(), |e| format!("{e:?}")))
    });
}

pub fn read(scratch: &Scratch) -> (DatabaseSchema, u32) {
    let mut session = open(&scratch.0, Purpose::Catalog);
    session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").unwrap();
    let schema = ddl::read(&mut session.client, &session.facts).unwrap();
    (schema, session.facts.major())
}

pub fn replay(scratch: &Scratch, objects: &[SchemaObject], major: u32) {
    let mut session = open(&scratch.0, Purpose::Write);
    let is_last = |object: &&SchemaObject| {
        matches!(object.class, ObjectClass::MaterializedViewData | ObjectClass::DatabaseSetting)
    };
    let (last, first): (Vec<&SchemaObject>, Vec<&SchemaObject>) = objects.iter().partition(is_last);
    let (event_triggers, first): (Vec<&SchemaObject>, Vec<&SchemaObject>) =
        first.into_iter().partition(|object| object.class == ObjectClass::EventTrigger);
    let without_privileges = first.into_iter().filter(|object| object.access.is_none());
    let denied = run_as_owners(&mut session, objects, without_privileges);
    let lists = |class: ObjectClass| -> Vec<AccessList> {
        let of_class = objects.iter().filter(|object| object.class == class);
        of_class.filter_map(|object| object.access.as_deref().cloned()).collect()
    };
    let wanted = lists(ObjectClass::Privileges);
    access::apply(&mut session.client, major, &wanted, Scope::WholeDatabase).unwrap();
    let left = access::reconcile(&mut session.client, major, &wanted, Scope::WholeDatabase);
    assert_eq!(left.unwrap(), Vec::<String>::new());
    run(&mut session, denied.into_iter());
    let defaults = lists(ObjectClass::DefaultPrivileges);
    let kept = access::apply_defaults(&mut session.client, major, &defaults).unwrap();
    assert_eq!(kept, Vec::<String>::new());
    run(&mut session, last.into_iter());
    run(&mut session, event_triggers.into_iter());
}

fn run<'a>(session: &mut Session, objects: impl Iterator<Item = &'a SchemaObject>) {
    for object in objects {
        if let Err((error, sql)) = attempt(session, object) {
            panic!("{object}: {:?}\n{sql}", error.as_db_error());
        }
    }
}

/// Gives the index that its table's owner is let compute only by the privileges, and what needs it.
fn run_as_owners<'a>(
    session: &mut Session,
    all: &'a [SchemaObject],
    objects: impl Iterator<Item = &'a SchemaObject>,
) -> Vec<&'a SchemaObject> {
    let mut denied: Vec<&SchemaObject> = Vec::new();
    for object in objects {
        let is_put_off =
            |needed: &SchemaObject| denied.iter().any(|one| std::ptr::eq(*one, needed));
        match attempt(session, object) {
            Ok(()) => {}
            Err((error, _))
                if is_denied(object, &error)
                    || object.depends_on.iter().any(|needed| is_put_off(&all[*needed])) =>
            {
                denied.push(object);
            }
            Err((error, sql)) => panic!("{object}: {:?}\n{sql}", error.as_db_error()),
        }
    }
    denied
}

fn is_denied(object: &SchemaObject, error: &postgres::Error) -> bool {
    object.class == ObjectClass::Index
        && error.code() == Some(&postgres::error::SqlState::INSUFFICIENT_PRIVILEGE)
}

/// The statement that fails, and why.
fn attempt<'a>(
    session: &mut Session,
    object: &'a SchemaObject,
) -> Result<(), (postgres::Error, &'a str)> {
    let tablespace = object.tablespace.clone().unwrap_or_default().replace('\'', "''");
    session.execute(&format!("SET default_tablespace = '{tablespace}'")).unwrap();
    let mut statements = object.statements.iter().map(|statement| statement.sql.as_str());
    statements.try_for_each(|sql| {
        session.client.execute(sql, &[]).map(drop).map_err(|error| (error, sql))
    })
}

/// The statements as a person would run them, privileges included.
fn replay_by_hand(scratch: &Scratch, objects: &[SchemaObject]) {
    let mut session = open(&scratch.0, Purpose::Write);
    run(&mut session, objects.iter());
}

pub fn dump(scratch: &Scratch) -> String {
    let url = crate::harness::server().url(&scratch.0, "postgres");
    let output = Command::new(crate::harness::server::pg_dump())
        .args(["--schema-only", "--restrict-key=x", "--dbname", &url])
        .output()
        .expect("pg_dump can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What `pg_dump -C` says of the database itself, whatever it is called.
fn dump_database(scratch: &Scratch) -> String {
    let url = crate::harness::server().url(&scratch.0, "postgres");
    let output = Command::new(crate::harness::server::pg_dump())
        .args(["--schema-only", "--create", "--exclude-schema=*", "--restrict-key=x"])
        .args(["--dbname", &url])
        .output()
        .expect("pg_dump can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().replace(&scratch.0, "DATABASE")
}

/// What `pg_dump` does not look at: statistics targets of indexes behind constraints (whose columns keep
/// the name that the table's had), security labels in the database's own words, persistence of sequences.
pub fn unseen(scratch: &Scratch) -> Vec<String> {
    let sql = "SELECT format('%s.%s %s', a.attrelid::regclass, a.attnum, a.attstattarget)
               FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
               WHERE c.relkind IN ('i', 'I') AND c.oid >= 16384
        UNION ALL SELECT format('%s %s', c.oid::regclass, c.relpersistence)
               FROM pg_catalog.pg_class AS c WHERE c.relkind = 'S' AND c.oid >= 16384
        UNION ALL SELECT format('%s %s', c.oid::regclass, t.spcname)
               FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_tablespace AS t ON t.oid = c.reltablespace
               WHERE c.oid >= 16384
        UNION ALL SELECT format('%s is indexed by %s: %s %s', indrelid::regclass, indexrelid::regclass,
                 indisclustered, indisreplident)
               FROM pg_catalog.pg_index WHERE indexrelid >= 16384
        ORDER BY 1";
    // Relations of TOAST have numbers for names.
    let named = |line: &String| !line.contains("pg_toast");
    let lines = open(&scratch.0, Purpose::Read).client.query(sql, &[], |row| row.at(0)).unwrap();
    lines.into_iter().filter(named).collect()
}

/// What the parents give of the constraint `c`, a CHECK or NOT NULL.
const GIVEN: &str = "SELECT FROM pg_catalog.pg_inherits AS h
    JOIN pg_catalog.pg_constraint AS up
      ON up.conrelid = h.inhparent AND up.contype = c.contype AND NOT up.connoinherit
    WHERE h.inhrelid = c.conrelid AND CASE c.contype WHEN 'c' THEN up.conname = c.conname ELSE (
      SELECT a.attname FROM pg_catalog.pg_attribute AS a
      WHERE a.attrelid = up.conrelid AND a.attnum = up.conkey[1]) = (
      SELECT a.attname FROM pg_catalog.pg_attribute AS a
      WHERE a.attrelid = c.conrelid AND a.attnum = c.conkey[1]) END";

/// Calls those constraints a table's own that no parent gives any more, as pgark does. Where a parent's
/// column goes, the server forgets that, and `pg_dump` leaves such a CHECK out.
pub fn remember(scratch: &Scratch) {
    let sql = format!(
        "UPDATE pg_catalog.pg_constraint AS c SET conislocal = true, coninhcount = 0
         WHERE c.contype IN ('c', 'n') AND c.coninhcount > 0 AND NOT EXISTS ({GIVEN})"
    );
    open(&scratch.0, Purpose::Write).execute(&sql).unwrap();
}

/// What `pg_dump` does not tell: which indexes and constraints hold, and where they come from, what
/// fires, what is filled. Where a partition has brought a NOT NULL under another name than that of one
/// above that is not valid, it comes back under that, if it is not valid either, and else as its own, as
/// `pg_dump` restores it: as both that and what comes from above count as local, so does any of another name
/// there. Copies of foreign keys for partitions of the other table have the server's names, and nobody asks
/// whether they are valid, which none of several could be found to be alone. Of keys NO INHERIT only tells
/// whether a partition's was there before it was attached, and no statement says or heeds it.
pub fn states(scratch: &Scratch) -> Vec<String> {
    let sql = format!("SELECT text FROM (
          SELECT 'index ' || i.indexrelid::regclass || ' valid ' || (i.indisvalid OR t.relkind = 'p'
              AND NOT EXISTS (
                SELECT FROM pg_catalog.pg_inherits AS h JOIN pg_catalog.pg_class AS p ON p.oid = h.inhrelid
                WHERE h.inhparent = t.oid AND p.relkind <> 'f' AND NOT EXISTS (
                    SELECT FROM pg_catalog.pg_inherits AS hi
                    JOIN pg_catalog.pg_index AS below ON below.indexrelid = hi.inhrelid
                    WHERE hi.inhparent = i.indexrelid AND below.indrelid = p.oid))) AS text
            FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid
            WHERE i.indexrelid >= 16384 AND t.relkind <> 't'
          UNION ALL
          SELECT 'constraint ' || CASE WHEN brought AND NOT c.convalidated THEN 'not null of ' || a.attname
              WHEN c.confrelid <> up.confrelid THEN 'for ' || c.confrelid::regclass ELSE c.conname END
              || ' on ' || c.conrelid::regclass || c.contypid::regtype
              || ' valid ' || (c.convalidated OR coalesce(c.confrelid <> up.confrelid, false)) || ' inherited ' || n.inherited || ' local '
              || (c.conislocal OR n.inherited = 0 OR brought)
              || CASE WHEN c.contype IN ('c', 'n') THEN ' no inherit ' || c.connoinherit ELSE '' END
              || coalesce(' enforced ' || (to_jsonb(c)->>'conenforced'), '')
            FROM pg_catalog.pg_constraint AS c
            LEFT JOIN pg_catalog.pg_class AS r ON r.oid = c.conrelid
            LEFT JOIN pg_catalog.pg_attribute AS a
              ON c.contype = 'n' AND a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
            LEFT JOIN pg_catalog.pg_constraint AS up ON up.oid = c.conparentid
            CROSS JOIN LATERAL (SELECT EXISTS (
                SELECT FROM pg_partition_ancestors(c.conrelid) AS h(relid)
                JOIN pg_catalog.pg_attribute AS pa ON pa.attrelid = h.relid AND pa.attname = a.attname
                JOIN pg_catalog.pg_constraint AS above ON above.conrelid = h.relid
                  AND above.contype = 'n' AND above.conkey[1] = pa.attnum
                WHERE h.relid <> c.conrelid AND NOT above.convalidated AND above.conname <> c.conname)) AS b(brought)
            CROSS JOIN LATERAL (SELECT CASE WHEN c.contype IN ('c', 'n')
                THEN least(c.coninhcount, (SELECT count(*) FROM ({GIVEN}) AS given)) ELSE c.coninhcount END) AS n(inherited)
            WHERE c.oid >= 16384 AND c.conname !~ '^[0-9_]+_not_null$'
          UNION ALL
          SELECT 'trigger ' || t.tgname || ' on ' || t.tgrelid::regclass || ' ' || t.tgenabled::text
            FROM pg_catalog.pg_trigger AS t WHERE t.oid >= 16384 AND (NOT t.tgisinternal OR t.tgparentid <> 0)
              AND t.tgname !~ '^RI_'
          UNION ALL
          SELECT 'trigger of ' || c.conrelid::regclass || ' for ' || c.confrelid::regclass || ' on '
              || t.tgrelid::regclass || ' ' || t.tgfoid::regproc || ' ' || t.tgenabled::text
            FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_constraint AS c ON c.oid = t.tgconstraint
            WHERE t.tgisinternal AND c.contype <> 't' AND t.tgenabled <> 'O'
          UNION ALL
          SELECT 'filled ' || c.oid::regclass || ' ' || c.relispopulated
            FROM pg_catalog.pg_class AS c WHERE c.relkind = 'm' AND c.oid >= 16384
          UNION ALL
          SELECT 'column ' || a.attrelid::regclass || '.' || a.attname || ' inherited '
              || a.attinhcount || ' local ' || a.attislocal || ' not null ' || a.attnotnull || ' position '
              || row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum)
            FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
            WHERE a.attrelid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'f')
        ) AS states ORDER BY text");
    open(&scratch.0, Purpose::Catalog).client.query(&sql, &[], |row| row.at(0)).unwrap()
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
    let source = Scratch::new(&format!("{name}_source"));
    load(&source, name);
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

    let described =
        |schema: &DatabaseSchema| Catalog::from_descriptions(schema.objects.clone()).objects;
    let (before, after) = (described(&schema), described(&again));
    for (address, object) in &before {
        assert_eq!(after.get(address), Some(object), "{address}");
    }
    assert_eq!(before.len(), after.len());

    assert_same(&dump_database(&source), &dump_database(&copy));
    assert_eq!(unseen(&source), unseen(&copy));
    assert_same(&states(&source).join("\n"), &states(&copy).join("\n"));

    let by_hand = Scratch::new(&format!("{name}_by_hand"));
    replay_by_hand(&by_hand, &objects);
    assert_same(&dump(&source), &dump(&by_hand));
    assert_same(&dump_database(&source), &dump_database(&by_hand));
    assert_eq!(unseen(&source), unseen(&by_hand));
    schema
}

macro_rules! families {
    ($($name:ident,)*) => {
        $(#[test]
        fn $name() {
            for name in ["pgark_one", "pgark 'two"] {
                crate::harness::tablespace(name);
            }
            let schema = roundtrip(stringify!($name));
            assert_eq!(schema.not_carried, [], "everything in this fixture is carried");
        })*
    };
}

families! {
    types, functions, tables, inheritance, partitions, constraints, indexes, views, triggers,
    names, privileges, default_privileges, database, tablespaces, storage, rules, row_security,
    statistics, event_triggers, foreign, publications, subscriptions, base_types, operators,
    aggregates, casts, collations, languages, text_search, beside_extensions,
}

#[test]
fn what_is_not_carried_is_named() {
    let source = Scratch::new("left_out");
    load(&source, "left_out");
    let (schema, _) = read(&source);
    let named: Vec<String> =
        schema.not_carried.iter().map(|left| format!("{} {}", left.class, left.name)).collect();
    let expected = [
        "unknown conversion \"stray\"",
        "unknown function \"stray\"()",
        "unknown function \"stray\"(integer,\"text\")",
        "unknown function \"stray_sum\"(integer)",
        "unknown function 1 (integer, integer) of operator family \"stray\" for access method hash: \"hashint4\"(integer)",
        "unknown operator ===(integer,\"text\")",
        "unknown operator class \"stray\" for access method hash",
        "unknown operator family \"stray\" for access method hash",
        "unknown text search configuration \"stray\"",
        "unknown text search dictionary \"stray\"",
        "unknown text search parser \"stray\"",
        "unknown text search template \"stray\"",
        "unknown type \"stray_range\"",
        "unknown type \"stray_shell\"",
    ];
    assert_eq!(named, expected);
}

/// A letter of a later PostgreSQL: nothing is taken for what it may not be.
#[test]
fn letters_that_nobody_knows_are_named() {
    let source = Scratch::new("unknown_letters");
    let mut session = open(&source.0, Purpose::Write);
    let made = "CREATE TABLE of_relation (a int); CREATE TYPE of_type AS ENUM ('a');
        CREATE TABLE of_column (a int, b int); CREATE TABLE of_trigger (a int);
        CREATE TABLE of_constraint (a int CONSTRAINT strange CHECK (a > 0));
        CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER fires BEFORE INSERT ON of_trigger FOR EACH ROW EXECUTE FUNCTION act();
        UPDATE pg_class SET relkind = 'z' WHERE oid = 'of_relation'::regclass;
        UPDATE pg_type SET typtype = 'z' WHERE oid = 'of_type'::regtype;
        UPDATE pg_attribute SET attgenerated = 'z' WHERE attrelid = 'of_column'::regclass AND attname = 'a';
        UPDATE pg_attribute SET attidentity = 'z' WHERE attrelid = 'of_column'::regclass AND attname = 'b';
        UPDATE pg_trigger SET tgenabled = 'z' WHERE tgname = 'fires';
        UPDATE pg_constraint SET contype = 'z' WHERE conname = 'strange'";
    // Each by itself: in one transaction the server would look at what it has just been told.
    session.execute("SET search_path = public").unwrap();
    for sql in made.split(";\n") {
        session.client.batch_execute(sql).unwrap();
    }
    let (schema, _) = read(&source);
    let named: Vec<String> =
        schema.not_carried.iter().map(|left| format!("{} {}", left.class, left.name)).collect();
    for part in ["of_relation", "of_type", "of_column.a", "of_column.b", "fires", "strange"] {
        let is_named = named.iter().any(|name| name.starts_with("unknown ") && name.contains(part));
        assert!(is_named, "{part} is not in {named:#?}");
    }
}

/// What is not valid comes to a partition with its parent's, and is called like that.
#[test]
fn a_partition_keeps_the_comment_on_a_not_null_of_its_own_name() {
    let source = Scratch::new("partition_not_null");
    let mut session = open(&source.0, Purpose::Write);
    if session.facts.major() < 18 {
        return;
    }
    let made = "CREATE TABLE public.whole (k text) PARTITION BY LIST (k); CREATE TABLE public.part (k text);
        ALTER TABLE public.whole ADD CONSTRAINT above NOT NULL k NOT VALID;
        ALTER TABLE public.part ADD CONSTRAINT own NOT NULL k NOT VALID;
        ALTER TABLE public.whole ATTACH PARTITION public.part FOR VALUES IN ('a', NULL);
        COMMENT ON CONSTRAINT own ON public.part IS 'kept'";
    session.client.batch_execute(made).unwrap();
    let (schema, major) = read(&source);
    let copy = Scratch::new("partition_not_null_copy");
    replay(&copy, &restore_order(schema.objects).unwrap(), major);
    let text = "SELECT obj_description(oid, 'pg_constraint') FROM pg_catalog.pg_constraint
        WHERE conrelid = 'public.part'::regclass AND conname = 'above'";
    let mut session = open(&copy.0, Purpose::Read);
    let kept: String = session.client.query_one(text, &[], |row| row.at(0)).unwrap();
    assert_eq!(kept, "kept");
}

/// SET NOT NULL alone leaves it so, and makes it so again; under another name nothing does.
#[test]
fn a_not_null_that_is_not_valid_below_a_valid_one_comes_back_or_is_named() {
    let source = Scratch::new("contradicted");
    let mut session = open(&source.0, Purpose::Write);
    if session.facts.major() < 18 {
        return;
    }
    let made =
        "CREATE TABLE public.above (k text, l text); CREATE TABLE public.below () INHERITS (public.above);
        CREATE TABLE public.last () INHERITS (public.below);
        CREATE TABLE public.valid () INHERITS (public.above); CREATE TABLE public.under () INHERITS (public.valid);
        CREATE TABLE public.own (k text CONSTRAINT mine NOT NULL) INHERITS (public.above);
        ALTER TABLE public.below ADD CONSTRAINT own NOT NULL k NOT VALID;
        ALTER TABLE public.under ADD CONSTRAINT deep NOT NULL k NOT VALID;
        ALTER TABLE public.above ALTER k SET NOT NULL, ADD PRIMARY KEY (k);
        CREATE TABLE public.of_both () INHERITS (public.below, public.above);
        COMMENT ON CONSTRAINT above_k_not_null ON public.above IS 'set';
        COMMENT ON CONSTRAINT above_k_not_null ON public.valid IS 'came';
        COMMENT ON CONSTRAINT own ON public.last IS 'not valid';
        CREATE TABLE public.whole (k text, n int) PARTITION BY LIST (n);
        CREATE TABLE public.part PARTITION OF public.whole FOR VALUES IN (1);
        CREATE TABLE public.other PARTITION OF public.whole FOR VALUES IN (2);
        ALTER TABLE public.part ADD CONSTRAINT own NOT NULL k NOT VALID;
        ALTER TABLE public.whole ALTER k SET NOT NULL";
    session.client.batch_execute(made).unwrap();
    let (schema, major) = read(&source);
    assert_eq!(schema.not_carried, []);
    let copy = Scratch::new("contradicted_copy");
    replay(&copy, &restore_order(schema.objects.clone()).unwrap(), major);
    assert_same(&dump(&source), &dump(&copy));
    assert_same(&states(&source).join("\n"), &states(&copy).join("\n"));
    assert_eq!(read(&copy).0.objects, schema.objects);

    let made = "DROP TABLE public.whole, public.own, public.of_both, public.under; ALTER TABLE public.above RENAME TO up";
    session.client.batch_execute(made).unwrap();
    let (schema, major) = read(&source);
    let named: Vec<String> =
        schema.not_carried.iter().map(|left| format!("{} {}", left.class, left.name)).collect();
    assert_eq!(
        named,
        [
            "not-null own on public.below, which is not valid though one above it is: a restore makes it valid, and fails where a row is NULL",
            "not-null own on public.last, which is not valid though one above it is: a restore makes it valid, and fails where a row is NULL",
        ]
    );
    let copy = Scratch::new("contradicted_named_copy");
    replay(&copy, &restore_order(schema.objects).unwrap(), major);
}

/// What no parent gives any more is the child's own, and not lost in silence.
#[test]
fn rules_of_a_column_that_a_parent_has_dropped_stay() {
    let source = Scratch::new("forgotten");
    let made = "CREATE TABLE public.one (k integer NOT NULL CONSTRAINT positive CHECK (k > 0));
        CREATE TABLE public.two (k integer); CREATE TABLE public.three (k integer NOT NULL);
        CREATE TABLE public.own (k integer) INHERITS (public.one);
        CREATE TABLE public.of_two () INHERITS (public.one, public.two);
        CREATE TABLE public.of_three () INHERITS (public.three, public.one);
        CREATE TABLE public.below () INHERITS (public.of_two);
        ALTER TABLE public.one ADD CONSTRAINT small CHECK (k < 9) NOT VALID;
        ALTER TABLE public.one DROP COLUMN k";
    open(&source.0, Purpose::Write).client.batch_execute(made).unwrap();
    let (schema, major) = read(&source);
    assert_eq!(schema.not_carried, []);
    let copy = Scratch::new("forgotten_copy");
    replay(&copy, &restore_order(schema.objects).unwrap(), major);
    let rules = "SELECT string_agg(conrelid::regclass || ' ' || conname, ', ' ORDER BY conname) FROM (
        SELECT conrelid, conname FROM pg_catalog.pg_constraint WHERE contype = 'c' AND conrelid <> 0) AS c";
    let rules: String =
        open(&copy.0, Purpose::Read).client.query_one(rules, &[], |row| row.at(0)).unwrap();
    assert_eq!(rules.matches("positive").count(), 4, "{rules}");
    assert_eq!(rules.matches("small").count(), 4, "{rules}");
    remember(&source);
    assert_same(&dump(&source), &dump(&copy));
    assert_same(&states(&source).join("\n"), &states(&copy).join("\n"));
}

/// From 15 on `pg_dump` tells such states by the triggers' numbers, which are others in the copy.
#[test]
fn triggers_behind_foreign_keys_of_partitions_keep_their_states() {
    let source = Scratch::new("switched");
    let made = "CREATE TABLE public.other (id integer PRIMARY KEY) PARTITION BY RANGE (id);
        CREATE TABLE public.other_1 PARTITION OF public.other FOR VALUES FROM (0) TO (10);
        CREATE TABLE public.whole (a integer, b integer, CONSTRAINT \"to 'it\" FOREIGN KEY (b) REFERENCES public.other)
          PARTITION BY RANGE (a);
        CREATE TABLE public.part_1 PARTITION OF public.whole FOR VALUES FROM (0) TO (10);
        CREATE TABLE public.part_2 PARTITION OF public.whole FOR VALUES FROM (10) TO (20);
        ALTER TABLE public.part_1 DISABLE TRIGGER ALL; ALTER TABLE public.other_1 DISABLE TRIGGER ALL;
        ALTER TABLE ONLY public.whole DISABLE TRIGGER ALL;
        DO $$DECLARE made name; BEGIN
          SELECT tgname INTO made FROM pg_catalog.pg_trigger
          WHERE tgrelid = 'public.part_2'::regclass AND tgfoid = '\"RI_FKey_check_upd\"'::regproc;
          EXECUTE format('ALTER TABLE public.part_2 ENABLE ALWAYS TRIGGER %I', made); END$$";
    open(&source.0, Purpose::Write).client.batch_execute(made).unwrap();
    let (schema, major) = read(&source);
    assert_eq!(schema.not_carried, []);
    let copy = Scratch::new("switched_copy");
    replay(&copy, &restore_order(schema.objects.clone()).unwrap(), major);
    assert_same(&states(&source).join("\n"), &states(&copy).join("\n"));
    let switched = |line: &&String| line.contains(" RI_FKey_") || line.contains(" \"RI_FKey_");
    let of_whole = if major < 15 { 0 } else { 2 };
    assert_eq!(states(&copy).iter().filter(switched).count(), 5 + of_whole);
    assert_eq!(read(&copy).0.objects, schema.objects);
}

/// What cannot be added to a table later is no late column, and nothing is made that reads one too soon.
#[test]
fn a_comment_on_what_is_gone_is_nothing() {
    let source = Scratch::new("forgotten_comment");
    let mut session = open(&source.0, Purpose::Write);
    for sql in [
        "CREATE SUBSCRIPTION pgark_gone CONNECTION '' PUBLICATION p WITH (connect = false)",
        "COMMENT ON SUBSCRIPTION pgark_gone IS 'forgotten'",
        "ALTER SUBSCRIPTION pgark_gone SET (slot_name = NONE)",
        "DROP SUBSCRIPTION pgark_gone",
    ] {
        session.execute(sql).unwrap();
    }
    assert_eq!(read(&source).0.not_carried, []);
}

/// No statement makes an index invalid, and nobody is kept from a backup by one.
#[test]
fn an_invalid_index_is_noted() {
    let source = Scratch::new("invalid_index");
    let mut session = open(&source.0, Purpose::Write);
    session.execute("CREATE TABLE public.t (a int)").unwrap();
    session.execute("INSERT INTO public.t VALUES (1), (1)").unwrap();
    session.execute("CREATE UNIQUE INDEX CONCURRENTLY broken ON public.t (a)").unwrap_err();
    let (schema, _) = read(&source);
    assert_eq!(schema.not_carried, []);
    let [note] = &schema.notes[..] else { panic!("{:?}", schema.notes) };
    assert_eq!(note.class, ObjectClass::InvalidIndex);
    assert_eq!(note.name, "invalid index public.broken on public.t: REINDEX it or drop it");
    assert_eq!(note.table.as_deref(), Some("t"));
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
                |row| row.at(0),
            )
            .unwrap()
    };
    assert_eq!(order(&source), "a,b,z");
    assert_eq!(order(&copy), "a,z,b");
    assert_same(&dump(&source), &dump(&copy));
}

/// dump-correctness P14: privileges that the target gives to every new object are taken back.
#[test]
fn default_privileges_of_the_target_do_not_stay() {
    let source = Scratch::new("pollution_source");
    load(&source, "privileges");
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
