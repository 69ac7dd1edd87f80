//! The result of `pgark compare`. The JSON is specified in `docs/compare.md`.

use super::{many, print_json, schema_diff, to_stdout};
use crate::cli::exit::ExitCode;
use crate::cli::progress::to_stderr;
use crate::error::Result;
use crate::model::name::{Printable, counted};
use crate::ops::compare::{Named, Rows, Summary};
use crate::rules::schema_diff::Comparison;
use indicatif::HumanCount;
use serde_json::{Value, json};

/// Prints it.
pub fn compare(summary: &Summary, as_json: bool, quiet: bool) -> Result<ExitCode> {
    let code = verdict(summary);
    if as_json {
        return as_value(summary, code).map(|()| code);
    }
    if let Some(rows) = &summary.rows {
        print_rows(summary, rows, quiet)?;
    }
    if let Some(comparison) = &summary.schema {
        print_schema(summary, comparison, quiet)?;
    }
    Ok(code)
}

fn verdict(summary: &Summary) -> ExitCode {
    let rows_differ = summary.rows.as_ref().is_some_and(|rows| !rows.differences.is_empty());
    let schema = summary.schema.as_ref();
    if rows_differ || schema.is_some_and(|schema| !schema.differences.is_empty()) {
        ExitCode::Differs
    } else if schema.is_some_and(|schema| !schema.is_equal()) {
        ExitCode::Omissions
    } else {
        ExitCode::Done
    }
}

fn as_value(summary: &Summary, code: ExitCode) -> Result<()> {
    let side = |named: &Named| json!({"name": named.name, "postgresql": named.server_version});
    let mut value = json!({
        "result": match code {
            ExitCode::Done => "equal",
            ExitCode::Differs => "differs",
            _ => "equal as far as compared",
        },
        "exit_code": code.number(),
        "left": side(&summary.left),
        "right": side(&summary.right),
    });
    if let Some(rows) = &summary.rows {
        let differences: Vec<Value> = rows
            .differences
            .iter()
            .map(|difference| json!({"object": difference.object, "what": difference.what}))
            .collect();
        value["tables"] = rows.tables.into();
        value["rows"] = rows.rows.into();
        value["sequences"] = rows.sequences.into();
        value["large_objects"] = rows.large_objects.into();
        value["differences"] = differences.into();
        if !rows.chosen.is_empty() {
            let chosen = rows.chosen.iter();
            value["chosen_rows"] = chosen
                .map(|(table, condition)| json!({"table": table, "condition": condition}))
                .collect();
        }
    }
    if let Some(schema) = &summary.schema {
        value["schema"] = json!({
            "objects": schema.objects,
            "differences": schema.differences,
            "ignored": schema.ignored,
            "uncompared": schema.uncompared,
            "notes": schema.notes,
        });
    }
    print_json(value)
}

fn print_rows(summary: &Summary, rows: &Rows, quiet: bool) -> Result<()> {
    let (left, right) = (&summary.left.name, &summary.right.name);
    let equal = rows.differences.is_empty();
    if equal && !quiet {
        to_stdout(&format!(
            "equal: {left} and {right}: {}, {}, {}, {}",
            counted(rows.tables, "table"),
            many(rows.rows, "row"),
            counted(rows.sequences, "sequence"),
            many(rows.large_objects, "large object")
        ))?;
    }
    for (table, condition) in rows.chosen.iter().filter(|_| !quiet) {
        to_stderr(&format!("pgark: note: of {table}, only the rows {condition} are compared"));
    }
    for difference in &rows.differences {
        to_stdout(&format!("{}: {}", difference.object, Printable(&difference.what)))?;
    }
    if !equal && !quiet {
        to_stderr(&format!(
            "pgark: {left} and {right} differ in {}",
            counted(rows.differences.len(), "place")
        ));
    }
    Ok(())
}

fn print_schema(summary: &Summary, comparison: &Comparison, quiet: bool) -> Result<()> {
    let (left, right) = (&summary.left, &summary.right);
    if !comparison.differences.is_empty() {
        let mut lines = vec![
            format!("--- {}, PostgreSQL {}", left.name, left.server_version),
            format!("+++ {}, PostgreSQL {}", right.name, right.server_version),
        ];
        lines.extend(schema_diff::lines(&comparison.differences));
        to_stdout(&lines.join("\n"))?;
    } else if !quiet {
        to_stdout(&format!(
            "equal{}: the schemas of {} and {}: {} objects",
            if comparison.uncompared.is_empty() { "" } else { " as far as compared" },
            left.name,
            right.name,
            HumanCount(comparison.objects as u64)
        ))?;
    }
    for object in &comparison.uncompared {
        let name = Printable(&object.name);
        to_stderr(&format!("pgark: warning: not compared: {} {name}", object.class));
    }
    if quiet {
        return Ok(());
    }
    for note in &comparison.notes {
        to_stderr(&format!("pgark: note: {note}"));
    }
    if !comparison.ignored.is_empty() {
        let each = comparison.ignored.iter().map(|(aspect, count)| format!("{aspect} {count}"));
        let each: Vec<String> = each.collect();
        to_stderr(&format!("pgark: ignored differences: {}", each.join(", ")));
    }
    if !comparison.differences.is_empty() {
        to_stderr(&format!(
            "pgark: the schemas of {} and {} differ: {}",
            left.name,
            right.name,
            schema_diff::counted(&comparison.differences)
        ));
    }
    Ok(())
}
