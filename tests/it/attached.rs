//! What hangs on tables and on the database as a whole: rules, policies, statistics, foreign data,
//! publications, subscriptions, event triggers. The families' fixtures say what there is; here
//! the binary carries them with rows, and says what it cannot do.

use crate::harness::carried::{carry, manifest, member, table};
use crate::harness::{Database, Repo, admin, fixture, pg_dump_schema, role, server};

/// Everything at once, with rows; the event triggers come last, since some refuse all DDL.
fn everything() -> Database {
    let major = server().major();
    let source = Database::empty();
    let families = ["rules", "foreign", "publications", "statistics", "row_security"];
    for (number, family) in families.into_iter().chain(["subscriptions"]).enumerate() {
        // Each in a schema of its own, in place of `public`.
        let sql = fixture(family, major).replace("public", &format!("f{number}"));
        source.execute(&format!(
            "CREATE SCHEMA f{number}; CREATE SCHEMA IF NOT EXISTS \"odd \"\"s\";
             SET search_path = f{number}; {}",
            sql.replace("CREATE SCHEMA \"odd \"\"s\";", "")
        ));
    }
    source.execute(
        r#"INSERT INTO f0.t VALUES (1, 'one'), (NULL, 'none');
           INSERT INTO f0.parted VALUES (1, 'x');
           ALTER TABLE f0.t DISABLE RULE keep;
           INSERT INTO f2.t (id) SELECT generate_series(1, 20);
           INSERT INTO app.notes SELECT i, i % 3, 'note ' || i FROM generate_series(1, 50) AS i;
           INSERT INTO app.forced VALUES (1), (2);
           INSERT INTO only_forced VALUES (3);"#
            .replace("INTO only", "INTO f4.only")
            .as_str(),
    );
    source.execute(&fixture("event_triggers", major).replace("CREATE SCHEMA \"odd \"\"s\";", ""));
    source
}

