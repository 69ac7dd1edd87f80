//! Definitions that come back as others.

use crate::harness::carried::{ask, carry, carry_rows, manifest, member};
use crate::harness::{Database, Repo, admin, pg_dump_schema, role, server, server_of};

#[test]
fn p10_definitions_do_not_depend_on_the_search_path() {
    role("p10_in_a", "SUPERUSER");
    role("p10_in_b", "SUPERUSER");
    admin("ALTER ROLE p10_in_a SET search_path = a, b; ALTER ROLE p10_in_b SET search_path = b, a");
    let source = Database::with(
        "CREATE SCHEMA a; CREATE SCHEMA b;
         CREATE FUNCTION a.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
         CREATE FUNCTION b.f() RETURNS int LANGUAGE sql AS 'SELECT 2';
         CREATE VIEW a.v AS SELECT a.f() AS f;
         CREATE TABLE a.t (x int DEFAULT a.f(), r regproc);
         INSERT INTO a.t VALUES (1, 'a.f')",
    );
    let definition = "SELECT pg_get_viewdef('a.v'::regclass)";
    let naive = ask(&mut source.client_as("p10_in_a"), definition);
    assert!(naive.contains("SELECT f() AS f"), "{naive}");
    let mut elsewhere = source.client_as("p10_in_b");
    assert_eq!(ask(&mut elsewhere, naive.trim_end_matches(';')), "2", "binds to b.f");

    let (repo, target) = (Repo::new(), Database::empty());
    repo.ok(&["backup", "--url", &source.url_as("p10_in_a")]);
    repo.ok(&["restore", "latest", "--url", &target.url_as("p10_in_b"), "--no-owner"]);
    repo.ok(&["compare", "latest", "--with", &target.url_as("p10_in_b")]);
    assert_eq!(target.one("SELECT f FROM a.v"), "1");
    target.execute("INSERT INTO a.t DEFAULT VALUES");
    assert_eq!(
        target.one("SELECT string_agg(x || ' ' || coalesce(r::text, ''), ',') FROM a.t"),
        "1 a.f,1 "
    );
}

