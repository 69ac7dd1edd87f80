//! The example application: what its migrations build is what its `schema.sql` builds.

use crate::harness::{Database, pg_dump_schema, project};
use std::process::Command;

/// Runs real Alembic, which `./test` installs, on the example's migrations.
fn alembic(database: &Database, arguments: &[&str]) -> String {
    let python = std::env::var("ALEMBIC_PYTHON").expect(
        "ALEMBIC_PYTHON: the interpreter of a virtual environment with Alembic; ./test makes one",
    );
    let url = database.url();
    let (socket, port) = url.split_once(" port=").unwrap();
    let folder = socket.strip_prefix("host=").unwrap();
    let port = port.split_whitespace().next().unwrap();
    let url = format!(
        "postgresql+psycopg://postgres@/{}?host={}&port={port}",
        database.name,
        folder.replace('/', "%2F")
    );
    let output = Command::new(python)
        .args(["-m", "alembic"])
        .args(arguments)
        .env("DATABASE_URL", url)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(project().join("examples/fintrack"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "alembic {arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_chain_of_eighteen_migrations_builds_what_schema_sql_builds() {
    let (chain, schema) = (Database::empty(), Database::empty());
    alembic(&chain, &["upgrade", "head"]);
    schema
        .execute(&std::fs::read_to_string(project().join("examples/fintrack/schema.sql")).unwrap());
    assert_eq!(pg_dump_schema(&chain), pg_dump_schema(&schema));
    let current = alembic(&schema, &["current"]);
    assert!(current.contains("ffcccccc0004 (head)"), "{current}");
    assert_eq!(alembic(&chain, &["history"]).lines().count(), 18);
}

#[test]
fn the_chain_goes_down_and_up_again() {
    let database = Database::empty();
    alembic(&database, &["upgrade", "head"]);
    let before = pg_dump_schema(&database);
    alembic(&database, &["downgrade", "base"]);
    assert_eq!(database.one("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "1");
    alembic(&database, &["upgrade", "head"]);
    assert_eq!(pg_dump_schema(&database), before);
}