#[test]
fn everything_comes_back_with_its_rows() {
    let carried = carry(&everything());
    let target = &carried.target;
    assert_eq!(target.one("SELECT count(*) FROM app.notes"), "50");
    // A rule on INSERT copies each row into a log: COPY must not have set it off.
    assert_eq!(
        target.one(r#"SELECT count(*) FROM "odd ""s"."lo;g" WHERE what = 'IT''S \ A; NOTE'"#),
        "2"
    );
    assert_eq!(target.one("SELECT count(*) FROM pg_subscription WHERE subenabled"), "0");
    assert!(target.client().batch_execute("CREATE TABLE x ()").is_err(), "refused by a trigger");
    let left_out = carried.manifest()["left_out"].to_string();
    assert!(left_out.contains("rows of foreign table f1.remote"), "{left_out}");
}

#[test]
fn an_unfinished_restore_of_everything_is_emptied_and_begun_anew() {
    let source = everything();
    // The rows break a key, so the copy keeps its mark, with all that was created.
    source.execute("SET session_replication_role = replica; ALTER EVENT TRIGGER strict DISABLE;
        CREATE TABLE public.up (id int PRIMARY KEY); CREATE TABLE public.down (up int REFERENCES public.up);
        INSERT INTO public.down VALUES (7)");
    let (repo, target) = (Repo::new(), Database::empty());
    repo.backup(&source, &[]);
    let broken = |run: crate::harness::Run| {
        let run = run.expect_code(1).says(&["down_up_fkey", "waits for the others"]);
        assert!(!run.stderr.contains("already exists"), "{}", run.stderr);
    };
    broken(repo.run(&["restore", "latest", "--url", &target.url()]));
    assert_eq!(target.one("SELECT count(*) > 0 FROM pg_subscription"), "true");
    target.execute(
        "CREATE FUNCTION public.no() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no'; END$$;
         CREATE EVENT TRIGGER no ON ddl_command_start EXECUTE FUNCTION public.no()",
    );
    let again = repo.run(&["restore", "latest", "--url", &target.url()]);
    assert!(again.stderr.contains("emptying it first"), "{}", again.stderr);
    broken(again);
    assert_eq!(target.one("SELECT count(*) FROM pg_event_trigger"), "0");
}

#[test]
fn a_database_that_holds_any_of_it_is_not_empty() {
    role("a1_user", "");
    Repo::new().backup(&Database::empty(), &["--name", "empty"]);
    let kinds = [
        ("CREATE FOREIGN DATA WRAPPER w", "FOREIGN DATA WRAPPER w"),
        ("CREATE PUBLICATION p", "PUBLICATION p"),
        (
            "CREATE SUBSCRIPTION a1 CONNECTION 'dbname=x' PUBLICATION p WITH (connect = false)",
            "SUBSCRIPTION a1",
        ),
        (
            "CREATE FUNCTION pg_catalog.a1() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
             CREATE EVENT TRIGGER e ON sql_drop EXECUTE FUNCTION pg_catalog.a1()",
            "EVENT TRIGGER e",
        ),
    ];
    let repo = Repo::new();
    repo.backup(&Database::empty(), &[]);
    for (sql, found) in kinds {
        let target = Database::with(&format!("SET allow_system_table_mods = on; {sql}"));
        let run = repo.run(&["restore", "latest", "--url", &target.url()]);
        run.expect_code(15).says(&["not empty", found]);
    }
}

#[test]
fn an_ordinary_owner_restores_rows_that_are_then_guarded_from_him() {
    role("a2_owner", "");
    let source = Database::with(
        "CREATE TABLE guarded (id int, who text); CREATE TABLE open (id int);
         INSERT INTO guarded SELECT i, 'x' FROM generate_series(1, 9) AS i; INSERT INTO open VALUES (1);
         ALTER TABLE guarded ENABLE ROW LEVEL SECURITY; ALTER TABLE guarded FORCE ROW LEVEL SECURITY;
         CREATE POLICY part ON guarded USING (id > 5);
         CREATE MATERIALIZED VIEW seen AS SELECT count(*) AS n FROM guarded;
         ALTER TABLE guarded OWNER TO a2_owner; ALTER TABLE open OWNER TO a2_owner;
         ALTER MATERIALIZED VIEW seen OWNER TO a2_owner; REFRESH MATERIALIZED VIEW seen",
    );
    assert_eq!(source.one("SELECT n FROM seen"), "4", "the owner sees what the policy shows");
    let repo = Repo::new();
    repo.backup(&source, &[]);
    let target = Database::empty();
    admin(&format!("ALTER DATABASE {} OWNER TO a2_owner", target.name));
    // He owns everything as it is; only up to 14, `public` was nobody's to give away.
    let url = target.url_as("a2_owner");
    let run = repo.ok(&["restore", "latest", "--url", &url, "--no-owner", "--no-privileges"]);
    assert!(run.stdout.contains("proved: "), "{}", run.stdout);
    assert_eq!(pg_dump_schema(&target), pg_dump_schema(&source));
    assert_eq!(target.one("SELECT n FROM seen"), "4");
    repo.ok(&["compare", "latest", "--with", &target.url()]);
    // Who cannot see all rows is told so, and not that they differ.
    repo.run(&["compare", "latest", "--with", &target.url_as("a2_owner")])
        .expect_code(1)
        .says(&["row-level security"]);
    repo.run(&["backup", "--url", &target.url_as("a2_owner")])
        .expect_code(15)
        .says(&["public.guarded", "BYPASSRLS"]);
}

#[test]
fn what_the_role_may_not_create_is_said_first_and_can_be_left_out() {
    role("a3_owner", "");
    let source = Database::with(
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);
         CREATE FUNCTION on_event() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
         CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION on_event();
         CREATE FOREIGN DATA WRAPPER far; CREATE SERVER srv FOREIGN DATA WRAPPER far;
         CREATE USER MAPPING FOR PUBLIC SERVER srv; CREATE FOREIGN TABLE remote (a int) SERVER srv;
         CREATE VIEW near AS SELECT a FROM remote; GRANT SELECT ON remote TO PUBLIC;
         CREATE PUBLICATION every FOR ALL TABLES; CREATE PUBLICATION one FOR TABLE t;
         CREATE SUBSCRIPTION a3 CONNECTION 'dbname=x' PUBLICATION p WITH (connect = false, slot_name = NONE)",
    );
    let repo = Repo::new();
    repo.backup(&source, &[]);
    let target = Database::empty();
    admin(&format!("ALTER DATABASE {} OWNER TO a3_owner", target.name));
    let url = target.url_as("a3_owner");
    let plain = ["restore", "latest", "--url", &url, "--no-owner", "--no-privileges"];
    repo.run(&plain).expect_code(15).says(&[
        "event-trigger watch",
        "foreign-data-wrapper far",
        "publication every",
        "subscription a3",
        "--leave-out event-trigger --leave-out foreign-data-wrapper",
    ]);
    assert_eq!(target.one("SELECT count(*) FROM pg_namespace WHERE nspname ~ 'pgark'"), "0");

    let classes = ["event-trigger", "foreign-data-wrapper", "publication", "subscription"];
    let mut arguments = plain.to_vec();
    arguments.extend(classes.iter().flat_map(|class| ["--leave-out", *class]));
    let run = repo.run(&arguments).expect_code(3);
    for gone in [
        "foreign-server srv",
        "user-mapping PUBLIC on srv",
        "foreign-table public.remote",
        "view public.near",
        "publication-table one on public.t",
    ] {
        assert!(run.stdout.contains(gone), "{gone} is not in:\n{}", run.stdout);
    }
    repo.ok(&["compare", "latest", "--with", &url]);
    assert_eq!(
        target.one("SELECT to_regclass('near') IS NULL AND to_regclass('t') IS NOT NULL"),
        "true"
    );

    // A table cannot go without its rows.
    repo.run(&["restore", "latest", "--url", &Database::empty().url(), "--leave-out", "table"])
        .expect_code(15)
        .says(&["table public.t"]);
    repo.run(&["restore", "latest", "--url", "x", "--leave-out", "publicaton"])
        .expect_code(2)
        .says(&["did you mean \"publication\"?"]);
}

#[test]
fn options_and_connections_that_are_hidden_are_named_never_dropped() {
    role("a4_reader", "BYPASSRLS");
    role("a4_other", "");
    let source = Database::with(
        "CREATE TABLE t (id int); GRANT SELECT ON t TO a4_reader;
         CREATE FOREIGN DATA WRAPPER w; CREATE SERVER srv FOREIGN DATA WRAPPER w;
         GRANT USAGE ON FOREIGN SERVER srv TO a4_reader;
         CREATE USER MAPPING FOR a4_reader SERVER srv OPTIONS (password 'own');
         CREATE USER MAPPING FOR a4_other SERVER srv OPTIONS (password 'hidden');
         CREATE SUBSCRIPTION a4 CONNECTION 'dbname=x password=hidden' PUBLICATION p WITH (connect = false);
         COMMENT ON SUBSCRIPTION a4 IS 'goes with it'",
    );
    let url = source.url_as("a4_reader");
    let repo = Repo::new();
    repo.run(&["backup", "--url", &url]).expect_code(15).says(&[
        "user-mapping a4_other on srv, whose options this role may not see",
        "subscription a4, whose connection this role may not see",
        "--allow-missing subscription --allow-missing user-mapping",
    ]);
    repo.run(&[
        "backup",
        "--url",
        &url,
        "--allow-missing",
        "user-mapping",
        "--allow-missing",
        "subscription",
    ])
    .expect_code(3);
    let carried = manifest(&repo);
    assert_eq!(carried["not_carried"].as_array().unwrap().len(), 2);
    let mappings = carried["objects"].as_array().unwrap().iter();
    let mappings: Vec<_> =
        mappings.filter(|o| o["class"] == "user-mapping").map(|o| o["name"].clone()).collect();
    assert_eq!(mappings, ["a4_reader on srv"]);

    if server().major() >= 14 {
        role("a4_all", "BYPASSRLS IN ROLE pg_read_all_data");
        let (repo, url) = (Repo::new(), source.url_as("a4_all"));
        repo.ok(&["backup", "--url", &url]);
        assert_eq!(manifest(&repo)["not_carried"].as_array().unwrap().len(), 0);
    }
}

#[test]
fn passwords_are_in_the_schema_of_the_archive_and_nowhere_else() {
    let source = Database::with(
        "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER srv FOREIGN DATA WRAPPER w;
         CREATE USER MAPPING FOR PUBLIC SERVER srv OPTIONS (password 'pAss1');
         CREATE SUBSCRIPTION a5 CONNECTION 'dbname=x password=pAss2' PUBLICATION p WITH (connect = false)",
    );
    let repo = Repo::new();
    let archive = repo.backup(&source, &[]);
    let schema =
        member(&archive, "schema/pre-data.sql") + &member(&archive, "schema/post-data.sql");
    assert!(schema.contains("pAss1") && schema.contains("pAss2"));
    let target = Database::empty();
    let mut said = manifest(&repo).to_string();
    for arguments in [
        vec!["verify", "latest"],
        vec!["restore", "latest", "--url", &target.url()],
        // What is there already fails, and is named.
        vec!["restore", "latest", "--url", &target.url()],
        vec!["compare", "latest", "--with", &target.url()],
        vec!["list"],
    ] {
        let run = repo.run(&arguments);
        said.push_str(&run.stdout);
        said.push_str(&run.stderr);
    }
    assert!(said.contains("subscription a5 is restored disabled"), "{said}");
    assert!(!said.contains("pAss"), "{said}");
}

#[test]
fn an_invalid_index_is_listed_and_keeps_nobody_from_a_backup() {
    let source = Database::with("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (1)");
    source.client().batch_execute("CREATE UNIQUE INDEX CONCURRENTLY broken ON t (a)").unwrap_err();
    let (repo, target) = (Repo::new(), Database::empty());
    let run = repo.ok(&["backup", "--url", &source.url()]);
    let text = "invalid index public.broken on public.t: REINDEX it or drop it";
    assert!(run.stdout.contains(&format!("left out: {text}")), "{}", run.stdout);
    assert_eq!(manifest(&repo)["left_out"][0], text);
    repo.ok(&["restore", "latest", "--url", &target.url()]);
    assert_eq!(target.one("SELECT to_regclass('broken') IS NULL"), "true");
    // Of a table that is not chosen, it is not told.
    let other = Repo::new();
    source.execute("CREATE TABLE u ()");
    other.backup(&source, &["--table", "u"]);
    assert_eq!(manifest(&other)["left_out"].to_string(), "[\"table public.t\"]");
}

/// What a filled view reads may have been emptied since, or never have been filled and not be needed;
/// nor could it always be.
#[test]
fn views_over_some_that_are_not_filled_are() {
    let source = Database::with(
        "CREATE TABLE t (a int); INSERT INTO t VALUES (1);
         CREATE MATERIALIZED VIEW lowest AS SELECT a FROM t;
         CREATE MATERIALIZED VIEW base AS SELECT a FROM lowest;
         CREATE MATERIALIZED VIEW \"over it's\" AS SELECT a FROM base;
         CREATE VIEW plain AS SELECT a FROM \"over it's\";
         CREATE MATERIALIZED VIEW over_all AS SELECT a FROM plain UNION ALL SELECT a FROM base;
         CREATE UNIQUE INDEX ON \"over it's\" (a);
         CREATE MATERIALIZED VIEW failing AS SELECT 1 / (a - 1) AS a FROM t WITH NO DATA;
         CREATE TABLE no_parts (a int) PARTITION BY LIST (a);
         CREATE MATERIALIZED VIEW apart AS SELECT a FROM no_parts JOIN failing USING (a);
         REFRESH MATERIALIZED VIEW lowest WITH NO DATA;
         REFRESH MATERIALIZED VIEW base WITH NO DATA",
    );
    let carried = carry(&source);
    let filled = "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class
        WHERE relkind = 'm' AND relispopulated";
    assert_eq!(source.one(filled), "apart over it's over_all");
    assert_eq!(carried.target.one(filled), "apart over it's over_all");
    assert_eq!(carried.target.one("SELECT count(*) FROM over_all"), "2");
    assert_eq!(carried.manifest()["left_out"].to_string(), "[]");
}

/// That it was filled once does not say that it can be today: what was emptied may be broken.
#[test]
fn a_view_over_some_that_cannot_be_filled_stays_unfilled_and_is_named() {
    let source = Database::with(
        "CREATE TABLE t (a int); INSERT INTO t VALUES (2);
         CREATE MATERIALIZED VIEW broken AS SELECT 1 / (a - 1) AS a FROM t;
         CREATE MATERIALIZED VIEW over_it AS SELECT a FROM broken;
         CREATE MATERIALIZED VIEW over_both AS SELECT a FROM over_it;
         CREATE MATERIALIZED VIEW sound AS SELECT a FROM t;
         UPDATE t SET a = 1; REFRESH MATERIALIZED VIEW broken WITH NO DATA",
    );
    let (repo, target) = (Repo::new(), Database::empty());
    repo.backup(&source, &[]);
    let told = repo.run(&["restore", "latest", "--url", &target.url(), "--json"]).expect_code(3);
    let stale = told.json()["stale_materialized_views"].to_string();
    assert!(stale.contains("over_it") && stale.contains("over_both"), "{stale}");
    let filled =
        "SELECT string_agg(relname, ' ') FROM pg_class WHERE relkind = 'm' AND relispopulated";
    assert_eq!(target.one(filled), "sound");
    repo.backup(&target, &["--name", "again"]);
}

#[test]
fn rows_alone_go_past_rules_and_policies() {
    let schema = "CREATE TABLE t (id int PRIMARY KEY, note text); CREATE TABLE log (id int);
         CREATE RULE copied AS ON INSERT TO t DO ALSO INSERT INTO log VALUES (NEW.id);
         CREATE RULE never AS ON DELETE TO t DO INSTEAD NOTHING;
         CREATE TABLE guarded (id int PRIMARY KEY);
         ALTER TABLE guarded ENABLE ROW LEVEL SECURITY; ALTER TABLE guarded FORCE ROW LEVEL SECURITY;
         CREATE POLICY none ON guarded USING (false);";
    let source = Database::with(&format!(
        "{schema} INSERT INTO guarded VALUES (1), (2); INSERT INTO t VALUES (1, 'a'), (2, 'b')"
    ));
    let repo = Repo::new();
    repo.backup(&source, &[]);
    let target = Database::with(schema);
    let url = target.url();
    let rows = |more: &[&str]| {
        let mut arguments = vec!["restore", "latest", "--url", &url, "--data-only"];
        arguments.extend(more);
        repo.run(&arguments)
    };
    rows(&[]).expect_code(0);
    assert_eq!(target.one("SELECT count(*) FROM log"), "2", "the archive's own rows and no more");
    rows(&["--on-existing", "truncate"]).expect_code(0);
    repo.ok(&["compare", "latest", "--with", &url]);
    for way in ["upsert", "skip"] {
        rows(&["--on-existing", way]).expect_code(15).says(&["rules act on", "public.t"]);
    }
    rows(&["--on-existing", "upsert", "--table", "guarded"]).expect_code(0);

    role("a6_owner", "");
    target.execute("ALTER TABLE guarded OWNER TO a6_owner");
    repo.run(&[
        "restore",
        "latest",
        "--url",
        &target.url_as("a6_owner"),
        "--data-only",
        "--table",
        "guarded",
        "--on-existing",
        "truncate",
    ])
    .expect_code(15)
    .says(&["row-level security of public.guarded applies"]);
}

#[test]
fn a_selection_takes_what_hangs_on_its_tables_and_names_what_is_of_the_whole() {
    let source = Database::with(
        "CREATE SCHEMA s; CREATE TABLE s.t (a int PRIMARY KEY, b int); CREATE TABLE other (a int PRIMARY KEY);
         INSERT INTO s.t VALUES (1, 1);
         CREATE FUNCTION allowed(int) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT true';
         CREATE FUNCTION not_needed() RETURNS int LANGUAGE sql AS 'SELECT 1';
         ALTER TABLE s.t ENABLE ROW LEVEL SECURITY; CREATE POLICY pol ON s.t USING (allowed(a));
         CREATE RULE rul AS ON UPDATE TO s.t DO ALSO NOTHING; CREATE STATISTICS st ON a, b FROM s.t;
         CREATE RULE elsewhere AS ON INSERT TO s.t DO ALSO INSERT INTO other VALUES (NEW.a);
         ALTER TABLE other ENABLE ROW LEVEL SECURITY; CREATE POLICY pol ON other;
         CREATE PUBLICATION of_both FOR TABLE s.t, other; CREATE PUBLICATION of_all FOR ALL TABLES;
         CREATE SUBSCRIPTION a7 CONNECTION 'dbname=x' PUBLICATION p WITH (connect = false);
         CREATE FUNCTION on_event() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
         CREATE EVENT TRIGGER ev ON sql_drop EXECUTE FUNCTION on_event();
         CREATE FOREIGN DATA WRAPPER w; CREATE SERVER srv FOREIGN DATA WRAPPER w;
         CREATE USER MAPPING FOR PUBLIC SERVER srv;
         CREATE FOREIGN TABLE s.remote (a int) SERVER srv; CREATE FOREIGN TABLE far (a int) SERVER srv;
         CREATE TABLE parted (k int) PARTITION BY LIST (k);
         CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
         CREATE FOREIGN TABLE s.parted_2 PARTITION OF parted FOR VALUES IN (2) SERVER srv",
    );
    let part = |arguments: &[&str]| {
        let (repo, target) = (Repo::new(), Database::empty());
        repo.backup(&source, arguments);
        repo.run(&["restore", "latest", "--url", &target.url()]).expect_code(0);
        (manifest(&repo), target)
    };
    let has = |manifest: &serde_json::Value, class: &str, name: &str| {
        let objects = manifest["objects"].as_array().unwrap();
        objects.iter().any(|object| object["class"] == class && object["name"] == name)
    };
    let (of_table, _target) = part(&["--table", "s.t"]);
    for (class, name) in [
        ("row-security", "t"),
        ("policy", "pol"),
        ("rule", "rul"),
        ("extended-statistics", "st"),
        ("function", "allowed(integer)"),
    ] {
        assert!(has(&of_table, class, name), "{class} {name}");
    }
    for (class, name) in [
        ("publication", "of_both"),
        ("publication", "of_all"),
        ("subscription", "a7"),
        ("event-trigger", "ev"),
        ("foreign-server", "srv"),
        ("function", "not_needed()"),
        ("rule", "elsewhere"),
    ] {
        assert!(!has(&of_table, class, name), "{class} {name}");
    }
    let left = of_table["left_out"].to_string();
    for text in [
        "publication of_both",
        "publication of_all",
        "subscription a7",
        "event-trigger ev",
        "rule s.elsewhere on s.t",
        "foreign-table s.remote",
        "foreign-table public.far",
    ] {
        assert!(left.contains(text), "{text} not in {left}");
    }
    assert!(!left.contains("rows of foreign table"), "{left}");

    let (of_schema, target) = part(&["--schema", "s"]);
    assert!(has(&of_schema, "foreign-table", "remote") && has(&of_schema, "foreign-server", "srv"));
    assert!(has(&of_schema, "user-mapping", "PUBLIC on srv"));
    assert!(!has(&of_schema, "foreign-table", "far"));
    assert_eq!(target.one("SELECT to_regclass('s.remote') IS NOT NULL"), "true");

    let (of_parted, target) = part(&["--table", "parted"]);
    table(&of_parted, "public.parted_1");
    assert_eq!(target.one("SELECT count(*) FROM pg_inherits"), "2", "the foreign partition too");

    let (without, target) = part(&["--exclude-table", "other"]);
    assert!(has(&without, "publication", "of_both") && has(&without, "event-trigger", "ev"));
    assert_eq!(
        target.one(
            "SELECT string_agg(tablename, ',') FROM pg_publication_tables WHERE pubname = 'of_both'"
        ),
        "t"
    );
}

#[test]
fn a_child_comes_back_with_nulls_that_its_parent_refuses() {
    let source = Database::with(
        "CREATE TABLE above (id int NOT NULL, own int NOT NULL); CREATE TABLE child (own int) INHERITS (above);
         CREATE TABLE below () INHERITS (child)",
    );
    let only_the_child = "ALTER TABLE ONLY child ALTER id DROP NOT NULL, ALTER own DROP NOT NULL";
    if server().major() >= 18 {
        assert!(source.client().batch_execute(only_the_child).is_err());
        return;
    }
    source.execute(only_the_child);
    source.execute("INSERT INTO child VALUES (NULL, NULL)");
    let carried = carry(&source);
    let nullable = "SELECT string_agg(concat_ws('.', attrelid::regclass, attname, attnotnull), ' '
                                      ORDER BY attrelid::regclass::text, attnum)
        FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
        WHERE relnamespace = 'public'::regnamespace AND attnum > 0";
    assert_eq!(carried.target.one(nullable), source.one(nullable));
}
