//! The way of rows into a server: as COPY's binary format where every column has a form in it.

use crate::harness::carried::copy;
use crate::harness::{Database, Repo, server_of};

/// Backs a database up, restores it where every statement is logged, and gives the COPY statements
/// about `table`.
#[track_caller]
fn loaded(source: &Database, table: &str) -> Vec<String> {
    loaded_into(source, Database::empty_on(source.server), table)
}

#[track_caller]
fn loaded_into(source: &Database, target: Database, table: &str) -> Vec<String> {
    let repo = Repo::new();
    target.execute(&format!("ALTER DATABASE {} SET log_statement = 'all'", target.name));
    repo.backup(source, &["--no-migrations"]);
    repo.ok(&["restore", "latest", "--url", &target.url()]);
    repo.ok(&["compare", "latest", "--with", &target.url()]);
    let into = |line: &String| line.contains("COPY ") && line.contains("FROM STDIN");
    target.server.log(&format!("\"{table}\"")).into_iter().filter(into).collect()
}

fn is_binary(sql: &str) -> bool {
    sql.contains("(FORMAT binary)")
}

#[track_caller]
fn all_binary(statements: &[String]) {
    assert!(!statements.is_empty());
    assert!(statements.iter().all(|sql| is_binary(sql)), "{statements:?}");
}

/// Fills `all_binary` with values of every type that has a binary form: the ends of their ranges,
/// values that stand for none, and many in between.
fn fill(source: &Database) {
    source.execute(
        r"CREATE TABLE all_binary (
            a boolean, b smallint, c integer, d bigint, e real, f double precision, g numeric,
            h numeric(30,10), i text, j varchar(300), k char(7), l json, m jsonb, n bytea, o uuid,
            p date, q timestamp, r timestamptz(3), s timestamptz);
          INSERT INTO all_binary (a) VALUES (NULL), (true), (false);
          INSERT INTO all_binary (b, c, d) VALUES
            (-32768, -2147483648, -9223372036854775808), (32767, 2147483647, 9223372036854775807),
            (0, 0, 0), (-1, -1, -1);
          INSERT INTO all_binary (e, f) VALUES ('NaN', 'NaN'), ('Infinity', '-Infinity'),
            ('-0', '-0'), (1e-45, 5e-324), (3.4028235e38, 1.7976931348623157e308), (0.1, 0.1),
            (1e15, 1e15), (123456.7, 1e-5);
          INSERT INTO all_binary (g)
            SELECT v::numeric FROM unnest(ARRAY['0', '0.00', '-0.0001', '10000', '9999.9999',
              '100000000', '0.00000001', '1' || repeat('0', 300), '-' || repeat('9', 1001),
              '0.' || repeat('0', 500) || '1', '1234567.100', '-12.3400',
              repeat('98', 65500), '-0.' || repeat('07', 8191)]) AS v;
          INSERT INTO all_binary (g, h, e, f)
            SELECT round((random() - 0.5)::numeric * (10::numeric ^ (i % 40)), i % 23),
              ((random() - 0.5) * 1e9)::numeric, (random() - 0.5) * 10::float8 ^ (i % 60 - 30),
              (random() - 0.5) * 10::float8 ^ (i % 600 - 300)
            FROM generate_series(1, 3000) AS i;
          INSERT INTO all_binary (i, j, k) VALUES ('', '', ''), (E'a\tb\nc\rd\be\ff\vg\\h', '\N', 'ü'),
            ('größe 数据 🐘', '\x41', E'\\'), (repeat('lang', 200000), NULL, 'x')",
    );
    source.execute(
        r#"INSERT INTO all_binary (l, m) VALUES ('{"a" :  "\n" }', '{}');
           INSERT INTO all_binary (m) VALUES ('{"b": [1, "\u00fc\n", null, 1e400]}'), ('"x"'), ('null');
           INSERT INTO all_binary (n) VALUES (''), ('\x00ff0a5c'), (decode(repeat('5c0a09', 1000), 'hex'));
           INSERT INTO all_binary (o) SELECT md5(i::text)::uuid FROM generate_series(1, 100) AS i;
           INSERT INTO all_binary (p, q, r, s) VALUES ('infinity', '-infinity', 'infinity', '-infinity'),
             ('0001-01-01', '0001-01-01 00:00:00', '9999-12-31 23:59:59.999', '2000-02-29 12:00:00.000001'),
             ('1999-12-31', '1999-12-31 23:59:59.999999', '1582-10-14 00:00:00+00', '1970-01-01 00:00:00+00');
           INSERT INTO all_binary (p, q, s)
             SELECT date '0001-01-01' + (i * 1217), timestamp '0001-01-01' + i * interval '1217 days 3.000007 s',
               timestamptz '0001-01-02 00:00:00+00' + i * interval '1000 days 25:01:02.5'
             FROM generate_series(1, 2900) AS i;"#,
    );
}

#[test]
fn values_of_every_type_come_back_through_the_binary_format_of_every_version() {
    for major in 13..=18 {
        let source = Database::empty_on(server_of(major));
        fill(&source);
        all_binary(&loaded(&source, "all_binary"));
    }
}

#[test]
fn the_newest_server_takes_the_binary_rows_of_the_oldest() {
    let (source, target) = (Database::empty_on(server_of(13)), Database::empty_on(server_of(18)));
    source.execute("CREATE TABLE moved (a int, b numeric, c timestamptz, d jsonb, e text)");
    source.execute(
        r#"INSERT INTO moved SELECT i, i / 7.0, to_timestamp(i * 1e6), '{"ä": 1}', 'ü' || i
           FROM generate_series(-2000, 2000) AS i"#,
    );
    all_binary(&loaded_into(&source, target, "moved"));
}

