//! Names that break what does not quote them, and encodings other than UTF-8.

use crate::harness::carried::{Carried, carry, carry_rows};
use crate::harness::{Database, Repo, pg_dump_schema, server};

const NAMES: [&str; 22] = [
    "it's",
    "say \"hi\"",
    "new\nline",
    "tab\tcr\r",
    "../../../etc/passwd",
    "/absolute",
    ".hidden",
    "a;DROP TABLE x;--",
    "$$body$$",
    "back\\slash\\N\\.",
    "semi;colon, comma",
    "percent%s%n",
    "select",
    "user",
    "UPPER Case",
    "1digit",
    " leading and trailing ",
    "ñññññññññññññññññññññññññññññññx",
    "🦀🐘",
    "\u{202e}txt.exe",
    "עברית",
    "*",
];

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[test]
fn hostile_names_come_back_for_every_kind_of_object() {
    assert!(NAMES.iter().any(|name| name.len() == 63), "as long as names can be");
    let source = Database::empty();
    let mut client = source.client();
    for name in NAMES {
        let n = quoted(name);
        let literal = name.replace('\'', "''");
        let sql = format!(
            "CREATE SCHEMA {n};
             CREATE TYPE {n}.{n} AS ENUM ('{literal}', 'other');
             CREATE DOMAIN {n}.\"d\" AS text CONSTRAINT {n} CHECK (VALUE <> '{literal}x');
             CREATE SEQUENCE {n}.\"s\" START 7;
             CREATE TABLE {n}.\"t\" ({n} {n}.{n} CONSTRAINT {n} PRIMARY KEY, \"v\" {n}.d DEFAULT '{literal}');
             CREATE INDEX {n} ON {n}.\"t\" (\"v\");
             INSERT INTO {n}.\"t\" VALUES ('{literal}', DEFAULT)"
        );
        // The index may not have the name of the key: one namespace for both.
        let sql = sql.replace(&format!("CREATE INDEX {n} ON"), "CREATE INDEX \"i\" ON");
        client.batch_execute(&sql).unwrap_or_else(|error| panic!("{error:?}\n{sql}"));
        let sql = format!(
            "CREATE SCHEMA {b}; CREATE TABLE {b}.{n} (\"id\" int);
             INSERT INTO {b}.{n} VALUES (1), (2);
             CREATE INDEX {b} ON {b}.{n} (\"id\");
             CREATE FUNCTION {b}.{n}({n} int) RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
            b = quoted(&format!("b{}", &name.chars().take(10).collect::<String>())),
        )
        .replace(&format!("({n} int) RETURNS trigger"), "() RETURNS trigger");
        client.batch_execute(&sql).unwrap_or_else(|error| panic!("{error:?}\n{sql}"));
        let b = quoted(&format!("b{}", &name.chars().take(10).collect::<String>()));
        let sql = format!(
            "CREATE TRIGGER {n} BEFORE INSERT ON {b}.{n} FOR EACH ROW EXECUTE FUNCTION {b}.{n}();
             CREATE SEQUENCE {b}.\"q\"; ALTER SEQUENCE {b}.\"q\" RENAME TO {q};
             SELECT nextval('{bl}.{ql}');
             CREATE VIEW {b}.\"view\" AS SELECT \"id\" AS {n} FROM {b}.{n};
             COMMENT ON TABLE {b}.{n} IS '{literal}'",
            q = quoted(&format!("q{}", &name.chars().take(20).collect::<String>())),
            bl = b.replace('\'', "''"),
            ql = quoted(&format!("q{}", &name.chars().take(20).collect::<String>()))
                .replace('\'', "''"),
        );
        client.batch_execute(&sql).unwrap_or_else(|error| panic!("{error:?}\n{sql}"));
    }
    drop(client);
    let Carried { archive, repo, target } = carry(&source);
    assert_eq!(target.one("SELECT count(*) FROM \"b../../../e\".\"../../../etc/passwd\""), "2");

    let mut tar = tar::Archive::new(std::fs::File::open(&archive).unwrap());
    for entry in tar.entries().unwrap() {
        let path = entry.unwrap().path().unwrap().into_owned();
        let name = path.to_str().expect("names of members are ASCII");
        assert!(name.is_ascii() && !name.chars().any(|c| c.is_control()), "{name:?}");
        let sound = path.components().all(|c| matches!(c, std::path::Component::Normal(_)));
        assert!(sound, "{name}");
    }
    // One name by pattern, as a user would quote it.
    let pattern = "\"b../../../e\".\"../../../etc/passwd\"";
    repo.ok(&["backup", "--url", &source.url(), "--table", pattern, "--name", "one"]);
    for entry in std::fs::read_dir(repo.path()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            ["backups", "manifests"].contains(&name.as_str()) || name.starts_with('.'),
            "{name}"
        );
    }
}

/// A database made under a hostile name and dropped again.
struct Named(String);

