//! PostgreSQL's own extensions: every one that the server has, with what users build on it.

use crate::harness::carried::carry;
use crate::harness::{Database, project};
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
