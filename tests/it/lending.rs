//! What a restore lends to owners: a kill leaves it behind for no longer than the next restore, or
//! names it, and what cannot be lent is said before the first write.

use crate::harness::secure::write;
use crate::harness::{Database, Repo, Run, admin, connect, pg_dump_schema, role, server};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Privileges on what was there before a restore.
const PRIVILEGES: &str = "SELECT concat_ws(' | ',
    (SELECT coalesce(nspacl, acldefault('n', nspowner)) FROM pg_namespace WHERE nspname = 'public'),
    (SELECT coalesce(datacl, acldefault('d', datdba)) FROM pg_database WHERE datname = current_database()))";

/// An empty database of a role that may act for two owners, and an archive of what is theirs.
fn scene(prefix: &str) -> (Database, Repo, Database, String) {
    let [one, two, restorer] = ["one", "two", "restorer"].map(|name| format!("{prefix}_{name}"));
    for name in [&one, &two, &restorer] {
        role(name, "");
    }
    admin(&format!("GRANT {one}, {two} TO {restorer}"));
    let source = Database::with(&format!(
        "{};
         CREATE SCHEMA s AUTHORIZATION {one}; CREATE TABLE s.t AS SELECT g AS x, md5(g::text) FROM generate_series(1, 30000) AS g;
         CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE PUBLICATION p FOR TABLE s.t;
         GRANT USAGE ON SCHEMA s TO {two};
         ALTER TABLE s.t OWNER TO {two}; ALTER FUNCTION f() OWNER TO {two}; ALTER PUBLICATION p OWNER TO {two}",
        closed_public(&restorer)
    ));
    let repo = Repo::new();
    repo.backup(&source, &["--name", "whole"]);
    let target = owned_by(&restorer);
    (source, repo, target, restorer)
}

/// An empty database of a role.
fn owned_by(role: &str) -> Database {
    let database = Database::empty();
    admin(&format!("ALTER DATABASE {} OWNER TO {role}", database.name));
    database.execute(&closed_public(role));
    database
}

/// Makes `public` what it is in a new database of a role since PostgreSQL 15.
fn closed_public(role: &str) -> String {
    let owner = if server().major() >= 15 { "pg_database_owner" } else { role };
    format!("REVOKE CREATE ON SCHEMA public FROM PUBLIC; ALTER SCHEMA public OWNER TO {owner}")
}