#[test]
fn p11_lists_of_schemas_stay_lists() {
    let source = Database::with(
        "CREATE SCHEMA a; CREATE SCHEMA b; CREATE TABLE b.t AS SELECT 5 AS x;
         CREATE FUNCTION g() RETURNS int LANGUAGE plpgsql SET search_path = a, b
           AS $$BEGIN RETURN (SELECT x FROM t); END$$;
         CREATE FUNCTION nowhere() RETURNS int LANGUAGE sql SET search_path = '' AS 'SELECT 1'",
    );
    let settings = "SELECT string_agg(proconfig::text, ' ' ORDER BY proname) FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace";
    let stored = source.one(settings);
    assert_eq!(stored, r#"{"search_path=a, b"} {"search_path=\"\""}"#);
    let naive = Database::create(&format!("TEMPLATE {}", source.name));
    naive.execute("ALTER FUNCTION g() SET search_path TO 'a, b'");
    naive.client().query_one("SELECT g()", &[]).unwrap_err();

    let target = carry(&source).target;
    assert_eq!(target.one(settings), stored);
    assert_eq!(target.one("SELECT g()"), "5");

    // So do those of a database.
    admin(&format!("ALTER DATABASE {} SET search_path = a, b", source.name));
    let target = carry(&source).target;
    assert_eq!(target.one("SELECT current_setting('search_path')"), "a, b");
}

#[test]
fn p12_constraints_that_were_not_validated_stay_so() {
    let naive = Database::with("CREATE TABLE nv (x int, CONSTRAINT c CHECK (x > 0) NOT VALID)");
    let validated = "SELECT convalidated FROM pg_constraint WHERE conname = 'c'";
    assert_eq!(naive.one(validated), "true", "inline, it becomes valid");

    let source = Database::with(
        "CREATE TABLE nv (x int); INSERT INTO nv VALUES (-1);
         ALTER TABLE nv ADD CONSTRAINT c CHECK (x > 0) NOT VALID;
         CREATE TABLE one (id int PRIMARY KEY); CREATE TABLE many (id int); INSERT INTO many VALUES (3);
         ALTER TABLE many ADD CONSTRAINT fk FOREIGN KEY (id) REFERENCES one NOT VALID",
    );
    // Since 18 a NOT NULL can be so as well, which the column does not tell, and a CHECK without force.
    if server().major() >= 18 {
        source.execute(
            "INSERT INTO nv VALUES (NULL); ALTER TABLE nv ADD CONSTRAINT n NOT NULL x NOT VALID,
               ADD CONSTRAINT e CHECK (x > 9) NOT ENFORCED",
        );
        let said =
            "SELECT attnotnull FROM pg_attribute WHERE attrelid = 'nv'::regclass AND attname = 'x'";
        assert_eq!(source.one(said), "true");
    }
    let target = carry(&source).target;
    let states = "SELECT string_agg(concat_ws(' ', conname, convalidated, to_jsonb(c)->>'conenforced'), ',' ORDER BY conname)
        FROM pg_constraint AS c WHERE conrelid = 'nv'::regclass";
    assert_eq!(target.one(states), source.one(states));
    assert_eq!(target.one(validated), "false");
    assert_eq!(target.one("SELECT convalidated FROM pg_constraint WHERE conname = 'fk'"), "false");
    assert_eq!(target.one("SELECT min(x) FROM nv"), "-1");
}

#[test]
fn p13_storage_parameters_and_tablespaces_of_keys_are_kept() {
    let source = Database::with(
        "CREATE TABLE k (id int, u int, CONSTRAINT kp PRIMARY KEY (id) WITH (fillfactor = 70),
           CONSTRAINT ku UNIQUE (u) INCLUDE (id) WITH (fillfactor = 60));
         INSERT INTO k VALUES (1, 2)",
    );
    let naive = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'kp'";
    assert_eq!(source.one(naive), "PRIMARY KEY (id)");
    let target = carry(&source).target;
    let options = "SELECT string_agg(reloptions::text, ' ' ORDER BY relname) FROM pg_class
        WHERE relname IN ('kp', 'ku')";
    assert_eq!(target.one(options), "{fillfactor=70} {fillfactor=60}");

    let space = format!("p13_{}", std::process::id());
    let folder = server().folder().join(&space);
    let path = folder.display();
    // The server makes the folder itself, so that it is its user's.
    source
        .execute(&format!("COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; mkdir -m 700 ''{path}'''"));
    admin(&format!("CREATE TABLESPACE {space} LOCATION '{path}'"));
    source.execute(&format!("ALTER INDEX kp SET TABLESPACE {space}"));
    let lies_in = "SELECT coalesce((SELECT spcname FROM pg_tablespace AS s
         WHERE s.oid = c.reltablespace), 'default')::text FROM pg_class AS c WHERE relname = 'kp'";
    let carried = carry(&source);
    assert_eq!(carried.target.one(lies_in), space);
    assert_eq!(carried.target.one(options), "{fillfactor=70} {fillfactor=60}");
    let elsewhere = Database::empty();
    carried.repo.ok(&["restore", "latest", "--url", &elsewhere.url(), "--no-tablespaces"]);
    assert_eq!(elsewhere.one(lies_in), "default");
    carried.target.execute("ALTER INDEX kp SET TABLESPACE pg_default");
    source.execute("ALTER INDEX kp SET TABLESPACE pg_default");
    admin(&format!("DROP TABLESPACE {space}"));
}

