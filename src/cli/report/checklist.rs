//! The results of `pgark migrations verify` and `rollback`.

use super::{print_json, to_stdout, took};
use crate::cli::exit::ExitCode;
use crate::error::Result;
use crate::model::name::{Printable, counted, shown};
use crate::model::table::SequenceState;
use crate::ops::migrations::rollback::{Summary, Version};
use crate::ops::migrations::verify::{Check, State};
use crate::ops::restore::preview::Replacement;
use serde_json::{Value, json};

/// How many findings of one check are shown.
const SHOWN: usize = 20;

/// The list with ticks and crosses.
pub fn checklist(checks: &[Check], as_json: bool, quiet: bool) -> Result<ExitCode> {
    let bad = checks.iter().filter(|check| check.state == State::Bad).count();
    let skipped = checks.iter().filter(|check| check.state == State::Skipped).count();
    let code = if bad == 0 { ExitCode::Done } else { ExitCode::Differs };
    if as_json {
        let list: Vec<Value> = checks
            .iter()
            .map(|check| {
                let state = match check.state {
                    State::Good => "good",
                    State::Bad => "bad",
                    State::Skipped => "skipped",
                };
                json!({"check": check.name, "what": check.what, "state": state, "findings": check.findings})
            })
            .collect();
        let result = if bad == 0 { "done" } else { "differs" };
        print_json(json!({"result": result, "exit_code": code.number(), "checks": list}))?;
        return Ok(code);
    }
    let mut lines = Vec::new();
    for check in checks {
        let sign = match check.state {
            State::Good => "✓",
            State::Bad => "✗",
            State::Skipped => "–",
        };
        if quiet && check.state != State::Bad {
            continue;
        }
        lines.push(format!("{sign} {:<12}{}", check.name, Printable(&check.what)));
        for finding in check.findings.iter().take(SHOWN) {
            lines.extend(finding.lines().map(|line| format!("    {}", Printable(line))));
        }
        if let Some(more @ 1..) = check.findings.len().checked_sub(SHOWN) {
            lines.push(format!("    and {more} more"));
        }
    }
    if !quiet {
        lines.push(match bad {
            0 if skipped == 0 => format!("all {} checks are good", checks.len()),
            0 => format!(
                "all checks are good but {skipped} of {}, which were left out",
                checks.len()
            ),
            _ => format!("{bad} of {} checks are not good", checks.len()),
        });
    }
    if !lines.is_empty() {
        to_stdout(&lines.join("\n"))?;
    }
    Ok(code)
}

/// What a rollback did, or would do.
pub fn rollback(summary: &Summary, code: ExitCode, as_json: bool, quiet: bool) -> Result<()> {
    let version = match &summary.version {
        Version::NotSeen => Value::Null,
        Version::Kept(rows) => json!({"kept": rows}),
        Version::Filled(rows) => json!({"filled": rows}),
        Version::Changed { from, to } => json!({"from": from, "to": to}),
    };
    if as_json {
        return print_json(json!({
            "result": "done",
            "exit_code": code.number(),
            "dry_run": summary.dry_run,
            "archive": summary.archive,
            "revisions": summary.revisions,
            "carried": summary.carried,
            "added": summary.added,
            "different": summary.different,
            "parked": summary.parked,
            "version": version,
            "rows_to_replace": summary.replaced.as_ref().map(|all| all.tables.iter().map(|table| json!({
                "table": table.table.to_string(),
                "now": table.now,
                "archived": table.archived,
            })).collect::<Vec<_>>()),
            "sequences_to_set": summary.replaced.as_ref().map(|all| all.sequences.iter().map(|(now, archived)| json!({
                "sequence": now.name.to_string(),
                "now": position_json(now),
                "archived": position_json(archived),
            })).collect::<Vec<_>>()),
            "large_objects_to_replace": summary.replaced.as_ref().map(|all| json!({
                "now": all.large_objects_there,
                "archived": all.large_objects,
            })),
            "rows_restored": summary.data.as_ref().map(|data| data.rows),
            "stale_materialized_views": summary.data.as_ref().map(|data| &data.stale),
            "seconds": summary.elapsed.as_secs_f64(),
        }));
    }
    if quiet {
        return Ok(());
    }
    let mut lines = match summary.dry_run {
        true => foretold(summary),
        false => done(summary),
    };
    lines.push(match summary.dry_run {
        true => format!("a dry run: nothing was written, {}", took(summary.elapsed)),
        false => took(summary.elapsed),
    });
    to_stdout(&lines.join("\n"))
}

