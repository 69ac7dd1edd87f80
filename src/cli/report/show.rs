//! The result of `pgark show`.

use super::table::Rows;
use super::{failure, print_json, to_stdout, took};
use crate::archive::manifest::{Manifest, TableEntry};
use crate::cli::exit::ExitCode;
use crate::cli::progress::to_stderr;
use crate::error::Result;
use crate::model::name::{Printable, counted, enumerate};
use crate::ops::show::Shown;
use indicatif::{HumanBytes, HumanCount};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Prints the manifest for people, or the list of tables.
pub fn show(shown: &Shown, tables: bool, as_json: bool, quiet: bool) -> Result<ExitCode> {
    let code =
        shown.problem.as_ref().map_or(ExitCode::Done, |problem| ExitCode::from(problem.kind()));
    if as_json {
        return print_json(as_value(shown)).map(|()| code);
    }
    match tables {
        true => to_stdout(&table_lines(&shown.manifest.tables))?,
        false => to_stdout(&lines(shown).join("\n"))?,
    }
    if let Some(problem) = &shown.problem {
        super::error(problem, false);
        if !quiet {
            to_stderr("pgark: what was shown is the copy of its manifest in manifests/");
        }
    }
    Ok(code)
}

fn as_value(shown: &Shown) -> Value {
    let mut value = match &shown.problem {
        None => json!({"result": "done", "exit_code": ExitCode::Done.number()}),
        Some(problem) => failure(problem),
    };
    value["archive"] = shown.path.to_string_lossy().into();
    value["archive_bytes"] = shown.size.into();
    // Read once already, so it is JSON; with fields that this version does not know.
    value["manifest"] = serde_json::from_slice(&shown.json).unwrap_or_default();
    value
}

fn lines(shown: &Shown) -> Vec<String> {
    let manifest = &shown.manifest;
    let source = &manifest.source;
    let mut lines = Vec::new();
    let mut line = |name: &str, value: String| lines.push(format!("{name:<14}{value}"));
    let text = |text: &str| Printable(text).to_string();
    line("name", text(&manifest.name));
    let size = shown.size.map_or_else(|| String::from("gone"), |size| HumanBytes(size).to_string());
    line("file", format!("{}, {size}", super::shown(&shown.path)));
    line("database", text(&source.database));
    let standby = if source.in_recovery { ", a standby" } else { "" };
    line(
        "server",
        format!(
            "PostgreSQL {}{standby}, {}, collation {}, ctype {}",
            text(&source.server_version),
            text(&source.encoding),
            text(source.locale.as_deref().unwrap_or(&source.collate)),
            text(&source.ctype)
        ),
    );
    let read = match (manifest.finished - manifest.started).to_std() {
        Ok(elapsed) => format!("read in {}", took(elapsed)),
        Err(_) => String::from("its end is before its begin"),
    };
    line(
        "snapshot",
        format!(
            "{} UTC, at {}; {read}",
            manifest.snapshot.taken.format("%Y-%m-%d %H:%M:%S"),
            text(&manifest.snapshot.lsn)
        ),
    );
    let superuser = if source.superuser { ", a superuser" } else { "" };
    line("read by", format!("{}{superuser}, with {}", text(&source.role), text(&manifest.program)));
    let bytes: u64 = manifest.tables.iter().map(|table| table.content.bytes).sum();
    let rows: u64 = manifest.tables.iter().map(|table| table.content.rows).sum();
    line(
        "rows",
        format!(
            "{} in {}, {}",
            HumanCount(rows),
            counted(manifest.tables.len(), "table"),
            HumanBytes(bytes)
        ),
    );
    line("schema", objects(manifest));
    line("sequences", manifest.sequences.len().to_string());
    let large = &manifest.large_objects;
    if large.count > 0 {
        line("large objects", format!("{}, {}", large.count, HumanBytes(large.bytes)));
    }
    line("whole", String::from(if manifest.is_whole() { "yes" } else { "no" }));
    if !manifest.left_out.is_empty() {
        line("left out", enumerate(&manifest.left_out.iter().map(|t| text(t)).collect::<Vec<_>>()));
    }
    if !manifest.not_carried.is_empty() {
        let names = manifest.not_carried.iter().map(|o| format!("{} {}", o.class, text(&o.name)));
        line("not carried", enumerate(&names.collect::<Vec<_>>()));
    }
    if let Some(bundle) = &manifest.migrations {
        line(
            "migrations",
            format!("{} of {}", counted(bundle.files.len(), "file"), text(&bundle.tool)),
        );
    }
    for ledger in &manifest.ledgers {
        let at = text(&ledger.position());
        let whose = match ledger.tool.as_str() {
            "alembic" => String::new(),
            tool => format!(" of {}", text(tool)),
        };
        line("revision", format!("{at}, in {}{whose}", ledger.table));
    }
    if !manifest.roles.is_empty() {
        line("roles", enumerate(&manifest.roles.iter().map(|r| text(r)).collect::<Vec<_>>()));
    }
    if let Some(previous) = &manifest.previous {
        line("after", text(&previous.name));
    }
    lines
}

/// How many objects there are of each class, the most numerous first.
fn objects(manifest: &Manifest) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for object in &manifest.objects {
        *counts.entry(object.class.to_string()).or_default() += 1;
    }
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let counts: Vec<String> = counts.iter().map(|(class, n)| format!("{class} {n}")).collect();
    match counts.is_empty() {
        true => String::from("no objects"),
        false => format!("{}: {}", counted(manifest.objects.len(), "object"), counts.join(", ")),
    }
}

/// What stands above the columns of `--tables`.
const TABLES: [&str; 7] = ["TABLE", "ROWS", "BYTES", "IN FILE", "CHUNKS", "COLUMNS", "NOTE"];

fn table_lines(tables: &[TableEntry]) -> String {
    let row = |entry: &TableEntry| {
        let in_file: u64 = entry.chunks.iter().map(|chunk| chunk.member.size).sum();
        vec![
            entry.name.to_string(),
            HumanCount(entry.content.rows).to_string(),
            HumanBytes(entry.content.bytes).to_string(),
            HumanBytes(in_file).to_string(),
            entry.chunks.len().to_string(),
            entry.columns.len().to_string(),
            note(entry),
        ]
    };
    let rows = tables.iter().map(row).collect();
    // CHUNKS, COLUMNS and what they take in the file go first.
    Rows { header: &TABLES, rows, numbers: 1..6, spared: &[4, 5, 3] }.lines()
}

fn note(entry: &TableEntry) -> String {
    match (&entry.extension, &entry.condition) {
        _ if !entry.data => String::from("without its rows"),
        (Some(extension), _) => format!("of extension {}", Printable(extension)),
        (None, Some(condition)) => format!("only {condition}"),
        (None, None) => String::new(),
    }
}
