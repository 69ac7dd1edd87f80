//! Results and errors, for people and as JSON.

use super::configuration::Refusal;
use super::events;
use super::exit::ExitCode;
use super::output::STDOUT;
use super::progress::lines::duration;
use super::progress::to_stderr;
use crate::error::{Error, Kind, QUOTED, Result};
use crate::model::name::{Printable, counted, enumerate};
use crate::ops::{backup, verify};
use crate::rules::secrets::hide;
use indicatif::{HumanBytes, HumanCount};
use serde_json::{Value, json};
use signal_hook::consts::SIGPIPE;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

mod check;
mod checklist;
mod compare;
mod config;
mod consolidate;
mod extract;
mod list;
mod restore;
mod schema_diff;
mod show;
mod status;
mod table;

pub use check::check;
pub use checklist::{checklist, rollback};
pub use compare::compare;
pub use config::config;
pub use consolidate::{code as consolidated, consolidate};
pub use extract::extract;
pub use list::list;
pub use restore::{copy, restore};
pub use show::show;
pub use status::status;

/// Writes to standard output. A reader that went away (`| head`) is no failure.
pub fn to_stdout(text: &str) -> Result<()> {
    match STDOUT.line(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::io("cannot write to standard output", error))
        }
        _ => Ok(()),
    }
}

/// Prints a result, the last line of what `--json` prints.
fn print_json(value: Value) -> Result<()> {
    to_stdout(&events::result(value))
}

/// Prints a text of the manual.
pub fn text(text: &str) -> ExitCode {
    match to_stdout(text) {
        Ok(()) => ExitCode::Done,
        Err(failed) => {
            error(&failed, false);
            ExitCode::from(failed.kind())
        }
    }
}

/// Standard output for a stream of bytes. A reader that went away ends the run as the signal would
/// that other programs get then: what came before is not whole.
pub fn stream() -> impl FnMut(&[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    move |piece| {
        let written = out.write_all(piece).and_then(|()| out.flush());
        written.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => {
                Error::new(Kind::Interrupted(SIGPIPE), "nobody reads standard output any more")
            }
            _ => Error::io("cannot write to standard output", error),
        })
    }
}

/// Fails where standard output is closed, and what is written there would be lost.
///
/// The runtime opens `/dev/null` for reading and writing in its place; who sends something there on
/// purpose (`> /dev/null`) has it opened for writing.
///
/// # Errors
/// The system's.
pub fn check_stream() -> Result<()> {
    let failed =
        |error: rustix::io::Errno| Error::io("cannot look at standard output", error.into());
    let out = io::stdout();
    let status = rustix::fs::fstat(&out).map_err(failed)?;
    let flags = rustix::fs::fcntl_getfl(&out).map_err(failed)?;
    let null = rustix::fs::makedev(1, 3);
    let is_device = rustix::fs::FileType::from_raw_mode(status.st_mode).is_char_device();
    if is_device && status.st_rdev == null && flags.contains(rustix::fs::OFlags::RDWR) {
        return Err(Error::failed("standard output is closed")
            .hint("name a file with --output, or send standard output somewhere"));
    }
    Ok(())
}

/// A path for people, on one line whatever its name.
pub fn shown(path: &Path) -> String {
    Printable(&path.to_string_lossy()).to_string()
}

fn took(elapsed: Duration) -> String {
    match elapsed.as_secs() {
        0..60 => format!("{:.1} s", elapsed.as_secs_f64()),
        _ => duration(elapsed),
    }
}

/// So many of something, with commas between thousands.
fn many(count: u64, what: &str) -> String {
    format!("{} {what}{}", HumanCount(count), if count == 1 { "" } else { "s" })
}

/// Lines of a name and a value each, with the values below each other.
fn facts(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let lines: Vec<String> =
        facts.iter().map(|(name, value)| format!("{name:>width$}: {value}")).collect();
    lines.join("\n")
}