impl Named {
    fn new(name: &str) -> Self {
        crate::harness::admin(&format!("CREATE DATABASE {} TEMPLATE template0", quoted(name)));
        Self(name.to_owned())
    }

    fn url(&self) -> String {
        let name = self.0.replace('\\', "\\\\").replace('\'', "\\'");
        server().url(&format!("'{name}'"), "postgres")
    }

    fn client(&self) -> postgres::Client {
        postgres::Client::connect(&self.url(), postgres::NoTls).unwrap()
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            crate::harness::admin(&format!("DROP DATABASE {} WITH (FORCE)", quoted(&self.0)));
        }
    }
}

#[test]
fn databases_with_hostile_names_are_backed_up_and_replaced() {
    for (number, name) in
        ["../../evil", "new\nline 'q' \"d\"", "größe 🐘;--", ".dot"].into_iter().enumerate()
    {
        let (source, repo) = (Named::new(&format!("{name}{}", std::process::id())), Repo::new());
        source.client().batch_execute("CREATE TABLE t AS SELECT 1 AS x").unwrap();
        repo.ok(&["backup", "--url", &source.url()]);
        let inside = std::fs::read_dir(repo.path().join("backups")).unwrap().count();
        assert_eq!(inside, 1, "{name}");
        let target = Database::empty();
        repo.ok(&["restore", "latest", "--url", &target.url()]);
        repo.ok(&["compare", "latest", "--with", &source.url()]);
        if number < 2 {
            source.client().batch_execute("INSERT INTO t VALUES (2)").unwrap();
            repo.ok(&["restore", "latest", "--url", &source.url(), "--create", "--swap"]);
            repo.ok(&["compare", "latest", "--with", &source.url()]);
            let kept: Vec<String> = crate::harness::connect("postgres", "postgres")
                .query("SELECT datname::text FROM pg_database WHERE datname <> $1 AND starts_with(datname::text, $1)", &[&source.0])
                .unwrap()
                .iter()
                .map(|row| row.get(0))
                .collect();
            assert_eq!(kept.len(), 1, "the old database is kept: {kept:?}");
            crate::harness::admin(&format!("DROP DATABASE {}", quoted(&kept[0])));
        }
    }
}

#[test]
fn a_database_without_an_encoding_keeps_its_bytes() {
    let options = "TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'";
    let source = Database::create(options);
    source.execute(
        "CREATE TABLE t (id int, v text); INSERT INTO t VALUES (1, chr(233) || chr(255) || 'x'), (2, 'é');
         CREATE TABLE \"naïve\" (\"größe\" text); INSERT INTO \"naïve\" VALUES (chr(128))",
    );
    let carried = carry_rows(&source, &[], Database::create(options));
    assert_eq!(pg_dump_schema(&source), pg_dump_schema(&carried.target));
    let bytes = "SELECT string_agg(encode(v::bytea, 'hex'), ' ' ORDER BY id) FROM t";
    assert_eq!(carried.target.one(bytes), "e9ff78 c3a9");
    assert_eq!(carried.target.one("SELECT encode(\"größe\"::bytea, 'hex') FROM \"naïve\""), "80");
    // Bytes that are no UTF-8 cannot go into a UTF-8 database: an error, and nothing is left.
    let (repo, target) = (carried.repo, Database::empty());
    let run = repo.run(&["restore", "latest", "--url", &target.url()]);
    let run = run.expect_code(1).says(&["invalid byte sequence"]);
    assert_eq!(target.one("SELECT to_regclass('t') IS NULL"), "true", "{run:?}");
}

#[test]
fn a_latin1_database_keeps_names_and_values_and_can_move_to_utf8() {
    let options = "TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'";
    let source = Database::create(options);
    source.execute(
        "CREATE SCHEMA \"Ärger\"; CREATE TYPE \"Ärger\".\"Größe\" AS ENUM ('groß', 'klein');
         CREATE TABLE \"Ärger\".\"Öl\\Maß\" (\"Übel\" text, g \"Ärger\".\"Größe\", CONSTRAINT \"ß\" CHECK (\"Übel\" <> 'ÿ'));
         INSERT INTO \"Ärger\".\"Öl\\Maß\" VALUES ('é\\ü\t', 'groß');
         COMMENT ON SCHEMA \"Ärger\" IS 'Ä'; CREATE SEQUENCE \"Ärger\".\"sé\"; SELECT nextval('\"Ärger\".\"sé\"')",
    );
    let carried = carry_rows(&source, &[], Database::create(options));
    assert_eq!(pg_dump_schema(&source), pg_dump_schema(&carried.target));
    let moved = Database::empty();
    carried.repo.ok(&["restore", "latest", "--url", &moved.url()]);
    carried.repo.ok(&["compare", "latest", "--with", &moved.url()]);
    assert_eq!(moved.one("SELECT \"Übel\" || g FROM \"Ärger\".\"Öl\\Maß\""), "é\\ü\tgroß");
    let list = carried.repo.ok(&["list"]);
    assert!(list.stdout.contains(&source.name));
}
