//! Without pgark: the archive's own README and script bring everything back with `tar`, `zstd`,
//! `sha256sum` and `psql` alone.

use crate::harness::archive::small_database;
use crate::harness::{Database, Repo, pg_dump_schema, server};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Unpacks an archive as its README says, and gives the folder.
fn unpack(repo: &Repo, archive: &Path) -> PathBuf {
    let folder = repo.path().join("unpacked");
    std::fs::create_dir(&folder).unwrap();
    shell("sh", &folder, None, &format!("tar -xf '{}'", archive.display()));
    shell("sh", &folder, None, "sha256sum -c SHA256SUMS");
    folder
}

#[track_caller]
fn shell(shell: &str, folder: &Path, database: Option<&Database>, script: &str) -> String {
    let mut command = Command::new(shell);
    command.arg("-c").arg(script).current_dir(folder).env_remove("PGCLIENTENCODING");
    command.env("PGHOST", server().folder()).env("PGUSER", "postgres");
    if let Some(database) = database {
        command.env("PGDATABASE", &database.name);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{script}: {said}{}", String::from_utf8_lossy(&output.stdout));
    assert!(said.is_empty(), "{script} said {said}");
    String::from_utf8(output.stdout).unwrap()
}

fn bash_and_dash() -> Vec<&'static str> {
    let exists = |name: &&str| Command::new(name).args(["-c", "true"]).status().is_ok();
    ["dash", "bash"].into_iter().filter(exists).collect()
}

#[track_caller]
fn restored_by_hand_is_equal(source: &Database, options: &str) {
    let repo = Repo::new();
    let archive = repo.backup(source, &["--no-migrations"]);
    let folder = unpack(&repo, &archive);
    for name in bash_and_dash() {
        let target = Database::create(options);
        shell(name, &folder, Some(&target), &format!("{name} restore-by-hand.sh"));
        let run = repo.ok(&["compare", archive.to_str().unwrap(), "--with", &target.url()]);
        assert!(run.stdout.starts_with("equal: "), "{name}: {}", run.stdout);
        assert_eq!(pg_dump_schema(source), pg_dump_schema(&target), "{name}");
    }
}

#[test]
fn the_example_comes_back_by_hand() {
    restored_by_hand_is_equal(&Database::fintrack(1), "TEMPLATE template0");
}

#[test]
fn hostile_names_and_large_objects_come_back_by_hand() {
    let source = small_database();
    source.execute(
        r#"CREATE TABLE "$(touch pwned)" ("`touch pwned`" int, "a'b" text);
           INSERT INTO "$(touch pwned)" VALUES (1, '\.'), (2, NULL);
           CREATE TABLE "
EOF
touch pwned" ("%s \n" int);
           INSERT INTO "
EOF
touch pwned" VALUES (1);
           CREATE SCHEMA "-rf *";
           CREATE TABLE "-rf *"."; \! touch pwned" (a int);
           INSERT INTO "-rf *"."; \! touch pwned" VALUES (1);
           COMMENT ON LARGE OBJECT 4711 IS 'it''s
EOF
\! touch pwned
:name :''name'';';
           GRANT SELECT ON LARGE OBJECT 4711 TO PUBLIC;"#,
    );
    restored_by_hand_is_equal(&source, "TEMPLATE template0");
    let target = Database::empty();
    let repo = Repo::new();
    let archive = repo.backup(&source, &["--no-migrations"]);
    let folder = unpack(&repo, &archive);
    shell("sh", &folder, Some(&target), "sh restore-by-hand.sh");
    assert!(!folder.join("pwned").exists());
    let comment = "SELECT obj_description(4711, 'pg_largeobject')";
    assert_eq!(target.one(comment), source.one(comment));
    let access = "SELECT string_agg(lomacl::text, ',') FROM pg_largeobject_metadata";
    assert_eq!(target.one(access), source.one(access));
}

#[test]
fn a_latin1_database_with_names_beyond_ascii_comes_back_by_hand() {
    let options = "TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'";
    let source = Database::create(options);
    source.execute(
        "CREATE TABLE \"größe\" (\"été\" text, n int);
         INSERT INTO \"größe\" VALUES ('Ärger', 1), ('\u{e9}\u{ff}', 2);
         CREATE TABLE zweite AS SELECT 'ü'::text AS a;
         CREATE VIEW \"sicht_ö\" AS SELECT * FROM \"größe\";",
    );
    restored_by_hand_is_equal(&source, options);
}

#[test]
fn one_table_comes_back_with_tar_zstd_and_psql() {
    let (source, repo) = (small_database(), Repo::new());
    let archive = repo.backup(&source, &["--no-migrations"]);
    let folder = unpack(&repo, &archive);
    let readme = std::fs::read_to_string(folder.join("README.txt")).unwrap();
    assert!(readme.contains("zstd -dcq data/NUMBER-SCHEMA.TABLE/*.zst |"), "{readme}");
    assert!(readme.contains("PGCLIENTENCODING=UTF8 psql -X -c 'COPY ... FROM STDIN'"), "{readme}");
    let script = std::fs::read_to_string(folder.join("restore-by-hand.sh")).unwrap();
    let line = script.lines().find(|line| line.contains("public.people ")).unwrap();
    let mut words = line.splitn(3, ' ');
    assert_eq!(words.next(), Some("load"));
    let (members, copy) = (words.next().unwrap(), words.next().unwrap());
    let target = Database::with("CREATE TABLE people (id int, name text, born date)");
    shell(
        "sh",
        &folder,
        Some(&target),
        &format!("zstd -dcq {members}/*.zst |\n    PGCLIENTENCODING=UTF8 psql -X -q -c {copy}"),
    );
    let rows = "SELECT json_agg(p ORDER BY id) FROM people AS p";
    assert_eq!(target.one(rows), source.one(rows));
}