/// The result of `pgark backup`.
pub fn backup(summary: &backup::Summary, code: ExitCode, as_json: bool, quiet: bool) -> Result<()> {
    let manifest = &summary.manifest;
    let rows: u64 = manifest.tables.iter().map(|table| table.content.rows).sum();
    let bytes: u64 = manifest.tables.iter().map(|table| table.content.bytes).sum();
    if as_json {
        return print_json(json!({
            "result": "done",
            "exit_code": code.number(),
            "archive": summary.archive.to_string_lossy(),
            "manifest": summary.manifest_path.to_string_lossy(),
            "manifest_sha256": summary.manifest_sha256,
            "name": manifest.name,
            "tables": manifest.tables.len(),
            "rows": rows,
            "bytes": bytes,
            "archive_bytes": summary.size,
            "large_objects": manifest.large_objects.count,
            "not_carried": manifest.not_carried,
            "left_out": manifest.left_out,
            "seconds": summary.elapsed.as_secs_f64(),
        }));
    }
    if quiet {
        return Ok(());
    }
    let source = &manifest.source;
    let mut told = vec![
        ("archive", shown(&summary.archive)),
        (
            "database",
            format!("{}, PostgreSQL {}", Printable(&source.database), source.server_version),
        ),
        (
            "contents",
            format!(
                "{}, {}, {}, {}",
                counted(manifest.tables.len(), "table"),
                many(rows, "row"),
                counted(manifest.sequences.len(), "sequence"),
                many(manifest.large_objects.count, "large object")
            ),
        ),
        ("size", format!("{} of rows, {} on disk", HumanBytes(bytes), HumanBytes(summary.size))),
        ("took", took(summary.elapsed)),
    ];
    if !manifest.left_out.is_empty() {
        told.push(("left out", enumerate(&manifest.left_out)));
    }
    if let Some(bundle) = &manifest.migrations {
        told.push((
            "with",
            format!("{} of the {} project", counted(bundle.files.len(), "file"), bundle.tool),
        ));
    }
    for ledger in &manifest.ledgers {
        told.push(("ledger", format!("{} at {}", ledger.table, ledger.position())));
    }
    told.push(("proved", String::from("written, synced, read again and verified")));
    told.push(("sha256", summary.manifest_sha256.clone()));
    to_stdout(&facts(&told))
}

/// Damage is worse than all that only kept archives from being verified; of that, the highest number
/// counts.
fn verdict(reports: &[verify::Report]) -> ExitCode {
    let unusable = reports.iter().filter_map(|report| report.unusable).map(ExitCode::from);
    if reports.iter().any(|report| report.unusable.is_none() && !report.findings.is_empty()) {
        return ExitCode::Damaged;
    }
    unusable.max_by_key(|code| code.number()).unwrap_or(ExitCode::Done)
}

/// The result of `pgark verify`.
pub fn verify(reports: &[verify::Report], as_json: bool, quiet: bool) -> Result<ExitCode> {
    let code = verdict(reports);
    if as_json {
        let unusable = reports
            .iter()
            .filter(|report| report.unusable.is_some())
            .flat_map(|report| &report.findings)
            .map(|finding| hide(&finding.problem))
            .next();
        let reports: Vec<Value> = reports
            .iter()
            .map(|report| {
                let findings: Vec<Value> = report
                    .findings
                    .iter()
                    .map(|finding| json!({"place": finding.place, "problem": hide(&finding.problem)}))
                    .collect();
                json!({
                    "archive": hide(&report.archive.to_string_lossy()),
                    "sound": report.findings.is_empty(),
                    "bytes": report.bytes,
                    "members": report.members,
                    "rows": report.rows,
                    "findings": findings,
                    "notes": report.notes,
                })
            })
            .collect();
        let result = match code {
            ExitCode::Done => "done",
            ExitCode::Damaged => "damaged",
            _ => "failed",
        };
        print_json(json!({
            "result": result,
            "exit_code": code.number(),
            "error": unusable,
            "archives": reports,
        }))?;
        return Ok(code);
    }
    for report in reports {
        let archive = hide(&shown(&report.archive));
        if report.findings.is_empty() {
            if !quiet {
                to_stdout(&format!(
                    "{archive}: sound, {}, {}, {}",
                    counted(report.members, "member"),
                    many(report.rows, "row"),
                    HumanBytes(report.bytes)
                ))?;
            }
        } else if report.unusable.is_some() {
            for finding in &report.findings {
                to_stderr(&in_short(&hide(&finding.problem)));
            }
        } else {
            let findings = counted(report.findings.len(), "finding");
            to_stdout(&format!("{archive}: DAMAGED, {findings}"))?;
            for finding in &report.findings {
                to_stdout(&format!("  {finding}"))?;
            }
        }
        if !quiet {
            for note in &report.notes {
                to_stdout(&format!("  note: {note}"))?;
            }
        }
    }
    Ok(code)
}

