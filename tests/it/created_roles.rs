//! `restore --create-roles`: roles that the server lacks come back as they were, or not at all.

use crate::harness::{Database, Repo, admin, connect, pg_dump_schema, role, server};

/// All that is said of roles whose names begin with `prefix`.
fn roles(prefix: &str) -> Vec<String> {
    let sql = "SELECT text FROM (SELECT (to_jsonb(r) - 'oid' || jsonb_build_object('comment',
          shobj_description(oid, 'pg_authid')))::text AS text
         FROM pg_authid AS r WHERE starts_with(rolname::text, $1)
         UNION ALL
         SELECT (jsonb_build_object('member', member::regrole::text, 'role', roleid::regrole::text)
           || to_jsonb(m) - 'oid' - 'member' - 'roleid' - 'grantor')::text
         FROM pg_auth_members AS m WHERE starts_with(member::regrole::text, $1)) AS u ORDER BY 1";
    let rows = connect("postgres", "postgres").query(sql, &[&prefix]).unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// A database that roles with this prefix own and have privileges on.
fn of_roles(prefix: &str) -> Database {
    for (name, attributes) in [
        ("outer", "NOINHERIT CREATEDB"),
        ("group", ""),
        (
            "owner",
            "LOGIN CONNECTION LIMIT 7 VALID UNTIL '2031-02-03 04:05+00' PASSWORD 'r0-secret'",
        ),
        ("reader", "BYPASSRLS NOINHERIT"),
    ] {
        admin(&format!("CREATE ROLE {prefix}_{name} {attributes}"));
    }
    admin(&format!("GRANT {prefix}_outer TO {prefix}_group WITH ADMIN OPTION"));
    admin(&format!("GRANT {prefix}_group TO {prefix}_owner, {prefix}_reader"));
    admin(&format!("GRANT pg_monitor TO {prefix}_reader"));
    admin(&format!("COMMENT ON ROLE {prefix}_owner IS 'it''s theirs'"));
    let database = Database::with(&format!(
        "CREATE TABLE t (x int, y text); INSERT INTO t VALUES (1, 'a');
         ALTER TABLE t OWNER TO {prefix}_owner; GRANT SELECT (y) ON t TO {prefix}_reader;
         CREATE POLICY p ON t TO {prefix}_group USING (true)"
    ));
    admin(&format!("ALTER DATABASE {} OWNER TO {prefix}_owner", database.name));
    database
}

fn forget(source: Database, prefix: &str) {
    admin(&format!("DROP DATABASE {}", source.name));
    for name in ["reader", "owner", "group", "outer"] {
        admin(&format!("DROP ROLE {prefix}_{name}"));
    }
}

#[test]
fn missing_roles_come_back_with_attributes_and_memberships_and_without_passwords() {
    let source = of_roles("cr1");
    let (schema, before) = (pg_dump_schema(&source), roles("cr1"));
    let repo = Repo::new();
    repo.backup(&source, &[]);
    forget(source, "cr1");
    // One that is there stays as it is.
    admin("CREATE ROLE cr1_group CREATEDB");
    let target = Database::empty();
    let url = target.url();
    repo.run(&["restore", "latest", "--url", &url])
        .expect_code(15)
        .says(&["cr1_owner", "--create-roles"]);
    let run = repo.ok(&["restore", "latest", "--url", &url, "--create-roles", "--json"]);
    assert_eq!(run.json()["created_roles"], serde_json::json!(["cr1_owner", "cr1_reader"]));
    assert_eq!(pg_dump_schema(&target), schema);
    let secret = "'r0-secret'";
    assert!(!format!("{:?}", repo.files()).contains(secret));
    let after = roles("cr1");
    let of = |list: &[String], name: &str| -> Vec<String> {
        let mentions = |line: &&String| line.contains(&format!("\"{name}\""));
        // The password is the one thing that is not the same.
        let without_password = |line: &String| {
            let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
            value.as_object_mut().unwrap().remove("rolpassword");
            value.to_string()
        };
        list.iter().filter(mentions).map(without_password).collect()
    };
    for name in ["cr1_owner", "cr1_reader"] {
        assert_eq!(of(&after, name), of(&before, name));
        let password = "SELECT rolpassword IS NULL FROM pg_authid WHERE rolname = ";
        assert_eq!(target.one(&format!("{password}'{name}'")), "true");
    }
    assert!(of(&after, "cr1_outer").is_empty(), "{after:?}");
    assert_eq!(target.one("SELECT rolcreatedb FROM pg_roles WHERE rolname = 'cr1_group'"), "true");
}

