//! Archives of an older server go into a newer one: nothing is refused, and what is there then is
//! what `psql` makes of `pg_dump`'s script.

use crate::harness::server::{Server, has_major, psql};
use crate::harness::{Database, Repo, fixture, pg_dump_schema, server, server_of};
use std::collections::HashSet;
use std::process::{Command, Stdio};

/// The next server above the one under test; of the oldest, also the newest. The newest goes into
/// itself, which must hold as well.
fn targets() -> Vec<&'static Server> {
    let own = server().major();
    let next = (own + 1..=18).find(|major| has_major(*major));
    let last = (own == 13 && next != Some(18)).then_some(18);
    let newer: Vec<_> = next.into_iter().chain(last).map(server_of).collect();
    if newer.is_empty() { vec![server()] } else { newer }
}

/// The schema by way of `pg_dump` and `psql`, in the same server as `target`.
fn by_pg_dump(source: &Database, target: &'static Server) -> Database {
    let script = pg_dump_schema(source);
    let reference = Database::empty_on(target);
    let mut psql = Command::new(psql())
        .args(["--no-psqlrc", "--quiet", "--dbname", &reference.url()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = psql.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        std::io::Write::write_all(&mut input, script.as_bytes()).unwrap();
    });
    let output = psql.wait_with_output().unwrap();
    writer.join().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // It sets what servers before 17 do not know.
    let failed = |line: &&str| line.contains("ERROR") && !line.contains("transaction_timeout");
    let errors: Vec<_> = said.lines().filter(failed).collect();
    assert!(errors.is_empty(), "{errors:?}");
    reference
}

/// Carries what a family's fixture makes, and goes on from there on the newer server, where nothing
/// may change any more.
fn go_up(family: &str, as_pg_dump: bool) {
    for target in targets() {
        let source = Database::with(&fixture(family, server().major()));
        let (repo, copy) = (Repo::new(), Database::empty_on(target));
        repo.backup(&source, &[]);
        repo.ok(&["restore", "latest", "--url", &copy.url(), "--create-roles"]);
        repo.ok(&["compare", "latest", "--with", &copy.url()]);
        if as_pg_dump {
            same(family, &pg_dump_schema(&copy), &pg_dump_schema(&by_pg_dump(&source, target)));
        }
        repo.backup(&copy, &["--name", "newer"]);
        let again = Database::empty_on(target);
        repo.ok(&["restore", "newer", "--url", &again.url()]);
        same(family, &pg_dump_schema(&again), &pg_dump_schema(&copy));
        repo.ok(&["compare", "newer", "--with", &again.url(), "--schema", "--rows"]);
    }
}

fn same(family: &str, ours: &str, theirs: &str) {
    let only = |these: &str, others: &str| {
        let others: HashSet<&str> = others.lines().collect();
        let alone = these.lines().filter(|line| !others.contains(line)).take(12);
        alone.collect::<Vec<_>>().join("\n")
    };
    assert!(
        ours == theirs,
        "{family}\n--- ours\n{}\n--- wanted\n{}",
        only(ours, theirs),
        only(theirs, ours)
    );
}

/// Before 18 nobody says whose the NOT NULL of a child's column is, but DROP NOT NULL reaches it.
#[test]
fn a_child_has_the_not_null_of_its_parent_and_loses_it_with_it() {
    let target = if has_major(18) { server_of(18) } else { server() };
    let source = Database::with(
        "CREATE TABLE above (a int NOT NULL, b int NOT NULL);
         CREATE TABLE below (b int NOT NULL, c int NOT NULL) INHERITS (above)",
    );
    let (repo, copy) = (Repo::new(), Database::empty_on(target));
    repo.backup(&source, &[]);
    repo.ok(&["restore", "latest", "--url", &copy.url()]);
    let not_null = "SELECT string_agg(attname, ' ' ORDER BY attname) FROM pg_attribute
                    WHERE attrelid = 'below'::regclass AND attnotnull AND attnum > 0";
    let drop = "ALTER TABLE above ALTER a DROP NOT NULL, ALTER b DROP NOT NULL";
    for database in [&source, &copy] {
        assert_eq!(database.one(not_null), "a b c");
        database.execute(drop);
    }
    assert_eq!(copy.one(not_null), source.one(not_null));
}

/// Before 15 sequences have no persistence of their own: they go on after a crash, whatever their table does.
#[test]
fn an_identity_of_an_unlogged_table_stays_logged() {
    let [old, new] =
        [14, 18].map(|major| if has_major(major) { server_of(major) } else { server() });
    let source = Database::with_on(
        old,
        "CREATE UNLOGGED TABLE t (id int GENERATED ALWAYS AS IDENTITY, n serial)",
    );
    let (repo, copy) = (Repo::new(), Database::empty_on(new));
    repo.backup(&source, &[]);
    repo.ok(&["restore", "latest", "--url", &copy.url()]);
    repo.ok(&["compare", "latest", "--with", &copy.url(), "--schema"]);
    let persistence =
        "SELECT string_agg(relname || ' ' || relpersistence::text, ', ' ORDER BY relname)
                       FROM pg_class WHERE relkind = 'S'";
    assert_eq!(copy.one(persistence), source.one(persistence));
}

macro_rules! families {
    ($as_pg_dump:literal: $($name:ident,)*) => {
        $(#[test]
        fn $name() {
            go_up(stringify!($name), $as_pg_dump);
        })*
    };
}

families! {
    true: functions, indexes, triggers, names, statistics, operators, aggregates, languages,
    text_search,
}

// What pg_dump's script does not make whole in every version.
families! {
    false: types, tables, views, partitions, constraints, storage, rules, base_types, casts, collations,
}