#[test]
fn text_in_other_encodings_goes_in_the_encoding_of_the_rows() {
    for (encoding, table, bytes) in [
        ("LATIN1", "latin", r"\xe4f6fc"),
        ("EUC_JP", "japanese", r"\xc6fccbdc"),
        // Bytes that are text in no other encoding, and what looks like the middle of one.
        ("SQL_ASCII", "any_bytes", r"\xff80e4c3"),
    ] {
        let options =
            format!("TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'");
        let (source, target) = (Database::create(&options), Database::create(&options));
        source.execute(&format!(
            "CREATE TABLE {table} (id int, v text, w varchar(20), x char(9));
             INSERT INTO {table} SELECT i, t, E'\\t' || t || E'\\\\', t
             FROM (SELECT convert_from('{bytes}', '{encoding}') AS t) AS made, generate_series(1, 9) AS i"
        ));
        all_binary(&loaded_into(&source, target, table));
    }
    // Into a database of another encoding the server changes it, as it does with text.
    let options = "TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'";
    let (source, target) = (Database::create(options), Database::empty());
    source.execute(
        r#"CREATE TABLE changing (v text, j json, b jsonb);
           INSERT INTO changing SELECT t, to_json(t), to_jsonb(t)
           FROM (SELECT convert_from('\xe4f6fc', 'LATIN1') AS t) AS made"#,
    );
    all_binary(&loaded_into(&source, target, "changing"));
}

#[test]
fn what_has_no_binary_form_goes_as_text() {
    for (table, rows) in [
        ("odd_number", "CREATE TABLE odd_number AS SELECT 'NaN'::numeric AS x"),
        ("odd_date", "CREATE TABLE odd_date AS SELECT '0044-03-15 BC'::date AS x"),
        ("odd_year", "CREATE TABLE odd_year AS SELECT '12345-01-01 00:00:00Z'::timestamptz AS x"),
    ] {
        let statements = loaded(&Database::with(rows), table);
        assert!(statements.first().is_some_and(|sql| is_binary(sql)), "{statements:?}");
        assert!(!statements.last().is_some_and(|sql| is_binary(sql)), "{statements:?}");
    }
    // Types whose text means the same everywhere and whose binary form need not: those with an OID
    // in it, those that a user has made, whatever their names, and lists of any.
    for (table, rows) in [
        ("of_lists", "CREATE TABLE of_lists AS SELECT ARRAY[1, 2] AS x, '1 day'::interval AS y"),
        (
            "of_enums",
            "CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE of_enums AS SELECT 'sad'::mood AS x",
        ),
        (
            "of_domains",
            r#"CREATE DOMAIN "integer" AS int CHECK (VALUE > 0);
               CREATE TABLE of_domains AS SELECT 1::"integer" AS x"#,
        ),
        ("of_classes", "CREATE TABLE of_classes AS SELECT 'pg_class'::regclass AS x, 1 AS y"),
        ("of_money", "CREATE TABLE of_money AS SELECT 1::money AS x"),
        (
            "of_enum_lists",
            "CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE of_enum_lists AS SELECT ARRAY['sad'::mood] AS x",
        ),
    ] {
        let statements = loaded(&Database::with(rows), table);
        assert!(statements.len() == 1 && !is_binary(&statements[0]), "{statements:?}");
    }
}

#[test]
fn partitions_whose_rows_hash_otherwise_are_loaded_through_their_table() {
    let schema =
        "CREATE FUNCTION h(int, int8) RETURNS int8 LANGUAGE sql IMMUTABLE AS 'SELECT $1::int8';
        CREATE OPERATOR CLASS own FOR TYPE int USING hash AS OPERATOR 1 =, FUNCTION 2 h(int, int8);
        CREATE TABLE p (k int, v text) PARTITION BY HASH (k own);
        CREATE TABLE p0 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE p1 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 1);";
    // The hash that the rows lie by is no longer the one that the schema gives, as with another
    // version of a collation.
    let other = "CREATE OR REPLACE FUNCTION h(int, int8) RETURNS int8 LANGUAGE sql IMMUTABLE AS 'SELECT $1::int8 + 1';";
    let rows = "INSERT INTO p SELECT i, 'v' || i FROM generate_series(1, 99) AS i;";
    let source = Database::with(&format!("{schema} {rows} {other}"));
    let repo = Repo::new();
    repo.backup(&source, &["--no-migrations"]);
    let all = "SELECT count(*) || ' ' || sum(k) || ' ' || min(v) FROM p";
    let moved = |target: &Database| {
        assert_eq!(target.one(all), source.one(all));
        let (there, here) = ("SELECT count(*) FROM p0", "SELECT count(*) FROM p1");
        assert_eq!(target.one(there), source.one(here));
    };
    let refused = ["violates partition constraint", "--load-via-partition-root"];
    let through = "--load-via-partition-root";

    let target = Database::empty();
    repo.ok(&["restore", "latest", "--url", &target.url(), through]);
    moved(&target);
    let target = Database::empty();
    repo.ok(&["restore", "latest", "--url", &target.url()])
        .says(&["the key of public.p hashes or sorts otherwise"]);
    moved(&target);

    let copied = Database::empty();
    copy(&source, &copied, &[]).expect_code(1).says(&refused);
    copy(&source, &copied, &[through]).expect_code(0);
    moved(&copied);

    let filled = Database::with(&format!("{schema} {other}"));
    let restore = ["restore", "latest", "--url", &filled.url(), "--data-only"];
    repo.run(&restore).expect_code(1).says(&refused);
    repo.ok(&[&restore[..], &[through]].concat());
    moved(&filled);
}