#[test]
fn p14_privileges_are_exactly_those_of_the_source() {
    role("p14_ro", "");
    let source = Database::with(
        "CREATE TABLE z (x int); REVOKE ALL ON z FROM CURRENT_USER;
         CREATE FUNCTION af() RETURNS int LANGUAGE sql AS 'SELECT 1';
         REVOKE EXECUTE ON FUNCTION af() FROM PUBLIC;
         CREATE TABLE plain (x int)",
    );
    let table = "SELECT relacl::text FROM pg_class WHERE relname = 'z'";
    assert_eq!(source.one(table), "{}", "empty, which is not NULL");
    assert_eq!(source.one("SELECT relacl = '{}' FROM pg_class WHERE relname = 'z'"), "false");
    // Who replays GRANTs alone leaves the defaults.
    let naive = Database::with(
        "CREATE TABLE z (x int); CREATE FUNCTION af() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    );
    assert_eq!(naive.one("SELECT has_function_privilege('p14_ro', 'af()', 'EXECUTE')"), "true");

    // A target that gives more to whatever is created in it.
    let polluted = Database::with("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO p14_ro");
    polluted.execute("CREATE TABLE naive (x int)");
    assert_eq!(polluted.one("SELECT has_table_privilege('p14_ro', 'naive', 'SELECT')"), "true");
    polluted.execute("DROP TABLE naive");
    let carried = carry_rows(&source, &[], polluted);
    let target = &carried.target;
    assert_eq!(target.one(table), "{}");
    assert_eq!(target.one("SELECT has_table_privilege('p14_ro', 'plain', 'SELECT')"), "false");
    assert_eq!(target.one("SELECT has_function_privilege('p14_ro', 'af()', 'EXECUTE')"), "false");
    target.execute("ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM p14_ro");
    assert_eq!(pg_dump_schema(target), pg_dump_schema(&source));
}

#[test]
fn p15_a_child_keeps_its_missing_default() {
    let source = Database::with(
        "CREATE TABLE dp (x int DEFAULT 7, y int); CREATE TABLE dc () INHERITS (dp);
         ALTER TABLE ONLY dc ALTER x DROP DEFAULT; INSERT INTO dc (y) VALUES (1)",
    );
    let naive = Database::with(
        "CREATE TABLE dp (x int DEFAULT 7, y int); CREATE TABLE dc () INHERITS (dp)",
    );
    naive.execute("INSERT INTO dc (y) VALUES (1)");
    assert_eq!(naive.one("SELECT x FROM dc"), "7");
    let target = carry(&source).target;
    target.execute("INSERT INTO dc (y) VALUES (2); INSERT INTO dp (y) VALUES (3)");
    let values = "SELECT string_agg(y || ':' || coalesce(x::text, '-'), ' ' ORDER BY y) FROM dp";
    assert_eq!(target.one(values), "1:- 2:- 3:7");
}

/// VIRTUAL columns are PostgreSQL 18's; where the server has them, they are tried too.
#[test]
fn p16_generated_and_identity_columns_stay_what_they_are() {
    let source = Database::with(
        "CREATE TABLE g (c int GENERATED ALWAYS AS (a * 3) STORED, a int, b text);
         INSERT INTO g (a, b) VALUES (2, 'x');
         CREATE TABLE ip (id int GENERATED ALWAYS AS IDENTITY (START 5), k int) PARTITION BY RANGE (k);
         CREATE TABLE ip1 PARTITION OF ip FOR VALUES FROM (0) TO (9);
         INSERT INTO ip (k) VALUES (1), (2);
         INSERT INTO ip OVERRIDING SYSTEM VALUE VALUES (-1, 3)",
    );
    let modern =
        source.one("SELECT current_setting('server_version_num')::int >= 180000") == "true";
    if modern {
        source.execute("ALTER TABLE g ADD COLUMN v int GENERATED ALWAYS AS (a * 2) VIRTUAL");
    }
    // SELECT * gives generated columns too, and COPY FROM refuses them.
    let naive = Database::create(&format!("TEMPLATE {}", source.name));
    let rows =
        crate::harness::carried::copy_out(&mut source.client(), "COPY (SELECT * FROM g) TO STDOUT");
    let mut client = naive.client();
    let mut writer = client.copy_in("COPY g FROM STDIN").unwrap();
    std::io::Write::write_all(&mut writer, &rows).unwrap();
    assert_eq!(writer.finish().unwrap_err().code().unwrap().code(), "22P04");
    assert_eq!(source.one("SELECT pg_get_serial_sequence('ip1', 'id')"), "NULL");

    let target = carry(&source).target;
    let kinds = "SELECT string_agg(format('%s%s', attname, attgenerated), ' ' ORDER BY attnum) FROM pg_attribute
        WHERE attrelid = 'g'::regclass AND attnum > 0";
    assert_eq!(target.one(kinds), source.one(kinds));
    assert_eq!(target.one("SELECT format('%s %s %s', a, b, c) FROM g"), "2 x 6");
    target.execute("INSERT INTO ip (k) VALUES (4)");
    let ids = "SELECT string_agg(id::text, ' ' ORDER BY k) FROM ip";
    assert_eq!(target.one(ids), "5 6 -1 7");
    let error = target.client().batch_execute("INSERT INTO ip VALUES (1, 1)").unwrap_err();
    assert_eq!(error.code().unwrap().code(), "428C9", "still GENERATED ALWAYS");
}

#[test]
fn p17_functions_without_source_text_keep_their_body() {
    let tables = "CREATE TABLE bt (x int); INSERT INTO bt VALUES (1), (2)";
    let function = "CREATE FUNCTION bf() RETURNS bigint LANGUAGE sql";
    let modern = format!("{function} BEGIN ATOMIC SELECT count(*) FROM bt; END");
    let source = Database::with(tables);
    if server().major() < 14 {
        // There such functions cannot be; their text is always whole.
        let error = source.client().batch_execute(&modern).unwrap_err();
        assert_eq!(error.code().unwrap().code(), "42601");
        source.execute(&format!("{function} AS 'SELECT count(*) FROM public.bt'"));
        assert_eq!(carry(&source).target.one("SELECT bf()"), "2");
        return;
    }
    source.execute(&modern);
    assert_eq!(source.one("SELECT prosrc = '' FROM pg_proc WHERE proname = 'bf'"), "true");
    let naive = Database::with(&format!("SET check_function_bodies = off; {function} AS ''"));
    naive.client().query_one("SELECT bf()", &[]).unwrap_err();
    assert_eq!(carry(&source).target.one("SELECT bf()"), "2");
}

/// PostgreSQL 16 made `system_user` a key word: a constraint of 13 that names a column so would
/// ask for something else.
#[test]
fn p18_new_key_words_change_no_meaning_in_a_newer_server() {
    let (old, new) = (server_of(13), server_of(18));
    let source = Database::with_on(
        old,
        "CREATE TABLE sysu (system_user text, CONSTRAINT c CHECK (system_user <> 'bad'));
         CREATE INDEX i ON sysu (lower(system_user));
         CREATE VIEW v AS SELECT system_user, system_user || '!' AS loud FROM sysu;
         INSERT INTO sysu VALUES ('good')",
    );
    let definition = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'c'";
    let naive = Database::with_on(
        new,
        &format!(
            "CREATE TABLE sysu (\"system_user\" text, CONSTRAINT c {})",
            source.one(definition)
        ),
    );
    naive.execute("INSERT INTO sysu VALUES ('bad')");

    let target = carry_rows(&source, &[], Database::empty_on(new)).target;
    let error = target.client().batch_execute("INSERT INTO sysu VALUES ('bad')").unwrap_err();
    assert_eq!(error.code().unwrap().code(), "23514");
    assert_eq!(target.one("SELECT loud FROM v"), "good!");
    assert!(target.one("SELECT pg_get_indexdef('i'::regclass)").contains("lower(\"system_user\")"));
    // What stands in the new server is whole: from there it goes on as from any other.
    carry(&target);
}

/// On one server: names stand quoted in the archive's statements, whatever this server takes for
/// a key word.
#[test]
fn p18_names_are_quoted_for_servers_that_know_more_key_words() {
    let source = Database::with(
        "CREATE TABLE sysu (\"system_user\" text, word_of_2040 text,
           CONSTRAINT c CHECK (word_of_2040 <> 'bad' AND \"system_user\" <> 'bad'));
         CREATE INDEX i ON sysu ((word_of_2040 || 'x'));
         CREATE VIEW v AS SELECT word_of_2040 AS lateral_of_2040 FROM sysu",
    );
    let naive =
        source.one("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'c'");
    assert!(naive.contains("(word_of_2040 <>"), "{naive}");

    let carried = carry(&source);
    for file in ["schema/pre-data.sql", "schema/post-data.sql"] {
        let text = member(&carried.archive, file);
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("--")).collect();
        let text = lines.join("\n");
        for word in ["word_of_2040", "lateral_of_2040", "system_user", "sysu"] {
            let all = text.matches(word).count();
            assert_eq!(text.matches(&format!("\"{word}\"")).count(), all, "{word} in\n{text}");
        }
    }
    assert!(member(&carried.archive, "schema/pre-data.sql").contains("\"system_user\" <> 'bad'"));
}

#[test]
fn p20_rows_of_a_table_that_was_given_to_an_extension_are_named() {
    let source = Database::with(
        "CREATE EXTENSION citext; CREATE TABLE loose (y int); CREATE TABLE empty (y int);
         CREATE TABLE own (y int);
         INSERT INTO loose VALUES (1); INSERT INTO own VALUES (2);
         ALTER EXTENSION citext ADD TABLE loose; ALTER EXTENSION citext ADD TABLE empty",
    );
    assert!(!pg_dump_schema(&source).contains("loose"), "pg_dump forgets it without a word");
    let repo = Repo::new();
    repo.run(&["backup", "--url", &source.url()]).expect_code(15).says(&[
        "extension-delta rows of public.loose, which belongs to extension citext",
        "--allow-missing extension-delta",
    ]);
    assert_eq!(repo.files(), []);

    let run = repo.run(&["backup", "--url", &source.url(), "--allow-missing", "extension-delta"]);
    run.expect_code(3).says(&["public.loose"]);
    let left = manifest(&repo)["not_carried"].clone();
    let expected = serde_json::json!([{
        "class": "extension-delta",
        "name": "rows of public.loose, which belongs to extension citext",
        "schema": "public",
        "table": "loose",
    }]);
    assert_eq!(left, expected);
    let target = Database::empty();
    let run = repo.run(&["restore", "latest", "--url", &target.url()]).expect_code(3);
    run.says(&["extension citext", "table public.empty is not there"]);
    assert_eq!(target.one("SELECT y FROM own"), "2");
    assert_eq!(target.one("SELECT to_regclass('loose') IS NULL"), "true");
}
