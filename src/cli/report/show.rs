//! The result of `pgark show`.

use super::to_stdout;
use crate::archive::manifest::{Manifest, TableEntry};
use crate::cli::exit::ExitCode;
use crate::cli::progress::to_stderr;
use crate::error::Result;
use crate::model::name::{Printable, enumerate};
use crate::ops::show::Shown;
use comfy_table::{CellAlignment, Table, presets};
use indicatif::{HumanBytes, HumanCount};
use std::collections::BTreeMap;

/// Prints the manifest for people, the list of tables, or with `as_json` the manifest's own bytes.
pub fn show(shown: &Shown, tables: bool, as_json: bool) -> Result<ExitCode> {
    if as_json {
        let json = String::from_utf8_lossy(&shown.json);
        to_stdout(json.trim_end())?;
    } else if tables {
        to_stdout(&table_lines(&shown.manifest.tables))?;
    } else {
        to_stdout(&lines(shown).join("\n"))?;
    }
    Ok(match &shown.problem {
        None => ExitCode::Done,
        Some(problem) => {
            super::error(problem, false);
            to_stderr("pgark: what was shown is the copy of its manifest in manifests/");
            ExitCode::from(problem.kind())
        }
    })
}

fn lines(shown: &Shown) -> Vec<String> {
    let manifest = &shown.manifest;
    let source = &manifest.source;
    let mut lines = Vec::new();
    let mut line = |name: &str, value: String| lines.push(format!("{name:<14}{value}"));
    let text = |text: &str| Printable(text).to_string();
    line("name", text(&manifest.name));
    let size = shown.size.map_or_else(|| String::from("gone"), |size| HumanBytes(size).to_string());
    line("file", format!("{}, {size}", shown.path.display()));
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
    let took = (manifest.finished - manifest.started).num_milliseconds() as f64 / 1000.0;
    line(
        "snapshot",
        format!(
            "{} UTC, at {}; read in {took:.1} s",
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
        format!("{} in {} tables, {}", HumanCount(rows), manifest.tables.len(), HumanBytes(bytes)),
    );
    line("schema", objects(manifest));
    line("sequences", manifest.sequences.len().to_string());
    let large = &manifest.large_objects;
    if large.count > 0 {
        line("large objects", format!("{}, {}", large.count, HumanBytes(large.bytes)));
    }
    line("whole", String::from(if manifest.whole { "yes" } else { "no" }));
    if !manifest.left_out.is_empty() {
        line("left out", enumerate(&manifest.left_out.iter().map(|t| text(t)).collect::<Vec<_>>()));
    }
    if !manifest.not_carried.is_empty() {
        let names = manifest.not_carried.iter().map(|o| format!("{} {}", o.class, text(&o.name)));
        line("not carried", enumerate(&names.collect::<Vec<_>>()));
    }
    if let Some(bundle) = &manifest.migrations {
        line("migrations", format!("{} files of {}", bundle.files.len(), text(&bundle.tool)));
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
        false => format!("{} objects: {}", manifest.objects.len(), counts.join(", ")),
    }
}

fn table_lines(tables: &[TableEntry]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["TABLE", "ROWS", "BYTES", "IN FILE", "CHUNKS", "COLUMNS", "NOTE"]);
    for entry in tables {
        let in_file: u64 = entry.chunks.iter().map(|chunk| chunk.member.size).sum();
        table.add_row([
            entry.name.to_string(),
            HumanCount(entry.content.rows).to_string(),
            HumanBytes(entry.content.bytes).to_string(),
            HumanBytes(in_file).to_string(),
            entry.chunks.len().to_string(),
            entry.columns.len().to_string(),
            note(entry),
        ]);
    }
    for column in 1..6 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines: Vec<String> = table.to_string().lines().map(|line| line.trim().to_owned()).collect();
    lines.join("\n")
}

fn note(entry: &TableEntry) -> String {
    match (&entry.extension, &entry.condition) {
        _ if !entry.data => String::from("without its rows"),
        (Some(extension), _) => format!("of extension {}", Printable(extension)),
        (None, Some(condition)) => format!("only {condition}"),
        (None, None) => String::new(),
    }
}
