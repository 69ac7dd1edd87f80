//! The result of `pgark list`.

use super::table::Rows;
use super::{print_json, shown, to_stdout};
use crate::cli::exit::ExitCode;
use crate::cli::progress::to_stderr;
use crate::error::Result;
use crate::model::name::Printable;
use crate::ops::list::{Facts, Listed, Listing, State};
use indicatif::{HumanBytes, HumanCount};
use serde_json::{Value, json};
use std::borrow::Cow;

const HEADER: [&str; 9] =
    ["NAME", "DATABASE", "WHEN (UTC)", "SIZE", "ROWS", "TABLES", "HOLDS", "REVISION", "VERIFIED"];

/// Columns of numbers.
const NUMBERS: std::ops::Range<usize> = 3..6;

/// What a narrow terminal is spared, in this order: HOLDS, TABLES, DATABASE, REVISION, ROWS.
const SPARED: [usize; 5] = [6, 5, 1, 7, 4];

/// Prints it.
pub fn list(listing: &Listing, as_json: bool, quiet: bool) -> Result<()> {
    if as_json {
        let archives: Vec<Value> = listing.archives.iter().map(as_value).collect();
        let unlisted: Vec<Cow<'_, str>> =
            listing.unlisted.iter().map(|path| path.to_string_lossy()).collect();
        return print_json(json!({
            "result": "done",
            "exit_code": ExitCode::Done.number(),
            "archives": archives,
            "total": listing.total,
            "unlisted": unlisted,
        }));
    }
    if !quiet {
        for path in &listing.unlisted {
            to_stderr(&format!("pgark: {} has no manifest in manifests/", shown(path)));
        }
        if listing.total == 0 {
            to_stderr("pgark: there is no archive in the repository");
        }
    }
    if listing.archives.is_empty() {
        return Ok(());
    }
    let rows = listing.archives.iter().map(row).collect();
    // That one holds a part only is always said.
    let all_whole = listing.archives.iter().all(|a| a.facts.as_ref().is_ok_and(|f| f.whole));
    let spared = if all_whole { &SPARED[..] } else { &SPARED[1..] };
    to_stdout(&Rows { header: &HEADER, rows, numbers: NUMBERS, spared }.lines())?;
    for archive in &listing.archives {
        if let Err(problem) = &archive.facts {
            to_stderr(&format!(
                "pgark: warning: manifest {}.json: {}",
                Printable(&archive.name),
                Printable(problem)
            ));
        }
    }
    Ok(())
}

fn row(archive: &Listed) -> Vec<String> {
    let size = archive.size.map_or_else(|| String::from("-"), |s| HumanBytes(s).to_string());
    let name = Printable(&archive.name).to_string();
    let Ok(facts) = &archive.facts else {
        let unknown = || String::from("?");
        let gaps = [unknown(), unknown(), size, unknown(), unknown(), unknown(), unknown()];
        return [vec![name], gaps.to_vec(), vec![String::from(words(archive.state()))]].concat();
    };
    let revisions: Vec<String> = facts.revisions.iter().map(|r| Printable(r).to_string()).collect();
    vec![
        name,
        Printable(&facts.database).to_string(),
        facts.started.format("%Y-%m-%d %H:%M").to_string(),
        size,
        HumanCount(facts.rows).to_string(),
        facts.tables.to_string(),
        String::from(if facts.whole { "everything" } else { "A PART" }),
        revisions.join(", "),
        String::from(words(archive.state())),
    ]
}

/// What the column says. Nothing is read: only `pgark verify` knows of the bytes today.
fn words(state: State) -> &'static str {
    match state {
        State::VerifiedWhenWritten => "when written",
        State::OtherSize => "NO: other size",
        State::Missing => "NO: file gone",
        State::Unreadable => "NO: manifest unreadable",
    }
}

fn as_value(archive: &Listed) -> Value {
    let verified = match archive.state() {
        State::VerifiedWhenWritten => "when written",
        State::OtherSize => "other size",
        State::Missing => "missing",
        State::Unreadable => "manifest unreadable",
    };
    match &archive.facts {
        Ok(facts) => known(archive, facts, verified),
        Err(problem) => json!({
            "name": archive.name,
            "archive_bytes": archive.size,
            "verified": verified,
            "problem": problem,
        }),
    }
}

fn known(archive: &Listed, facts: &Facts, verified: &str) -> Value {
    json!({
        "name": archive.name,
        "database": facts.database,
        "server_version": facts.server_version,
        "started": facts.started,
        "finished": facts.finished,
        "tables": facts.tables,
        "rows": facts.rows,
        "archive_bytes": archive.size,
        "written_bytes": facts.written_size,
        "revisions": facts.revisions,
        "whole": facts.whole,
        "verified": verified,
    })
}