/// A failure as a result.
fn failure(error: &Error) -> Value {
    let (message, causes, hint) = said(error);
    let lines = |text: &String| text.replace(QUOTED, "\n");
    json!({
        "result": "failed",
        "exit_code": ExitCode::from(error.kind()).number(),
        "error": lines(&message),
        "causes": causes.iter().map(lines).collect::<Vec<_>>(),
        "hint": hint,
    })
}

/// The message, its causes once, and what to do next.
fn said(error: &Error) -> (String, Vec<String>, Option<String>) {
    // A connection string may have come as the name of an archive, or out of somebody's message.
    let message = hide(&error.to_string());
    let mut causes: Vec<String> = Vec::new();
    for cause in error.causes() {
        let cause = hide(&cause);
        // What has been said is not said again.
        let before = causes.last().unwrap_or(&message);
        if !before.contains(&cause) {
            causes.push(cause);
        }
    }
    (message, causes, error.next_step().map(hide))
}

/// Prints a failure.
pub fn error(error: &Error, as_json: bool) {
    if error.kind() == Kind::Interrupted(SIGPIPE) {
        return;
    }
    if as_json {
        // The exit code tells too.
        drop(print_json(failure(error)));
        return;
    }
    let (message, causes, hint) = said(error);
    to_stderr(&in_short(&message));
    for reason in &causes {
        to_stderr(&format!("  because: {}", on_one_screen(reason)));
    }
    if let Some(hint) = &hint {
        to_stderr(&format!("  hint: {}", on_one_screen(hint)));
    }
}

/// As much of a text as leaves room for the others on the same screen. Lines that another program
/// has written stay lines, behind a bar with which none of pgark's own begins.
fn on_one_screen(text: &str) -> String {
    const LONGEST: usize = 1500;
    let lines: Vec<String> = text.split(QUOTED).map(|line| Printable(line).to_string()).collect();
    let shown = lines.join("\n  | ");
    match shown.char_indices().nth(LONGEST) {
        None => shown,
        Some((end, _)) => format!("{} … ({} more bytes)", &shown[..end], shown.len() - end),
    }
}

/// The line that says what failed: red and bold where standard error is a terminal whose user does
/// not forbid it, for that can be read on light and on dark.
fn in_short(message: &str) -> String {
    let error = console::style("error:").for_stderr().red().bold();
    format!("pgark: {error} {}", on_one_screen(message))
}

/// Why there is nothing to run.
pub fn refusal(refusal: &Refusal) -> ExitCode {
    match refusal {
        Refusal::Usage(error) => usage(error),
        Refusal::File { error, as_json } => {
            self::error(error, *as_json);
            ExitCode::from(error.kind())
        }
    }
}

/// What is wrong with the command line; help and version, too, come as such.
pub fn usage(error: &clap::Error) -> ExitCode {
    let said = error.render().to_string();
    let shown = hide(&said);
    if !error.use_stderr() {
        return match error.print().and_then(|()| io::stdout().flush()) {
            Err(failed) if failed.kind() != io::ErrorKind::BrokenPipe => {
                let failed = Error::io("cannot write to standard output", failed);
                self::error(&failed, false);
                ExitCode::from(failed.kind())
            }
            _ => ExitCode::Done,
        };
    }
    let code = ExitCode::Usage;
    if std::env::args().any(|argument| argument == "--json") {
        drop(print_json(json!({
            "result": "failed",
            "exit_code": code.number(),
            "error": shown.trim().trim_start_matches("error: "),
            "causes": [],
            "hint": null,
        })));
        return code;
    }
    match shown == said {
        // With colours.
        true => drop(error.print()),
        false => to_stderr(shown.trim_end()),
    }
    code
}
