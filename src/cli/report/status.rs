//! The result of `pgark migrations status`.

use super::{print_json, to_stdout};
use crate::archive::manifest::Ledger;
use crate::cli::exit::ExitCode;
use crate::error::Result;
use crate::model::name::{Printable, counted, enumerate};
use crate::ops::migrations::status::{Position, Summary};
use crate::rules::alembic::position::Finding;
use serde_json::{Value, json};

/// Prints it.
pub fn status(summary: &Summary, as_json: bool, quiet: bool) -> Result<ExitCode> {
    let code = if summary.is_fine() { ExitCode::Done } else { ExitCode::Differs };
    if as_json {
        print_json(as_value(summary, code))?;
        return Ok(code);
    }
    let mut lines = Vec::new();
    if let (Some(project), Some(graph), false) = (&summary.project, &summary.graph, quiet) {
        lines.push(format!(
            "project   {}: {} in {}, {}",
            project.root.display(),
            counted(graph.len(), "revision"),
            project.version_locations.join(", "),
            match graph.heads().as_slice() {
                [] => String::from("no head"),
                [head] => format!("head {head}"),
                heads => format!("heads {}", heads.join(", ")),
            }
        ));
    }
    for position in &summary.positions {
        lines.extend(of_position(position, summary, quiet));
    }
    for ledger in summary.others.iter().filter(|ledger| !quiet || !ledger.unfinished.is_empty()) {
        lines.push(format!("ledger    {} of {}: {}", ledger.table, ledger.tool, ledger.position()));
        if !ledger.unfinished.is_empty() {
            lines.push(format!("  failed or unfinished: {}", enumerate(&ledger.unfinished)));
            lines.push(format!("  next: mend it with {}, then look again", ledger.tool));
        }
    }
    if !quiet {
        lines.extend(summary.contradictions.iter().map(|what| format!("warning   {what}")));
    }
    if !lines.is_empty() {
        let shown: Vec<String> = lines.iter().map(|line| Printable(line).to_string()).collect();
        to_stdout(&shown.join("\n"))?;
    }
    Ok(code)
}

fn of_position(position: &Position, summary: &Summary, quiet: bool) -> Vec<String> {
    let (table, rows) = match &position.ledger {
        Some(ledger) => (ledger.table.to_string(), ledger.position()),
        None => (String::from("no version table"), String::from("nothing")),
    };
    if position.findings.is_empty() {
        let fine = format!("database  \"{}\", {table}: at {rows}, the head", summary.database);
        return if quiet { Vec::new() } else { vec![fine] };
    }
    let mut lines = vec![format!("database  \"{}\", {table}: at {rows}", summary.database)];
    for finding in &position.findings {
        lines.push(format!("  {finding}"));
        lines.extend(messages(finding, summary));
        lines.push(format!("  next: {}", finding.next_step_in(&summary.section)));
    }
    lines
}

/// What the missing revisions do, in their own words.
fn messages(finding: &Finding, summary: &Summary) -> Vec<String> {
    const SHOWN: usize = 50;
    let (Finding::Behind { missing }, Some(graph)) = (finding, &summary.graph) else {
        return Vec::new();
    };
    let files = missing.iter().filter_map(|id| graph.get(id)).take(SHOWN);
    let line = |message: Option<&String>, id: &str, path: &str| match message {
        Some(message) => format!("    {id}  {message}"),
        None => format!("    {id}  {path}"),
    };
    files.map(|file| line(file.message.as_ref(), &file.id, &file.path)).collect()
}

fn as_value(summary: &Summary, code: ExitCode) -> Value {
    let project = summary.project.as_ref().zip(summary.graph.as_ref()).map(|(project, graph)| {
        let revisions: Vec<Value> = graph
            .order()
            .iter()
            .map(|file| {
                json!({
                    "id": file.id,
                    "path": file.path,
                    "down": file.down,
                    "branch_labels": file.branch_labels,
                    "depends_on": file.depends_on,
                    "message": file.message,
                })
            })
            .collect();
        json!({
            "root": project.root,
            "config": project.config_file,
            "script_location": project.script_location,
            "version_locations": project.version_locations,
            "bases": graph.bases(),
            "heads": graph.heads(),
            "branch_points": graph.branch_points(),
            "merge_points": graph.merge_points(),
            "revisions": revisions,
        })
    });
    let positions: Vec<Value> = summary
        .positions
        .iter()
        .map(|position| {
            let findings = position.findings.iter().map(|finding| {
                json!({
                    "kind": finding.kind(),
                    "revisions": finding.revisions(),
                    "what": finding.to_string(),
                    "next": finding.next_step_in(&summary.section),
                })
            });
            json!({
                "ledger": position.ledger.as_ref().map(of_ledger),
                "at_head": position.findings.is_empty(),
                "findings": findings.collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "result": if code == ExitCode::Done { "at-head" } else { "not-at-head" },
        "exit_code": code.number(),
        "database": summary.database,
        "project": project,
        "positions": positions,
        "other_ledgers": summary.others.iter().map(of_ledger).collect::<Vec<_>>(),
        "contradictions": summary.contradictions,
    })
}

fn of_ledger(ledger: &Ledger) -> Value {
    json!({
        "tool": ledger.tool,
        "table": ledger.table,
        "revisions": ledger.revisions,
        "current": ledger.current,
        "unfinished": ledger.unfinished,
    })
}