/// Restores until rows are loaded, and kills the run then.
#[track_caller]
fn kill_while_rows_load(repo: &Repo, target: &Database, url: &str) {
    let mut restore = repo
        .command(&["restore", "whole", "--url", url, "--rate-limit", "400K"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let count = |condition: &str| {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND application_name LIKE 'pgark%' {condition}"
        );
        let row = connect("postgres", "postgres").query_one(&sql, &[&target.name]).unwrap();
        row.get::<_, i64>(0)
    };
    let wait_until = |done: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !done() {
            assert!(begun.elapsed() < Duration::from_secs(30), "the restore never came to it");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    wait_until(&|| count("AND query LIKE 'COPY %'") > 0);
    restore.kill().unwrap();
    assert_eq!(restore.wait().unwrap().signal(), Some(9));
    wait_until(&|| count("") == 0);
}

#[test]
fn what_a_killed_restore_has_lent_is_named_and_taken_back() {
    let (source, repo, target, restorer) = scene("l1");
    let before = target.one(PRIVILEGES);
    let url = target.url_as(&restorer);
    kill_while_rows_load(&repo, &target, &url);
    assert_ne!(target.one(PRIVILEGES), before, "nothing was lent");

    let taken_back = [
        format!("REVOKE CREATE ON DATABASE \"{}\" FROM \"l1_two\"", target.name),
        String::from("REVOKE CREATE ON SCHEMA \"public\" FROM \"l1_two\""),
        String::from("REVOKE CREATE ON SCHEMA \"s\" FROM \"l1_two\""),
    ];
    let hint = |run: Run| {
        let hint = run.stderr.lines().find_map(|line| line.split_once("as role \"l1_restorer\": "));
        hint.unwrap_or_else(|| panic!("no hint in {}", run.stderr)).1.to_owned()
    };
    let statements = hint(repo.run(&["backup", "--url", &url]).expect_code(15));
    for statement in &taken_back {
        assert!(statements.contains(statement), "no {statement} in {statements}");
    }

    // Another restore, which fails, gives everything back; and so does one that goes well.
    role("l1_gone", "");
    let other = Database::with("CREATE TABLE t (x int); ALTER TABLE t OWNER TO l1_gone");
    repo.backup(&other, &["--name", "refused"]);
    repo.run(&["restore", "refused", "--url", &url]).expect_code(15).says(&["l1_gone"]);
    assert_eq!(target.one(PRIVILEGES), before);
    kill_while_rows_load(&repo, &target, &url);
    repo.ok(&["restore", "whole", "--url", &url]);
    assert_eq!(pg_dump_schema(&target), pg_dump_schema(&source));

    // Whoever takes it as it is does what the hint says.
    let target = owned_by(&restorer);
    let url = target.url_as(&restorer);
    let before = target.one(PRIVILEGES);
    kill_while_rows_load(&repo, &target, &url);
    let statements = hint(repo.run(&["backup", "--url", &url]).expect_code(15));
    target.client_as(&restorer).batch_execute(&statements).unwrap();
    assert_eq!(target.one(PRIVILEGES), before);
    assert_eq!(target.one("SELECT has_schema_privilege('l1_two', 's', 'CREATE')"), "false");
    assert_eq!(target.one("SELECT to_regnamespace('pgark_restore_unfinished') IS NULL"), "true");
}

#[test]
fn the_new_owner_of_a_foreign_server_may_use_its_wrapper() {
    for name in ["l2_owner", "l2_restorer"] {
        role(name, "");
    }
    admin("GRANT l2_owner TO l2_restorer");
    let with_wrapper = "CREATE EXTENSION postgres_fdw;
        CREATE FOREIGN DATA WRAPPER \"it's \"\"odd\"\"\"; ALTER EXTENSION postgres_fdw ADD FOREIGN DATA WRAPPER \"it's \"\"odd\"\"\"";
    let source = Database::with(&format!(
        "{}; {with_wrapper}; CREATE SERVER away FOREIGN DATA WRAPPER postgres_fdw; ALTER SERVER away OWNER TO l2_owner;
         CREATE SERVER \"o'dd\" TYPE ' FOREIGN DATA WRAPPER \"x''y\"' VERSION 'it''s' FOREIGN DATA WRAPPER \"it's \"\"odd\"\"\";
         ALTER SERVER \"o'dd\" OWNER TO l2_owner",
        closed_public("l2_restorer")
    ));
    let repo = Repo::new();
    repo.backup(&source, &[]);
    let target = owned_by("l2_restorer");
    target.execute(&format!(
        "{with_wrapper}; GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO l2_restorer;
         GRANT USAGE ON FOREIGN DATA WRAPPER \"it's \"\"odd\"\"\" TO l2_restorer WITH GRANT OPTION"
    ));
    let url = target.url_as("l2_restorer");
    let wrapper =
        "SELECT string_agg(fdwacl::text, ' | ' ORDER BY fdwname) FROM pg_foreign_data_wrapper";
    let before = target.one(wrapper);
    let run = repo.run(&["restore", "latest", "--url", &url, "--no-privileges"]).expect_code(15);
    assert!(
        !run.stderr.contains("is empty as before"),
        "not before the first write: {}",
        run.stderr
    );
    run.says(&["l2_owner", "GRANT USAGE ON FOREIGN DATA WRAPPER \"postgres_fdw\" TO"]);
    assert_eq!(target.one(wrapper), before);

    // Where it may be lent, it is, and is taken back.
    target.execute(
        "GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO l2_restorer WITH GRANT OPTION",
    );
    let before = target.one(wrapper);
    repo.ok(&["restore", "latest", "--url", &url, "--no-privileges"]);
    let owners = "SELECT string_agg(pg_get_userbyid(srvowner)::text, ' ') FROM pg_foreign_server";
    assert_eq!(target.one(owners), "l2_owner l2_owner");
    assert_eq!(target.one(wrapper), before);
}

/// An extension that whoever owns the database may create, with a wrapper that he may pass on.
#[allow(clippy::disallowed_methods, reason = "the test's own files")]
#[test]
fn the_new_owner_of_a_foreign_server_may_use_the_wrapper_of_an_extension_that_comes_with_it() {
    // Before 18 an extension must lie in the server's own folder.
    if server().major() < 18 {
        return;
    }
    for name in ["l4_owner", "l4_restorer"] {
        role(name, "");
    }
    admin("GRANT l4_owner TO l4_restorer");
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("extension");
    std::fs::create_dir(&folder).unwrap();
    let script = "CREATE FOREIGN DATA WRAPPER far; GRANT USAGE ON FOREIGN DATA WRAPPER far TO @extowner@ WITH GRANT OPTION";
    let (control, made) = (folder.join("far.control"), folder.join("far--1.sql"));
    write(&control, "default_version = '1'\ntrusted = true\n");
    write(&made, script);
    for path in [place.path(), &folder, &control, &made] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let (source, target) = (owned_by("l4_restorer"), owned_by("l4_restorer"));
    let path = place.path().display();
    for database in [&source, &target] {
        admin(&format!(
            "ALTER DATABASE {} SET extension_control_path = '$system:{path}'",
            database.name
        ));
    }
    source.execute(
        "CREATE EXTENSION far; CREATE SERVER away FOREIGN DATA WRAPPER far; ALTER SERVER away OWNER TO l4_owner",
    );
    admin(&format!("ALTER DATABASE {} RESET ALL", source.name));
    let repo = Repo::new();
    repo.backup(&source, &[]);
    let url = target.url_as("l4_restorer");
    repo.ok(&["restore", "latest", "--url", &url, "--no-privileges"]);
    let owner = "SELECT pg_get_userbyid(srvowner)::text FROM pg_foreign_server";
    assert_eq!(target.one(owner), "l4_owner");
    let may_use = "SELECT has_foreign_data_wrapper_privilege('l4_owner', 'far', 'USAGE')";
    assert_eq!(target.one(may_use), "false", "what was lent has been taken back");
}

#[test]
fn an_extension_that_is_there_keeps_the_comment_that_only_its_owner_may_set() {
    role("l3_restorer", "");
    let source = Database::with(&format!(
        "{}; CREATE EXTENSION hstore; CREATE EXTENSION citext; COMMENT ON EXTENSION citext IS 'the source''s'",
        closed_public("l3_restorer")
    ));
    let repo = Repo::new();
    repo.backup(&source, &[]);
    let target = owned_by("l3_restorer");
    target.execute("CREATE EXTENSION hstore; CREATE EXTENSION citext");
    let comments = "SELECT string_agg(obj_description(oid, 'pg_extension'), ' | ' ORDER BY extname)
                    FROM pg_extension";
    let before = target.one(comments);
    let url = target.url_as("l3_restorer");
    let run = repo
        .run(&["restore", "latest", "--url", &url])
        .expect_code(0)
        .says(&["extension citext belongs to postgres, and keeps the comment"]);
    assert!(!run.stderr.contains("hstore"), "{}", run.stderr);
    assert_eq!(target.one(comments), before);
}
