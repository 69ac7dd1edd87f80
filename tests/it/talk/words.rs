//! Snapshots in tests/words. `scripts/golden-words` writes them anew; what has changed is
//! then to be read in the difference.

use super::signals::{kill, silent, soon, start};
use crate::harness::alembic::{Project, revision};
use crate::harness::archive::small_database;
use crate::harness::pooler::Pooler;
use crate::harness::secure::{backup, secure, write_in_place};
use crate::harness::server::{Server, Setup, free_port};
use crate::harness::{Database, Repo, Run, pgark, project};
use clap::CommandFactory;
use insta::Settings;
use pgark::cli::args::Arguments;
use std::path::Path;
use std::time::Duration;

/// Compares with tests/words/`name`.snap, with what changes from run to run replaced.
#[track_caller]
fn same(name: &str, text: &str, replaced: &[(&str, &str)]) {
    let mut settings = Settings::clone_current();
    settings.set_snapshot_path(project().join("tests/words"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (pattern, replacement) in replaced {
        settings.add_filter(pattern, *replacement);
    }
    settings.bind(|| insta::assert_snapshot!(name, text.trim_end()));
}

fn help(arguments: &[&str]) -> String {
    let mut command = pgark();
    // A terminal's width is not the test's.
    command.args(arguments).env("COLUMNS", "100");
    Run::from(command.output().unwrap()).expect_code(0).stdout
}

#[test]
fn every_help_text_is_as_it_was_written() {
    // What depends on the machine.
    let replaced = [(r"\[default: \d+\]\n(\s+-n|\s+--nice|)", "[default: N]\n$1")];
    same("help", &help(&["help"]), &replaced);
    same("help-exit-codes", &help(&["help", "exit-codes"]), &[]);
    assert_eq!(help(&["help", "exit-codes"]), help(&["exit-codes"]));
    let mut verbs = vec![(String::new(), Arguments::command())];
    while let Some((path, command)) = verbs.pop() {
        for verb in command.get_subcommands() {
            let name = verb.get_name();
            if matches!(name, "help" | "exit-codes") {
                continue;
            }
            let path = format!("{path} {name}");
            let words: Vec<&str> = path.split_whitespace().collect();
            let text = help(&[&words[..], &["--help"]].concat());
            let text = text.replace(&default_jobs(), "[default: JOBS]");
            same(&format!("help-{}", words.join("-")), &text, &[]);
            let short =
                help(&[&words[..], &["-h"]].concat()).replace(&default_jobs(), "[default: JOBS]");
            same(&format!("help-short-{}", words.join("-")), &short, &[]);
            verbs.push((path.clone(), verb.clone()));
        }
    }
}

/// The default of `--jobs` is this machine's number of processors.
fn default_jobs() -> String {
    let jobs = std::thread::available_parallelism().unwrap().get().min(8);
    format!("[default: {jobs}]")
}

/// What standard output and standard error said, and the exit code.
fn said(run: &Run) -> String {
    format!("exit code {}\n--- stdout\n{}--- stderr\n{}", run.code, run.stdout, run.stderr)
}

#[test]
fn every_summary_is_as_it_was_written() {
    let (repo, source, target) = (Repo::new(), small_database(), Database::empty());
    let repository = regex::escape(repo.path().to_str().unwrap());
    let (source_name, target_name) = (source.name.clone(), target.name.clone());
    let folder = regex::escape(source.server.folder().to_str().unwrap());
    let replaced = [
        (repository.as_str(), "REPO"),
        (folder.as_str(), "SOCKET"),
        (source_name.as_str(), "SOURCE"),
        (target_name.as_str(), "TARGET"),
        (r"PostgreSQL \d+\.\d+( \([^)]*\))?", "PostgreSQL N"),
        (r"\d+\.\d s\b", "T s"),
        (r"\d+(\.\d+)? (B|[KMG]iB)", "SIZE"),
        (r"[0-9a-f]{64}", "HASH"),
        (r"(?m)^(NAME .*?)  +", "$1  "),
        (r"  +", "  "),
        (r"process \d+", "process N"),
        (r"at byte \d+", "at byte N"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?", "WHEN"),
        (r"at [0-9A-F]+/[0-9A-F]+", "at LSN"),
        (r"pgark \d+\.\d+\.\d+", "pgark VERSION"),
        (r"(?m)^(ok|warning) +repository  .*$", "ok  repository  PLACE"),
    ];
    let project = crate::harness::archive::small_project(repo.path());
    let extracted = repo.path().join("people.copy").display().to_string();
    let (from, to) = (source.url(), target.url());
    let backup = ["backup", "--url", &from, "--name", "a", "--jobs", "1", "--migrations", &project];
    for (name, arguments, code) in [
        ("backup", &backup[..], 0),
        ("list", &["list"], 0),
        ("verify", &["verify", "a"], 0),
        ("restore", &["restore", "a", "--url", &to, "--jobs", "1"], 0),
        ("compare", &["compare", "a", "--with", &to], 0),
        ("compare-schema", &["compare", "a", "--with", &to, "--schema"], 0),
        (
            "restore-data-only",
            &["restore", "a", "--url", &to, "--data-only", "--on-existing", "truncate"],
            0,
        ),
        ("check", &["check", "--url", &from, "--no-migrations"], 0),
        ("show", &["show", "a"], 0),
        ("show-tables", &["show", "a", "--tables"], 0),
        ("extract", &["extract", "a", "--table", "people", "--output", &extracted], 0),
        ("extract-to-stdout", &["extract", "a", "--table", "people", "--format", "csv"], 0),
    ] {
        let run = repo.run(arguments).expect_code(code);
        same(&format!("summary-{name}"), &said(&run), &replaced);
    }
    let archive = repo.path().join("backups/a.tar");
    let sound = std::fs::read(&archive).unwrap();
    #[allow(clippy::disallowed_methods, reason = "the test's own files")]
    std::fs::write(&archive, &sound[..sound.len() - 3000]).unwrap();
    for (name, arguments) in [
        ("verify-damaged", &["verify", "a"][..]),
        ("show-damaged", &["show", "a"]),
        ("restore-damaged", &["restore", "a", "--url", &to, "--data-only"]),
    ] {
        let run = repo.run(arguments).expect_code(13);
        same(&format!("summary-{name}"), &said(&run), &replaced);
    }
    #[allow(clippy::disallowed_methods, reason = "the test's own files")]
    std::fs::write(&archive, &sound).unwrap();
    target.execute("UPDATE people SET name = 'Eve' WHERE id = 1");
    let run = repo.run(&["compare", "a", "--with", &to]).expect_code(4);
    same("summary-compare-differs", &said(&run), &replaced);
    let quietly = ["backup", "--url", &from, "--name", "b", "--jobs", "1", "--no-migrations", "-v"];
    let run = repo.run(&quietly).expect_code(0);
    same("summary-verbose", &said(&run), &replaced);
}

#[test]
fn every_error_is_as_it_was_written() {
    let (repo, source) = (Repo::new(), small_database());
    let repository = regex::escape(repo.path().to_str().unwrap());
    let folder = regex::escape(source.server.folder().to_str().unwrap());
    let name = source.name.clone();
    let replaced = [
        (repository.as_str(), "REPO"),
        (folder.as_str(), "SOCKET"),
        (name.as_str(), "SOURCE"),
        (r"process \d+", "process N"),
        (r"backend\(\d+\)", "backend(N)"),
        (r"transaction for \d+ s", "transaction for T s"),
    ];
    repo.backup(&source, &["--name", "accounts-1", "--no-migrations"]);
    let url = source.url();
    let server = |database: &str, role: &str| source.server.url(database, role);
    let nothing = server("no_such_database", "postgres");
    let nobody = server(&source.name, "no_such_role");
    let restored = ["restore", "accounts-1", "--url", &url];
    let cases: &[(&str, &[&str], i32)] = &[
        ("verb", &["bakcup"], 2),
        ("flag", &["backup", "--tabel", "x"], 2),
        ("no-verb", &[], 2),
        ("number", &["backup", "--jobs", "many"], 2),
        ("parameter", &["backup", "--url", "host=h sslmod=require"], 2),
        ("parameter-in-url", &["backup", "--url", "postgresql://u:s3cret@h/d?sslmod=require"], 2),
        ("value", &["backup", "--url", "host=h user=u sslmode=required"], 2),
        ("url", &["backup", "--url", "postgresql://u:s3cr@et@h/d"], 2),
        ("service", &["backup", "--url", "service=shop"], 10),
        ("archive", &["verify", "acounts-1"], 10),
        ("table", &["backup", "--url", &url, "--table", "peple"], 10),
        ("class", &["backup", "--url", &url, "--allow-missing", "polcy"], 2),
        ("name", &["backup", "--url", &url, "--name", "../x"], 2),
        ("name-taken", &["backup", "--url", &url, "--name", "accounts-1", "--no-migrations"], 15),
        ("refused", &["backup", "--url", "host=127.0.0.1 port=1 user=u dbname=d"], 17),
        ("folder", &["backup", "--url", "host=/no/such/folder user=u dbname=d"], 17),
        ("database", &["backup", "--url", &nothing], 17),
        ("role", &["backup", "--url", &nobody], 17),
        ("not-empty", &restored, 15),
        ("data-only", &["restore", "accounts-1", "--url", &url, "--table", "x"], 2),
    ];
    for (name, arguments, code) in cases {
        let mut command = repo.command(arguments);
        command.args(["--quiet"]).env("HOME", repo.path());
        if matches!(*name, "verb" | "no-verb") {
            command = pgark();
            command.args(*arguments);
        }
        let run = Run::from(command.output().unwrap());
        assert!(!said(&run).contains("s3cr"), "{run:?}");
        same(&format!("error-{name}"), &said(&run.expect_code(*code)), &replaced);
    }
    let mut holder = source.client();
    holder.batch_execute("BEGIN; LOCK TABLE people IN ACCESS EXCLUSIVE MODE").unwrap();
    let run = repo.run(&["backup", "--url", &url, "--lock-timeout", "1", "--no-migrations"]);
    same("error-lock", &said(&run.expect_code(11)), &replaced);
}

#[test]
fn settings_and_what_is_wrong_with_files_are_said_as_they_were_written() {
    let repo = Repo::new();
    let repository = regex::escape(repo.path().to_str().unwrap());
    let replaced = [(repository.as_str(), "REPO"), (r"(?m)^jobs +\d+ ", "jobs N "), (r"  +", "  ")];
    let folder = repo.path().to_str().unwrap();
    let init = Run::from(pgark().args(["init", folder]).output().unwrap()).expect_code(0);
    same("summary-init", &said(&init), &replaced);
    let settings = std::fs::read_to_string(repo.path().join("pgark.toml")).unwrap();
    same("summary-init-file", &settings, &[]);
    let in_folder = |arguments: &[&str]| {
        let mut command = pgark();
        Run::from(command.args(arguments).current_dir(repo.path()).output().unwrap())
    };
    same("summary-config", &said(&in_folder(&["config"]).expect_code(0)), &replaced);
    for (name, text, code) in [
        ("setting", "repositry = \"x\"\n", 2),
        ("shape", "[connection]\nurl = 3\n", 2),
        ("syntax", "jobs = \n", 2),
        ("value", "jobs = \"many\"\n", 2),
        ("both", "[migrations]\nnone = true\nfolder = \"x\"\n", 2),
    ] {
        write_in_place(&repo.path().join("pgark.toml"), text);
        let run = in_folder(&["verify", "x"]).expect_code(code);
        same(&format!("error-toml-{name}"), &said(&run), &replaced);
    }
    let gone = in_folder(&["list", "--config", "gone.toml"]).expect_code(10);
    same("error-toml-gone", &said(&gone), &replaced);
    std::fs::remove_file(repo.path().join("pgark.toml")).unwrap();
    for (name, text) in [
        ("command", "includ table x\n"),
        ("kind", "include tabel x\n"),
        ("pattern", "include table\n"),
        ("quote", "include table \"x\n"),
        ("nothing", "# nothing\n"),
    ] {
        write_in_place(&repo.path().join("patterns"), text);
        let run = in_folder(&["backup", "--filter", "patterns"]).expect_code(2);
        same(&format!("error-filter-{name}"), &said(&run), &replaced);
    }
}

#[test]
fn what_a_project_is_like_is_said_as_it_was_written() {
    let (repo, source) = (Repo::new(), small_database());
    let project = crate::harness::archive::small_project(repo.path());
    let repository = regex::escape(repo.path().to_str().unwrap());
    let folder = regex::escape(source.server.folder().to_str().unwrap());
    let name = source.name.clone();
    let replaced = [
        (repository.as_str(), "REPO"),
        (folder.as_str(), "SOCKET"),
        (name.as_str(), "SOURCE"),
        (r"  +", "  "),
    ];
    let url = source.url();
    let status = ["migrations", "status", "--migrations", &project];
    let run = |more: &[&str]| repo.run(&[&status[..], more].concat());
    same("summary-migrations-status", &said(&run(&["--url", &url])), &replaced);
    same("summary-migrations-status-files", &said(&run(&["--files-only"])), &replaced);
    source.execute("UPDATE alembic_version SET version_num = 'feedfacecafe'");
    same("summary-migrations-status-unknown", &said(&run(&["--url", &url])), &replaced);
}

#[test]
fn what_keeps_a_connection_from_being_encrypted_is_said_as_it_was_written() {
    let port = format!(":{}", secure().server.port());
    let files = regex::escape(secure().file("").to_str().unwrap());
    let replaced = [(port.as_str(), ":PORT"), (files.as_str(), "FILES/")];
    for (name, more, code) in [
        ("name", "host=other.example.test sslmode=verify-full sslrootcert={files}/root.crt", 17),
        ("issuer", "host=db.example.test sslmode=verify-full sslrootcert={files}/other.crt", 17),
        ("no-roots", "host=h sslmode=verify-full sslrootcert={files}/gone.crt", 2),
        (
            "no-list",
            "host=h sslmode=verify-ca sslrootcert={files}/root.crt sslcrl={files}/gone.crl",
            2,
        ),
        ("direct", "host=h sslmode=require sslnegotiation=direct", 17),
        ("too-weak", "host=h sslnegotiation=direct", 2),
        ("method", "host=h require_auth=md5", 17),
    ] {
        let run = backup(&secure().over_tcp("scram", more));
        assert!(!said(&run).contains("secret"), "{run:?}");
        same(&format!("error-tls-{name}"), &said(&run.expect_code(code)), &replaced);
    }
}

/// Standard output is a disk without room, and so is the repository's, by a limit on files.
#[test]
fn a_full_disk_is_said_as_it_was_written() {
    let (repo, source) = (Repo::new(), small_database());
    let repository = regex::escape(repo.path().to_str().unwrap());
    let replaced = [(repository.as_str(), "REPO")];
    repo.backup(&source, &["--name", "a", "--no-migrations"]);
    let mut extract = repo.command(&["extract", "a", "--schema"]);
    extract.stdout(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let run = Run::from(extract.output().unwrap()).expect_code(16);
    same("error-full-stdout", &said(&run), &replaced);
    let url = source.url();
    let file = repo.path().join("people.copy").display().to_string();
    let (man, init) = (repo.path().join("man"), repo.path().join("init"));
    for folder in [&man, &init] {
        std::fs::create_dir(folder).unwrap();
    }
    let (man, init) = (man.display().to_string(), init.display().to_string());
    for (name, kilobytes, arguments) in [
        ("backup", 8, &["backup", "--url", &url, "--no-migrations", "--name", "b"][..]),
        ("extract", 0, &["extract", "a", "--table", "people", "-o", &file]),
        ("man", 0, &["man", &man]),
        ("init", 0, &["init", &init]),
    ] {
        let plain = match name {
            "man" | "init" => {
                let mut plain = pgark();
                plain.args(arguments);
                plain
            }
            _ => repo.command(arguments),
        };
        let mut limited = std::process::Command::new("bash");
        limited.arg("-c").arg(format!("ulimit -f {kilobytes}; exec \"$@\"")).arg("sh");
        limited.arg(plain.get_program()).args(plain.get_args()).current_dir(repo.path());
        let run = Run::from(limited.output().unwrap()).expect_code(16);
        same(&format!("error-full-{name}"), &said(&run), &replaced);
    }
    assert_eq!(repo.files().len(), 2, "and nothing half-written");
}

#[test]
fn what_is_not_there_is_said_as_it_was_written() {
    let (repo, source) = (Repo::new(), small_database());
    let repository = regex::escape(repo.path().to_str().unwrap());
    let replaced = [(repository.as_str(), "REPO")];
    same("error-no-repository", &said(&repo.run(&["list"]).expect_code(10)), &replaced);
    let run = repo.run(&["verify", "latest"]).expect_code(10);
    same("error-no-repository-verify", &said(&run), &replaced);
    repo.backup(&source, &["--name", "a", "--no-migrations"]);
    let nowhere = repo.path().join("nowhere");
    let (nowhere, file) = (nowhere.display().to_string(), nowhere.join("y").display().to_string());
    let extract = ["extract", "a", "--table", "people", "-o", &file];
    same("error-no-folder", &said(&repo.run(&extract).expect_code(10)), &replaced);
    for verb in ["init", "man"] {
        let run = Run::from(pgark().args([verb, &nowhere]).output().unwrap()).expect_code(10);
        same(&format!("error-no-folder-{verb}"), &said(&run), &replaced);
    }
    same("error-latest", &said(&repo.run(&["verify", "latst"]).expect_code(10)), &replaced);
    let typed = format!("latets:{}", source.name);
    let replaced = [(repository.as_str(), "REPO"), (source.name.as_str(), "SOURCE")];
    let run = repo.run(&["verify", &typed]).expect_code(10);
    same("error-latest-of", &said(&run), &replaced);
}

/// Under the default sslmode, where the server encrypts and where it does not.
#[test]
fn a_wrong_password_is_said_as_it_was_written() {
    let hba = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
    let prepare = |_: &Path, data: &Path| write_in_place(&data.join("pg_hba.conf"), hba);
    let port = free_port();
    let settings = [String::from("listen_addresses=127.0.0.1")];
    let setup = Setup { name: "in_the_clear", port, settings: &settings, prepare: &prepare };
    let clear = Server::start_with(&setup);
    clear.role("scram", "PASSWORD 'secret'");
    let encrypting = secure().server.port();
    for (name, port) in [("encrypting", encrypting), ("in-the-clear", port)] {
        let run = backup(&format!(
            "host=127.0.0.1 port={port} user=scram dbname=postgres password=wr0ng"
        ));
        assert!(!said(&run).contains("wr0ng"), "{run:?}");
        let port = format!(":{port}");
        same(&format!("error-password-{name}"), &said(&run.expect_code(17)), &[(&port, ":PORT")]);
    }
    // Each way fails for a reason of its own: the server's words come first.
    let run = backup(&format!(
        "host=127.0.0.1 port={encrypting} user=only_tls dbname=shop sslmode=prefer sslrootcert={}",
        secure().file("other.crt").display()
    ));
    let (port, file) =
        (format!(":{encrypting}"), regex::escape(secure().file("").to_str().unwrap()));
    let replaced = [(port.as_str(), ":PORT"), (file.as_str(), "FILES/")];
    same("error-two-ways", &said(&run.expect_code(17)), &replaced);
}

#[test]
fn a_pool_is_said_to_be_one_as_it_was_written() {
    let pooler = Pooler::start("transaction", 20);
    let (run, repo) = pooler.backup(&small_database());
    let (port, repository) =
        (format!(":{}", pooler.port), regex::escape(repo.path().to_str().unwrap()));
    let replaced = [(port.as_str(), ":PORT"), (repository.as_str(), "REPO")];
    same("error-pooler", &said(&run.expect_code(17)), &replaced);
}

#[test]
fn an_interruption_is_said_as_it_was_written() {
    let (repo, source) = (Repo::new(), small_database());
    repo.backup(&source, &["--name", "a", "--no-migrations"]);
    let (listener, url) = silent();
    let url = format!("{url} dbname=d");
    for (verb, arguments) in [
        ("backup", &["backup", "--url", &url, "--no-migrations"][..]),
        ("restore", &["restore", "a", "--url", &url]),
        ("compare", &["compare", "a", "--with", &url]),
        ("check", &["check", "--url", &url, "--no-migrations"]),
    ] {
        let run = start(&mut repo.command(arguments));
        let (_asked, _) = listener.accept().unwrap();
        kill(run.id(), 15);
        let run = soon(run, Duration::from_secs(2)).expect_code(143);
        same(&format!("error-interrupted-{verb}"), &said(&run), &[]);
    }
}

#[test]
fn what_became_of_migrations_is_said_as_it_was_written() {
    // All databases of a server are looked into, and what other tests hold there would be named.
    let setup = Setup { name: "migrations", port: 5432, settings: &[], prepare: &|_, _| {} };
    let own: &'static Server = Box::leak(Box::new(Server::start_with(&setup)));
    let (repo, live) = (Repo::new(), Database::empty_on(own));
    let step = |id: &str, down: &str, table: &str| {
        let create =
            format!("op.create_table('{table}', sa.Column('id', sa.Integer(), primary_key=True))");
        (format!("migrations/versions/{id}.py"), revision(id, down, &create))
    };
    let files = [
        step("wo1", "None", "people"),
        step("wo2", "'wo1'", "orders"),
        step("wo3", "'wo2'", "events"),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect();
    let folder = regex::escape(live.server.folder().to_str().unwrap());
    let repository = regex::escape(repo.path().to_str().unwrap());
    for (name, options) in [("", &[][..]), ("-keep", &["--keep", "wo2,wo3"])] {
        let project = Project::of(&files);
        let place = regex::escape(project.path().to_str().unwrap());
        if name.is_empty() {
            project.alembic(&live, &["upgrade", "head"]);
        }
        let database = live.name.clone();
        let replaced = [
            (place.as_str(), "PROJECT"),
            (repository.as_str(), "REPO"),
            (folder.as_str(), "SOCKET"),
            (r"20\d{6}T?-?\d{6}(\.\d+)?Z?", "WHEN"),
            (database.as_str(), "LIVE"),
            (r"\d+\.\d s\b", "T s"),
            (r"\(\d+ objects\)", "(N objects)"),
            (r"[0-9a-f]{64}", "HASH"),
            (r"(PostgreSQL|Alembic|Python) \d+(\.\d+)+( \([^)]*\))?", "$1 N"),
        ];
        let run = |arguments: &[&str]| said(&project.run(&repo, &live, arguments).expect_code(0));
        let consolidated = run(&[&["consolidate"][..], options].concat());
        same(&format!("summary-migrations-consolidate{name}"), &consolidated, &replaced);
        if name.is_empty() {
            same("summary-migrations-verify", &run(&["verify", "latest"]), &replaced);
            same("summary-migrations-rollback", &run(&["rollback", "latest"]), &replaced);
        }
    }
}
