use super::signals::{kill, two_signals};
use crate::harness::terminal::Terminal;
use crate::harness::{Database, Repo};
use std::time::Duration;

/// Two tables of some megabytes each.
fn source() -> Database {
    Database::with(
        "CREATE TABLE first AS SELECT i, repeat('x', 900) AS t FROM generate_series(1, 6000) AS i;
         CREATE TABLE second AS SELECT i, repeat('y', 900) AS t FROM generate_series(1, 6000) AS i",
    )
}

/// A backup that takes some seconds.
fn slowly(repo: &Repo, source: &Database) -> std::process::Command {
    let url = source.url();
    repo.command(&[
        "backup",
        "--url",
        &url,
        "--jobs",
        "2",
        "--rate-limit",
        "3MB",
        "--no-migrations",
        "--name",
        "a",
    ])
}

#[test]
fn a_terminal_shows_the_whole_and_each_worker_and_is_clean_in_the_end() {
    let (source, repo) = (source(), Repo::new());
    let mut terminal = Terminal::run(&slowly(&repo, &source), 24, 100);
    let screen = terminal.wait_for("two workers", |screen| {
        screen.contains("public.first")
            && screen.contains("public.second")
            && screen.contains("iB/s")
    });
    let lines: Vec<&str> = screen.lines().collect();
    let whole = lines.iter().find(|line| line.starts_with("reading the rows")).unwrap();
    assert!(whole.contains('[') && whole.contains("iB/s"), "{screen}");
    terminal.wait_for("the time left", |screen| screen.contains(" s left"));
    let (code, screen) = terminal.end();
    assert_eq!(code, 0, "{screen}");
    assert!(!screen.contains("reading") && !screen.contains('%'), "{screen}");
    assert!(screen.trim_start().starts_with("archive: "), "nothing is left above: {screen}");
    assert!(screen.contains("12,000 rows") && screen.contains("proved: "), "{screen}");
    // Honest from the first second: never more than done, never backwards within the phase.
    let mut last = 0;
    let mut seen = 0;
    for screen in terminal.history() {
        let line = screen.lines().find(|line| line.starts_with("reading the rows"));
        let Some(percent) = line.and_then(|line| line.split('%').next()?.rsplit(' ').next()) else {
            continue;
        };
        let Ok(percent) = percent.parse::<u32>() else { continue };
        assert!((last..=100).contains(&percent), "{percent} after {last}");
        (last, seen) = (percent, seen + 1);
    }
    assert!(seen > 5 && last >= 50, "{seen} screens, the last with {last} %");
}

#[test]
fn at_the_usual_width_the_bar_stays_beside_the_time_that_is_left() {
    let (source, repo) = (source(), Repo::new());
    let mut terminal = Terminal::run(&slowly(&repo, &source), 24, 80);
    let is_whole = |screen: &str| {
        screen.lines().any(|line| line.contains(" left") && line.starts_with("reading the rows"))
    };
    let screen = terminal.wait_for("the time left", is_whole);
    let line = screen.lines().find(|line| line.starts_with("reading the rows")).unwrap();
    let inside = line.split_once('[').unwrap().1.split_once(']').unwrap().0;
    assert!(inside.len() >= 10, "{line}");
    assert_eq!(terminal.end().0, 0);
}

#[test]
fn narrow_and_changing_screens_stay_clean() {
    let (source, repo) = (source(), Repo::new());
    let mut terminal = Terminal::run(&slowly(&repo, &source), 10, 40);
    let screen = terminal.wait_for("a worker", |screen| screen.contains("public.fir"));
    assert!(screen.lines().all(|line| line.chars().count() < 40), "{screen}");
    terminal.resize(3, 30);
    terminal.wait_for("a small screen", |screen| screen.contains("reading the rows"));
    terminal.resize(24, 100);
    let (code, screen) = terminal.end();
    assert_eq!(code, 0, "{screen}");
    assert!(screen.contains("proved: "), "{screen}");
    assert_eq!(screen.matches("% ").count(), 0, "{screen}");
}

#[test]
fn a_terminal_that_cannot_draw_gets_plain_lines() {
    let source = source();
    for kind in ["dumb", ""] {
        let repo = Repo::new();
        let mut command = slowly(&repo, &source);
        command.env("TERM", kind).args(["--progress", "1"]);
        let mut terminal = Terminal::run(&command, 50, 120);
        let (code, screen) = terminal.end();
        assert_eq!(code, 0, "{screen}");
        assert!(screen.contains("pgark: reading the rows: "), "{screen}");
        assert!(!terminal.bytes().contains('\u{1b}'), "{:?}", terminal.bytes());
    }
}

