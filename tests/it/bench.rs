//! `scripts/bench` with small databases: it measures every row, and leaves nothing behind.

use crate::harness::server::pg_dump;
use crate::harness::{connect, project, server};
use assert_cmd::cargo::cargo_bin;
use std::process::Command;

#[test]
fn a_quick_run_measures_every_row_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (work, report) = (folder.path().join("work"), folder.path().join("report.md"));
    std::fs::create_dir(&work).unwrap();
    let (before, after) = ("# Before\n", "# After\n");
    let markers = "<!-- scripts/bench writes from here … -->\nold\n<!-- … to here -->";
    #[allow(clippy::disallowed_methods, reason = "the test's own files")]
    std::fs::write(&report, format!("{before}{markers}{after}")).unwrap();
    // The peers of the server's own version, and where it brings none, the newest.
    let client = pg_dump().parent().unwrap().to_owned();
    let mut path = vec![server().binaries().to_owned(), client];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
    let output = Command::new(project().join("scripts/bench"))
        .args(["--quick", "--pgark"])
        .arg(cargo_bin("pgark"))
        .arg("--work")
        .arg(&work)
        .arg("--report")
        .arg(&report)
        .arg("--numbers")
        .arg(folder.path().join("numbers.json"))
        .env("PATH", std::env::join_paths(path).unwrap())
        .env("PGHOST", server().folder())
        .env("PGPORT", "5432")
        .env("PGUSER", "postgres")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");

    let text = std::fs::read_to_string(&report).unwrap();
    assert!(text.starts_with(before) && text.ends_with(after) && !text.contains("old"), "{text}");
    for row in [
        "| backup, mixed database | `pg_dump -Fd",
        "| archive size, mixed database |",
        "| backup, one large table | `pg_dump -Fd",
        "| backup, mixed database | `pg_dump -Fc` |",
        "| restore into an empty database, with indexes and keys | `pg_restore",
        "| backup, 60 small tables | `pg_dump -Fd",
        "| backup beside the limit |",
        "| peak memory of pgark, all of these runs |",
        "| reading the rows (shared) |",
        "| loading the rows (shared) |",
        "| 10 | ",
        "| 40 | ",
    ] {
        assert!(text.contains(row), "{row} is missing:\n{said}\n{text}");
    }
    assert!(!text.contains("unknown"), "the server's time and the memory were counted: {text}");
    // Few machines have pgcopydb.
    let copied = text.contains("`pgcopydb clone");
    assert!(copied || text.contains("copy from database to database: there is no pgcopydb"));
    let picture = std::fs::read_to_string(report.with_extension("svg")).unwrap();
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"), "{picture}");

    let left = "SELECT count(*) FROM pg_database WHERE datname LIKE 'pgark_bench_%'";
    let left: i64 = connect("postgres", "postgres").query_one(left, &[]).unwrap().get(0);
    assert_eq!(left, 0);
    assert_eq!(std::fs::read_dir(&work).unwrap().count(), 0);
}