#[test]
fn a_new_database_gets_its_owner_and_groups_of_groups_come_along() {
    let source = of_roles("cr2");
    let before = roles("cr2");
    let repo = Repo::new();
    repo.backup(&source, &[]);
    let name = source.name.clone();
    let url = source.url();
    forget(source, "cr2");
    // Nothing is begun without them, and the first to be missed is not the only one to be named.
    let run = repo.run(&["restore", "latest", "--url", &url, "--create"]).expect_code(15);
    let missing = "the server has no role PREFIX_group, PREFIX_owner, PREFIX_reader";
    run.says(&[&missing.replace("PREFIX", "cr2"), "--create-roles"]);
    repo.ok(&["restore", "latest", "--url", &url, "--create", "--create-roles"]);
    let without = |lines: Vec<String>| -> Vec<String> {
        lines.into_iter().map(|l| l.split("\"rolpassword\"").next().unwrap().to_owned()).collect()
    };
    assert_eq!(without(roles("cr2")), without(before));
    let owner: String = connect("postgres", "postgres")
        .query_one(
            "SELECT datdba::regrole::text FROM pg_database WHERE datname::text = $1",
            &[&name],
        )
        .unwrap()
        .get(0);
    assert_eq!(owner, "cr2_owner");
    admin(&format!("DROP DATABASE {name}"));
}

#[test]
fn a_restore_that_fails_takes_its_roles_back() {
    let source = of_roles("cr3");
    source.execute(&format!(
        "CREATE DOMAIN here AS int CHECK (current_database() = '{}');
         CREATE TABLE stays (x here[]); INSERT INTO stays VALUES ('{{1}}')",
        source.name
    ));
    let repo = Repo::new();
    repo.backup(&source, &[]);
    forget(source, "cr3");
    let target = Database::empty();
    let restore = ["restore", "latest", "--url", &target.url(), "--create-roles"];
    repo.run(&restore).expect_code(1).says(&["public.stays", "empty as before"]);
    assert_eq!(roles("cr3"), Vec::<String>::new());
    target.execute("CREATE TABLE there (x int)");
    repo.run(&restore).expect_code(15).says(&["is not empty"]);
    assert_eq!(roles("cr3"), Vec::<String>::new());
}

#[test]
fn roles_that_go_by_another_name_are_made_under_that() {
    let source = of_roles("cr5");
    let repo = Repo::new();
    repo.backup(&source, &[]);
    forget(source, "cr5");
    let target = Database::empty();
    repo.ok(&[
        "restore",
        "latest",
        "--url",
        &target.url(),
        "--create-roles",
        "--role-map",
        "cr5_owner=cr5_boss",
    ]);
    let owner = "SELECT relowner::regrole FROM pg_class WHERE relname = 't'";
    assert_eq!(target.one(owner), "cr5_boss");
    assert_eq!(target.one("SELECT pg_has_role('cr5_boss', 'cr5_outer', 'MEMBER')"), "true");
    assert_eq!(target.one("SELECT count(*) FROM pg_roles WHERE rolname = 'cr5_owner'"), "0");
}

#[test]
fn a_role_that_may_create_roles_restores_where_postgresql_lets_it_act_for_them() {
    let source = Database::with("CREATE TABLE t (x int)");
    role("cr4_owner", "");
    source.execute("ALTER TABLE t OWNER TO cr4_owner");
    let repo = Repo::new();
    repo.backup(&source, &[]);
    admin(&format!("DROP DATABASE {}", source.name));
    admin("DROP ROLE cr4_owner");
    role("cr4_maker", "CREATEROLE");
    let target = Database::empty();
    admin(&format!("ALTER DATABASE {} OWNER TO cr4_maker", target.name));
    // PostgreSQL lets a role own a table where it may create one, and privileges come last.
    target
        .execute("ALTER SCHEMA public OWNER TO cr4_maker; GRANT CREATE ON SCHEMA public TO PUBLIC");
    let url = target.url_as("cr4_maker");
    let run = repo.run(&[
        "restore",
        "latest",
        "--url",
        &url,
        "--create-roles",
        "--role-map",
        "postgres=cr4_maker",
    ]);
    if server().major() >= 16 {
        run.expect_code(0);
        assert_eq!(
            target.one("SELECT relowner::regrole FROM pg_class WHERE relname = 't'"),
            "cr4_owner"
        );
    } else {
        run.expect_code(15).says(&["may not act for", "cr4_owner"]);
        assert_eq!(roles("cr4_owner"), Vec::<String>::new());
    }
}