#[test]
fn no_colour_where_it_is_not_wanted_and_the_error_stands_out_where_it_is() {
    let repo = Repo::new();
    let wrong = repo.command(&["verify", "nothing"]);
    let mut terminal = Terminal::run(&wrong, 10, 100);
    assert_eq!(terminal.end().0, 10);
    assert!(terminal.bytes().contains("\u{1b}[31m"), "{:?}", terminal.bytes());
    let mut wrong = repo.command(&["verify", "nothing"]);
    wrong.env("NO_COLOR", "1");
    let mut terminal = Terminal::run(&wrong, 10, 100);
    assert_eq!(terminal.end().0, 10);
    assert!(!terminal.bytes().contains("\u{1b}[3"), "{:?}", terminal.bytes());
    let run = repo.run(&["verify", "nothing"]).expect_code(10);
    assert!(!run.stderr.contains('\u{1b}'), "{}", run.stderr);
}

#[test]
fn notes_and_warnings_stand_above_the_bar() {
    let (source, repo) = (source(), Repo::new());
    source.execute("SELECT lo_from_bytea(0, 'x')");
    let mut command = slowly(&repo, &source);
    command.args(["--table", "first", "--table", "second", "-v"]);
    let mut terminal = Terminal::run(&command, 40, 120);
    let (code, screen) = terminal.end();
    assert_eq!(code, 0, "{screen}");
    let position = |text: &str| screen.find(text).unwrap_or_else(|| panic!("no {text}: {screen}"));
    assert!(position("warning: 1 large object is left out") < position("public.first: 6,000 rows"));
    assert!(position("connected to database") < position("archive: "));
}

#[test]
fn a_log_gets_a_line_for_each_phase_and_one_from_time_to_time() {
    let (source, repo) = (source(), Repo::new());
    let mut command = slowly(&repo, &source);
    command.args(["--progress", "1"]);
    let run = crate::harness::Run::from(command.output().unwrap()).expect_code(0);
    let phases = [
        "connecting",
        "locking the tables",
        "reading the schema",
        "reading the rows",
        "writing the manifest",
        "syncing",
        "reading the archive again",
        "publishing",
    ];
    let mut rest = run.stderr.as_str();
    for phase in phases {
        let line = format!("pgark: {phase}\n");
        let at = rest.find(&line).unwrap_or_else(|| panic!("no {phase} in {}", run.stderr));
        rest = &rest[at..];
    }
    let lines: Vec<&str> =
        run.stderr.lines().filter(|line| line.starts_with("pgark: reading the rows: ")).collect();
    assert!((2..9).contains(&lines.len()), "{}", run.stderr);
    assert!(lines[1].contains("% ") || lines[1].contains("%, "), "{}", run.stderr);
    assert!(!run.stderr.contains('\u{1b}') && !run.stderr.contains('\r'), "{}", run.stderr);
}

#[test]
fn a_program_hears_events_and_the_result_last() {
    let (source, repo) = (source(), Repo::new());
    let mut command = slowly(&repo, &source);
    command.args(["--json", "--progress", "1", "--verbose"]);
    let run = crate::harness::Run::from(command.output().unwrap()).expect_code(0);
    assert!(!run.stderr.contains("reading"), "{}", run.stderr);
    let events = run.events();
    let of = |kind: &'static str| events.iter().filter(move |event| event["event"] == kind);
    let phase = of("phase").find(|event| event["phase"] == "reading the rows").unwrap();
    assert!(phase["bytes"].as_u64().unwrap() > 10 << 20, "{phase}");
    let progress: Vec<f64> = of("progress")
        .filter(|event| event["phase"] == "reading the rows")
        .map(|event| event["fraction"].as_f64().unwrap())
        .collect();
    assert!(progress.len() >= 2 && progress.is_sorted() && progress[0] > 0.0, "{progress:?}");
    let done: Vec<_> = of("done").map(|event| (&event["name"], &event["rows"])).collect();
    for table in ["public.first", "public.second"] {
        assert!(done.contains(&(&table.into(), &6000.into())), "{done:?}");
    }
    assert!(of("detail").any(|event| event["text"].as_str().unwrap().starts_with("connected to")));
    let result = events.last().unwrap();
    assert_eq!((&result["event"], &result["exit_code"]), (&"result".into(), &0.into()));
    assert_eq!(of("result").count(), 1);
    // What the document names is what there is.
    let document = std::fs::read_to_string(crate::harness::project().join("docs/json.md")).unwrap();
    for event in &events {
        let kind = event["event"].as_str().unwrap();
        assert!(document.contains(&format!("`{kind}`")), "docs/json.md does not name {kind}");
        for field in event.as_object().unwrap().keys() {
            assert!(document.contains(&format!("`{field}`")), "docs/json.md does not name {field}");
        }
    }
}

