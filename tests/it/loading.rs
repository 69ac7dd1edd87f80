//! The way of rows into a server: as COPY's binary format where every column has a form in it.

use crate::harness::{Database, Repo, server};

/// Backs a database up, restores it where every statement is logged, and gives the COPY statements
/// about `table`.
fn loaded(source: &Database, table: &str) -> Vec<String> {
    let (repo, target) = (Repo::new(), Database::empty());
    target.execute(&format!("ALTER DATABASE {} SET log_statement = 'all'", target.name));
    repo.backup(source, &["--no-migrations"]);
    repo.ok(&["restore", "latest", "--url", &target.url()]);
    repo.ok(&["compare", "latest", "--with", &target.url()]);
    let into = |line: &String| line.contains("COPY ") && line.contains("FROM STDIN");
    server().log(&format!("\"{table}\"")).into_iter().filter(into).collect()
}

#[test]
fn values_of_every_type_come_back_through_the_binary_format() {
    let source = Database::with(
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
              '0.' || repeat('0', 500) || '1', '1234567.100', '-12.3400']) AS v;
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
    let statements = loaded(&source, "all_binary");
    assert!(!statements.is_empty());
    assert!(statements.iter().all(|sql| sql.contains("(FORMAT binary)")), "{statements:?}");
}

#[test]
fn what_has_no_binary_form_goes_as_text() {
    for (table, rows) in [
        ("odd_number", "CREATE TABLE odd_number AS SELECT 'NaN'::numeric AS x"),
        ("odd_date", "CREATE TABLE odd_date AS SELECT '0044-03-15 BC'::date AS x"),
        ("odd_year", "CREATE TABLE odd_year AS SELECT '12345-01-01 00:00:00Z'::timestamptz AS x"),
    ] {
        let statements = loaded(&Database::with(rows), table);
        let binary = |sql: &String| sql.contains("(FORMAT binary)");
        assert!(statements.first().is_some_and(binary), "{statements:?}");
        assert!(!statements.last().is_some_and(binary), "{statements:?}");
    }
    let source =
        Database::with("CREATE TABLE of_lists AS SELECT ARRAY[1, 2] AS x, '1 day'::interval AS y");
    let statements = loaded(&source, "of_lists");
    assert!(statements.len() == 1 && !statements[0].contains("binary"), "{statements:?}");
}
