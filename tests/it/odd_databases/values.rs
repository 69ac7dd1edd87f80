//! Every value that text formats get wrong.

use crate::harness::carried::{carry, copy_text};
use crate::harness::{Database, server};

#[test]
fn values_come_back_bit_for_bit() {
    let spans = if server().major() >= 14 { ", multirange_type_name = spans" } else { "" };
    let source = Database::with(
        &r#"CREATE TYPE pair AS (a int, b text); CREATE TYPE colour AS ENUM ('red', 'it''s');
        CREATE TYPE span AS RANGE (subtype = float8SPANS); CREATE DOMAIN dom AS pair;
        CREATE TABLE texts (id serial, t text, c char(5), v varchar(10), n name);
        INSERT INTO texts (t, c, v, n) VALUES ('', '', '', ''), (NULL, NULL, NULL, NULL),
          ('\.', '\.', '\.', '\.'), ('\N', '\N', '\N', '\N'), (E'\t', E'\t', E'\t', E'\t'),
          (E'\n', 'x', E'\n', 'n'), (E'\r', 'x', E'\r\n', 'n'), (E'\x0b\x08\x0c', '', E'\x01', ''),
          ('\\', '\', '\n', '\t'), ('  padded  ', 'a', ' b ', 'c'), ('日本 🐘 é', 'é', '日本', 'ß'),
          (E'a\\tb\\\nc', '', '', ''), ('NULL', 'null', '"', '''');
        CREATE TABLE floats (id serial, d float8, r real);
        INSERT INTO floats (d, r) VALUES ('NaN', 'NaN'), ('Infinity', 'Infinity'),
          ('-Infinity', '-Infinity'), ('-0', '-0'), (0.1::float8 + 0.2, 0.1), (5e-324, 1e-45),
          (1.7976931348623157e308, 3.4028235e38), (1::float8 / 3, 1::real / 3);
        CREATE TABLE numbers (id serial, n numeric, m numeric(40, 20), b bigint, s smallint);
        INSERT INTO numbers (n, m, b, s) VALUES ('NaN', 0, -9223372036854775808, -32768),
          (repeat('1234567890', 400)::numeric, 1e-20, 9223372036854775807, 32767),
          (('0.' || repeat('9', 4000))::numeric, 12345678901234567890.12345678901234567890, 0, 0),
          (1.10, 1, 1, 1), (1.1, NULL, NULL, NULL), (-0.0, 0, 0, 0);
        CREATE TABLE times (id serial, d date, ts timestamp, tz timestamptz, t time, ttz timetz, i interval);
        INSERT INTO times (d, ts, tz, t, ttz, i) VALUES
          ('infinity', 'infinity', '-infinity', '24:00:00', '23:59:59.999999+14', '-1 day -2:03:04'),
          ('-infinity', '-infinity', 'infinity', '00:00', '00:00-12:30', '178000000 years'),
          ('4713-01-01 BC', '4713-01-01 00:00:00.000001 BC', '4714-11-24 00:00:00+00 BC', '1:2:3.000001', '1:2+05:45:30', '0.000001 s'),
          ('5874897-12-31', '294276-12-31 23:59:59.999999', '0001-12-31 23:59:59 BC', NULL, NULL, '-1 mon 1 day -1 us');
        CREATE TABLE arrays (id serial, a int[], t text[], p pair[], x int[][]);
        INSERT INTO arrays (a, t, p, x) VALUES ('{}', '{}', '{}', '{}'),
          ('[5:7]={1,NULL,3}', ARRAY[NULL, 'NULL', '', '"', '\', ',', '{}', E'\n'], ARRAY[ROW(1, 'a,"b"')::pair, NULL, ROW(NULL, NULL)::pair], '{{1,2},{3,NULL}}'),
          ('[-2:-1][0:1]={{1,2},{3,4}}', '{a}', NULL, '{{{1}}}');
        CREATE TABLE mixed (id serial, p pair, e colour, r int4range, sp span, dm dom,
          j json, jb jsonb, x xml, m money, bt bit(5), bv bit varying, by bytea, u uuid, i inet, c cidr,
          mac macaddr, pt point, pg polygon, ts tsvector, tq tsquery, l pg_lsn, o oid, rc regclass, ch "char", b bool);
        INSERT INTO mixed (p, e, r, sp, dm, j, jb, x, m, bt, bv, by, u, i, c, mac, pt, pg, ts, tq, l, o, rc, ch, b)
        VALUES (ROW(1, E'\t"\\'), 'it''s', 'empty', '[-Infinity,1.5)', ROW(2, '')::pair,
          '{"a" : 1, "a":2.50}', '{"é": [1e400, "\u0041", null], "n": 1.10}', '<a>é &amp; <b/></a>',
          '-12345.67', B'10110', B'', '\x00ff5c0a0d09', '00000000-0000-0000-0000-000000000001',
          '::ffff:1.2.3.4/96', '10.0.0.0/8', '08:00:2b:01:02:03', '(1e-300,NaN)', '((0,0),(1,1),(2,0.1))',
          'a:1A b''c:2,3', 'a & !b <-> c:*', '16/B374D848', 4294967295, 'pg_class', '\377', true),
          (NULL, NULL, '(,)', '(,)', NULL, 'null', 'null', 'text <b/> content', '0', B'00000', B'1', '',
          NULL, NULL, NULL, NULL, NULL, NULL, '', '', NULL, 0, NULL, '', false),
          (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
          NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
        CREATE TABLE doubled (x int); INSERT INTO doubled SELECT 1 FROM generate_series(1, 1000)"#
            .replace("SPANS", spans),
    );
    if server().major() >= 14 {
        source.execute(
            "INSERT INTO numbers (n, m, b, s) VALUES ('Infinity', 0, 0, 0), ('-Infinity', 0, 0, 0);
             CREATE TABLE multiranges (id serial, m int4multirange, s spans[]);
             INSERT INTO multiranges (m, s) VALUES ('{[1,3),[5,)}', ARRAY['{[-Infinity,1.5)}', '{}']::spans[]),
               ('{}', '{NULL}'), (NULL, NULL)",
        );
    } else {
        // Without them, that the tables below are the same everywhere.
        source.execute(
            "INSERT INTO numbers (n, m, b, s) VALUES (1e131, 0, 0, 0), (-1e131, 0, 0, 0);
             CREATE TABLE multiranges (id serial, r int4range[], s span[]);
             INSERT INTO multiranges (r, s) VALUES ('{\"[1,3)\",\"[5,)\"}', '{\"[-Infinity,1.5)\"}'),
               ('{}', '{NULL}'), (NULL, NULL)",
        );
    }
    let target = carry(&source).target;
    for (table, rows) in [
        ("texts", 13),
        ("floats", 8),
        ("numbers", 8),
        ("times", 4),
        ("arrays", 3),
        ("mixed", 3),
        ("multiranges", 3),
    ] {
        let text = |database: &Database| {
            let mut client = database.client();
            client.batch_execute("SET extra_float_digits = 3").unwrap();
            copy_text(&mut client, &format!("COPY (SELECT * FROM {table} ORDER BY id) TO STDOUT"))
        };
        assert_eq!(text(&target), text(&source), "{table}");
        assert_eq!(text(&target).lines().count(), rows, "{table}");
    }
    let bits = "SELECT string_agg(encode(float8send(d), 'hex'), ' ' ORDER BY id) FROM floats";
    assert_eq!(target.one(bits), source.one(bits));
    assert_eq!(target.one("SELECT count(*) FROM doubled"), "1000");
}