/// A role of the server with TLS, which asks for a password.
fn asks(repo: &Repo) -> std::process::Command {
    let secure = crate::harness::secure::secure();
    let url = format!(
        "host=127.0.0.1 port={} dbname=shop user=scram sslmode=require",
        secure.server.port()
    );
    let mut command = repo.command(&["backup", "--url", &url, "--no-migrations", "--name", "a"]);
    command.env("HOME", repo.path());
    command
}

#[test]
fn a_password_is_asked_for_and_never_shown() {
    let repo = Repo::new();
    let mut terminal = Terminal::run(&asks(&repo), 24, 100);
    terminal.wait_for("a question", |screen| screen.contains("Password for user scram:"));
    assert!(!terminal.echoes());
    terminal.type_in("secret\r");
    let (code, screen) = terminal.end();
    assert_eq!(code, 0, "{screen}");
    assert!(!terminal.bytes().contains("secret"), "{:?}", terminal.bytes());
    let manifest = std::fs::read_to_string(repo.path().join("manifests/a.json")).unwrap();
    assert!(!manifest.contains("secret"));

    let repo = Repo::new();
    let mut terminal = Terminal::run(&asks(&repo), 24, 100);
    terminal.wait_for("a question", |screen| screen.contains("Password for user"));
    terminal.type_in("wrong\r");
    let (code, screen) = terminal.end();
    assert_eq!(code, 17, "{screen}");
    assert!(screen.contains("password authentication failed") && !screen.contains("wrong"));
}

#[test]
fn whoever_gives_up_at_the_question_gets_the_terminal_back() {
    for (signal, code) in [(None, 130), (Some(15), 143), (Some(2), 130), (Some(1), 129)] {
        let repo = Repo::new();
        let mut terminal = Terminal::run(&asks(&repo), 24, 100);
        terminal.wait_for("a question", |screen| screen.contains("Password for user"));
        // The terminal's ways are changed just after the question is written.
        std::thread::sleep(Duration::from_millis(200));
        assert!(!terminal.echoes());
        match signal {
            None => terminal.type_in("\u{3}"),
            Some(signal) => {
                let process = terminal.process().to_string();
                let sent = std::process::Command::new("kill")
                    .args([format!("-{signal}"), process])
                    .status();
                assert!(sent.unwrap().success());
            }
        }
        let (ended, screen) = terminal.end();
        assert_eq!(ended, code, "{signal:?}: {screen}");
        assert!(screen.contains("interrupted by a signal"), "{screen}");
        assert!(terminal.echoes(), "{signal:?}");
        assert_eq!(repo.files(), []);
    }
}

#[test]
fn a_second_signal_takes_the_bar_away_and_says_what_is_left() {
    let source = Database::with(
        "CREATE TABLE t AS SELECT i, repeat('x', 900) AS t FROM generate_series(1, 20000) AS i",
    );
    let (repo, url) = (Repo::new(), source.url());
    let mut command = repo.command(&["backup", "--url", &url, "--no-migrations", "--jobs", "1"]);
    let mut terminal = Terminal::run(command.args(["--rate-limit", "2MB"]), 24, 120);
    terminal.wait_for("a bar", |screen| screen.contains("reading the rows"));
    let process = two_signals(&source, terminal.process());
    let (code, screen) = terminal.end();
    kill(process, 18);
    assert_eq!(code, 130, "{screen}");
    let last = screen.lines().last().unwrap();
    assert!(last.starts_with("pgark: ended at once by a second signal (SIGINT): "), "{screen}");
    assert!(!screen.contains("reading the rows"), "{screen}");
}

#[test]
fn the_password_is_asked_for_before_connecting_if_that_is_wanted() {
    let repo = Repo::new();
    for flag in ["-W", "--password"] {
        let mut command = repo.command(&["backup", "--url", "host=127.0.0.1 port=1 user=u", flag]);
        command.env("PGPASSWORD", "another").env("HOME", repo.path());
        let mut terminal = Terminal::run(&command, 24, 100);
        terminal.wait_for("a question", |screen| screen.contains("Password for user u:"));
        assert!(!terminal.screen().contains("Connection refused"));
        terminal.type_in("s3cret\r");
        let (code, screen) = terminal.end();
        assert_eq!(code, 17, "{screen}");
        assert!(screen.contains("Connection refused") && !screen.contains("s3cret"), "{screen}");
    }
    repo.run(&["backup", "-W", "-w"]).expect_code(2).says(&["cannot be used with"]);
}
