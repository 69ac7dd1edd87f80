//! Results and errors, for people and as JSON.

use super::exit::ExitCode;
use super::progress::to_stderr;
use crate::archive::manifest::Manifest;
use crate::error::{Error, Result};
use crate::model::name::{Printable, enumerate};
use crate::ops::list::Listed;
use crate::ops::{backup, restore, verify};
use crate::rules::secrets::hide;
use comfy_table::{CellAlignment, Table, presets};
use indicatif::{HumanBytes, HumanCount};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::time::Duration;

mod compare;
mod consolidate;
mod schema_diff;

pub use compare::compare;
pub use consolidate::consolidate;

/// Writes to standard output. A reader that went away (`| head`) is no failure.
pub fn to_stdout(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::io("cannot write to standard output", error))
        }
        _ => Ok(()),
    }
}

fn print_json(value: &Value) -> Result<()> {
    to_stdout(&value.to_string())
}

fn took(elapsed: Duration) -> String {
    format!("{:.1} s", elapsed.as_secs_f64())
}

/// The result of `pgark backup`.
pub fn backup(summary: &backup::Summary, as_json: bool, quiet: bool) -> Result<()> {
    let manifest = &summary.manifest;
    let rows: u64 = manifest.tables.iter().map(|table| table.content.rows).sum();
    let bytes: u64 = manifest.tables.iter().map(|table| table.content.bytes).sum();
    if as_json {
        return print_json(&json!({
            "result": "done",
            "archive": summary.archive,
            "manifest": summary.manifest_path,
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
    let mut lines = vec![format!(
        "{}: {} tables, {} rows, {} of rows in {} on disk, {}",
        summary.archive.display(),
        manifest.tables.len(),
        HumanCount(rows),
        HumanBytes(bytes),
        HumanBytes(summary.size),
        took(summary.elapsed)
    )];
    if !manifest.left_out.is_empty() {
        lines.push(format!("left out: {}", enumerate(&manifest.left_out)));
    }
    if let Some(bundle) = &manifest.migrations {
        lines.push(format!("with {} files of the {} project", bundle.files.len(), bundle.tool));
    }
    for ledger in &manifest.ledgers {
        lines.push(format!("{} at {}", ledger.table, ledger.revisions.join(", ")));
    }
    lines.push(format!(
        "written, synced, read again and verified; manifest sha256 {}",
        summary.manifest_sha256
    ));
    to_stdout(&lines.join("\n"))
}

/// The result of `pgark restore`.
pub fn restore(summary: &restore::Summary, as_json: bool, quiet: bool) -> Result<()> {
    if as_json {
        return print_json(&json!({
            "result": "done",
            "archive": summary.archive,
            "database": summary.database,
            "kept_as": summary.kept_as,
            "tables": summary.tables,
            "rows": summary.rows,
            "sequences": summary.sequences,
            "large_objects": summary.large_objects,
            "objects": summary.objects,
            "left_out": summary.left_out,
            "way": summary.way,
            "proof": proof(summary.proof),
            "skipped": summary.skipped,
            "stale_materialized_views": summary.stale,
            "refused_settings": summary.refused_settings,
            "seconds": summary.elapsed.as_secs_f64(),
        }));
    }
    if quiet {
        return Ok(());
    }
    let mut lines = vec![format!(
        "restored {} into \"{}\": {} tables, {} rows, {} sequences, {} large objects, {}",
        summary.archive,
        Printable(&summary.database),
        summary.tables,
        HumanCount(summary.rows),
        summary.sequences,
        summary.large_objects,
        took(summary.elapsed)
    )];
    if let Some(kept) = &summary.kept_as {
        lines.push(format!("the old database is kept as \"{}\"", Printable(kept)));
    }
    if summary.skipped > 0 {
        lines.push(format!(
            "{} rows were left out, whose keys were there",
            HumanCount(summary.skipped)
        ));
    }
    if !summary.left_out.is_empty() {
        lines.push(format!("left out: {}", enumerate(&summary.left_out)));
    }
    if !summary.stale.is_empty() {
        lines.push(format!("not filled anew: {}", enumerate(&summary.stale)));
    }
    if !summary.refused_settings.is_empty() {
        lines.push(format!(
            "settings that the server refused: {}",
            enumerate(&summary.refused_settings)
        ));
    }
    lines.push(format!("proved: {}", proof(summary.proof)));
    to_stdout(&lines.join("\n"))
}

fn proof(proof: restore::Proof) -> &'static str {
    match proof {
        restore::Proof::Equal => "content digests, row counts and sequences are the archive's",
        restore::Proof::Added => "the tables hold what they held, and all rows of the archive",
        restore::Proof::AddedNew => {
            "the tables hold what they held, and the archive's rows whose keys were not there"
        }
        restore::Proof::Contained => "the tables hold all rows of the archive",
    }
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
            .map(|finding| finding.problem.clone())
            .next();
        let reports: Vec<Value> = reports
            .iter()
            .map(|report| {
                let findings: Vec<Value> = report
                    .findings
                    .iter()
                    .map(|finding| json!({"place": finding.place, "problem": finding.problem}))
                    .collect();
                json!({
                    "archive": report.archive,
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
        print_json(&json!({
            "result": result,
            "exit_code": code.number(),
            "error": unusable,
            "archives": reports,
        }))?;
        return Ok(code);
    }
    for report in reports {
        let archive = report.archive.display();
        if report.findings.is_empty() {
            if !quiet {
                to_stdout(&format!(
                    "{archive}: sound, {} members, {} rows, {}",
                    report.members,
                    HumanCount(report.rows),
                    HumanBytes(report.bytes)
                ))?;
            }
        } else if report.unusable.is_some() {
            for finding in &report.findings {
                to_stderr(&format!("pgark: error: {}", Printable(&finding.problem)));
            }
        } else {
            to_stdout(&format!("{archive}: DAMAGED, {} findings", report.findings.len()))?;
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

/// The result of `pgark list`.
pub fn list(listed: &[Listed], as_json: bool) -> Result<()> {
    let rows =
        |manifest: &Manifest| -> u64 { manifest.tables.iter().map(|t| t.content.rows).sum() };
    if as_json {
        let archives: Vec<Value> = listed
            .iter()
            .map(|archive| match &archive.manifest {
                Ok(manifest) => json!({
                    "name": archive.name,
                    "database": manifest.source.database,
                    "started": manifest.started,
                    "tables": manifest.tables.len(),
                    "rows": rows(manifest),
                    "archive_bytes": archive.size,
                    "revisions": manifest.ledgers.iter().flat_map(|l| &l.revisions).collect::<Vec<_>>(),
                }),
                Err(problem) => json!({"name": archive.name, "problem": problem}),
            })
            .collect();
        return print_json(&json!({"archives": archives}));
    }
    if listed.is_empty() {
        return Ok(());
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["NAME", "DATABASE", "WHEN (UTC)", "SIZE", "TABLES", "ROWS", "REVISION"]);
    for archive in listed {
        match &archive.manifest {
            Ok(manifest) => table.add_row([
                archive.name.clone(),
                Printable(&manifest.source.database).to_string(),
                manifest.started.format("%Y-%m-%d %H:%M").to_string(),
                archive
                    .size
                    .map_or_else(|| String::from("missing"), |size| HumanBytes(size).to_string()),
                manifest.tables.len().to_string(),
                HumanCount(rows(manifest)).to_string(),
                manifest
                    .ledgers
                    .iter()
                    .flat_map(|ledger| ledger.revisions.iter().map(|r| Printable(r).to_string()))
                    .collect::<Vec<_>>()
                    .join(", "),
            ]),
            Err(problem) => table.add_row([archive.name.clone(), problem.clone()]),
        };
    }
    for column in 3..6 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines: Vec<String> = table.to_string().lines().map(|line| line.trim().to_owned()).collect();
    to_stdout(&lines.join("\n"))
}

/// Prints a failure: the message, its causes once, and what to do next.
pub fn error(error: &Error, as_json: bool) {
    // A connection string may have come as the name of an archive, or out of somebody's message.
    let message = hide(&error.to_string());
    let causes: Vec<String> = error.causes().map(|cause| hide(&cause)).collect();
    let hint = error.next_step().map(hide);
    if as_json {
        let value = json!({
            "result": "failed",
            "exit_code": ExitCode::from(error.kind()).number(),
            "error": message,
            "causes": causes,
            "hint": hint,
        });
        // The exit code tells too.
        drop(print_json(&value));
        return;
    }
    to_stderr(&format!("pgark: error: {}", Printable(&message)));
    for reason in &causes {
        to_stderr(&format!("  because: {}", Printable(reason)));
    }
    if let Some(hint) = &hint {
        to_stderr(&format!("  hint: {}", Printable(hint)));
    }
}

/// What is wrong with the command line; help and version, too, come as such.
pub fn usage(error: &clap::Error) -> ExitCode {
    let said = error.render().to_string();
    let shown = hide(&said);
    match shown == said {
        // With colours, and on standard output where it belongs there.
        true => drop(error.print()),
        false => to_stderr(shown.trim_end()),
    }
    match error.use_stderr() {
        true => ExitCode::Usage,
        false => ExitCode::Done,
    }
}
