use crate::harness::pooler::Pooler;
use crate::harness::{Database, Repo, Run};
use std::time::{Duration, Instant};

fn source() -> Database {
    Database::with("CREATE TABLE t AS SELECT generate_series(1, 1000) AS x")
}

#[test]
fn a_pool_that_moves_sessions_is_noticed_before_anything_is_set_in_it() {
    let source = source();
    for (mode, size) in [("transaction", 20), ("transaction", 1), ("statement", 20)] {
        let pooler = Pooler::start(mode, size);
        let begun = Instant::now();
        let (run, repo) = pooler.backup(&source);
        run.expect_code(17).says(&[
            &format!("127.0.0.1:{} is a connection pooler that moves sessions", pooler.port),
            "hint: connect to PostgreSQL itself, or to a pool in session mode",
        ]);
        assert!(begun.elapsed() < Duration::from_secs(20), "{mode} {size}: {:?}", begun.elapsed());
        assert_eq!(repo.files(), []);
    }
}

#[test]
fn a_pool_that_takes_no_options_is_said_to_be_one() {
    let source = source();
    let pooler = Pooler::start("transaction", 20);
    let url = format!("postgresql://postgres@127.0.0.1:{}/{}", pooler.port, source.name);
    let options = "options=-c%20work_mem%3D8MB";
    for (url, variable) in
        [(format!("{url}?sslmode=disable&{options}"), ""), (url, "-c work_mem=8MB")]
    {
        let repo = Repo::new();
        let mut command = repo.command(&["backup", "--url", &url, "--no-migrations"]);
        command.env("PGOPTIONS", variable);
        Run::from(command.output().unwrap()).expect_code(17).says(&[
            "is a connection pooler that takes no options",
            "unsupported startup parameter",
            "hint: connect to PostgreSQL itself, or to a pool in session mode",
            "without options (PGOPTIONS)",
        ]);
        assert_eq!(repo.files(), []);
    }
}

#[test]
fn through_a_pool_in_session_mode_a_backup_works() {
    let source = source();
    let pooler = Pooler::start("session", 20);
    let (run, repo) = pooler.backup(&source);
    run.expect_code(0);
    let target = Database::empty();
    repo.ok(&["restore", "a", "--url", &target.url()]);
    assert_eq!(target.one("SELECT sum(x) FROM t"), "500500");
    drop(pooler);
}