/// What a rollback did.
fn done(summary: &Summary) -> Vec<String> {
    let mut lines = match &summary.parked {
        Some(parked) => vec![
            format!("brought back {} revisions of {}", summary.revisions, summary.archive),
            format!("what was there: {parked}"),
        ],
        None => vec![already(summary)],
    };
    lines.extend(each("newer, and kept", &summary.carried));
    lines.extend(each("gone, and came back", &summary.added));
    lines.extend(each("not the archive's, and left as it is", &summary.different));
    lines.push(match &summary.version {
        Version::NotSeen => String::from(NO_DATABASE),
        Version::Kept(rows) => {
            let rows = shown(rows);
            format!("the version table says {}, which the files know", Printable(&rows))
        }
        Version::Filled(rows) => {
            let rows = shown(rows);
            format!("the version table was empty, and says {}", Printable(&rows))
        }
        Version::Changed { from, to } => {
            format!("the version table's one row: {} → {}", Printable(from), Printable(to))
        }
    });
    if let Some(data) = &summary.data {
        lines.push(format!("{} rows of {} tables came back, proved", data.rows, data.tables));
        lines.extend(each("not filled anew", &data.stale));
    }
    lines
}

/// What a rollback would do.
fn foretold(summary: &Summary) -> Vec<String> {
    let mut lines = match &summary.parked {
        Some(parked) => vec![
            format!("would bring back {} revisions of {}", summary.revisions, summary.archive),
            format!("what is there would be parked: {parked}"),
        ],
        None => vec![already(summary)],
    };
    lines.extend(each("newer, and would be kept", &summary.carried));
    lines.extend(each("gone, and would come back", &summary.added));
    lines.extend(each("not the archive's, and would be left as it is", &summary.different));
    lines.push(match &summary.version {
        Version::NotSeen => String::from(NO_DATABASE),
        Version::Kept(rows) => {
            format!("the version table would stay as it is: {}", Printable(&shown(rows)))
        }
        Version::Filled(rows) => {
            let rows = shown(rows);
            format!("the version table is empty, and would say {}", Printable(&rows))
        }
        Version::Changed { from, to } => {
            let (from, to) = (Printable(from), Printable(to));
            format!("the version table's one row would change: {from} → {to}")
        }
    });
    if let Some(replaced) = &summary.replaced {
        lines.extend(to_replace(replaced));
    }
    lines
}

/// What the archive's rows would replace.
fn to_replace(replaced: &Replacement) -> Vec<String> {
    let tables = counted(replaced.tables.len(), "table");
    let mut lines = vec![format!("all rows of {tables} would be replaced by the archive's:")];
    lines.extend(replaced.tables.iter().map(|table| {
        let now = counted(usize::try_from(table.now).unwrap_or(usize::MAX), "row");
        format!("  {}: {now} now, {} in the archive", table.table, table.archived)
    }));
    lines.extend(replaced.sequences.iter().map(|(now, archived)| {
        format!(
            "sequence {} would be set from {} to {}",
            now.name,
            position(now),
            position(archived)
        )
    }));
    if replaced.large_objects > 0 {
        lines.push(format!(
            "{} would come from the archive, in the place of {} of the same OIDs",
            counted(usize::try_from(replaced.large_objects).unwrap_or(usize::MAX), "large object"),
            replaced.large_objects_there
        ));
    }
    lines
}

fn position(sequence: &SequenceState) -> String {
    let unused = if sequence.is_called { "" } else { " (not given out)" };
    format!("{}{unused}", sequence.last_value)
}

fn position_json(sequence: &SequenceState) -> Value {
    json!({"last_value": sequence.last_value, "is_called": sequence.is_called})
}

const NO_DATABASE: &str = "no database was looked at";

fn already(summary: &Summary) -> String {
    format!("the files are those of {} already", summary.archive)
}

fn each<'a>(what: &str, names: &'a [String]) -> impl Iterator<Item = String> + use<'a> {
    let what = what.to_owned();
    names.iter().map(move |name| format!("{what}: {}", Printable(name)))
}
