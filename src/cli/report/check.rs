//! The result of `pgark check`.

use super::{many, print_json, to_stdout};
use crate::cli::exit::ExitCode;
use crate::error::Result;
use crate::model::name::{Printable, counted, enumerate};
use crate::ops::check::{Check, Covered, Report, State};
use crate::rules::secrets::hide;
use indicatif::HumanBytes;
use serde_json::{Value, json};

/// Prints it.
pub fn check(report: &Report, as_json: bool, quiet: bool) -> Result<ExitCode> {
    let code = report.failure().map_or(ExitCode::Done, ExitCode::from);
    if as_json {
        let checks: Vec<Value> = report.checks.iter().map(as_value).collect();
        let covered = report.covered.as_ref().map(|covered| {
            json!({
                "tables": covered.tables,
                "bytes": covered.bytes,
                "sequences": covered.sequences,
                "large_objects": covered.large_objects,
                "objects": covered.objects,
                "left_out": covered.left_out,
            })
        });
        print_json(json!({
            "result": if code == ExitCode::Done { "ready" } else { "not ready" },
            "exit_code": code.number(),
            "error": report.checks.iter().find(|check| is_failed(check)).map(|c| hide(&c.what)),
            "checks": checks,
            "covered": covered,
        }))?;
        return Ok(code);
    }
    let mut lines = Vec::new();
    for check in report.checks.iter().filter(|check| !quiet || check.state != State::Fine) {
        let what = hide(&Printable(&check.what).to_string());
        lines.push(format!("{:<9}{:<14}{what}", word(check.state), check.name));
        lines.extend(check.mend.iter().map(|mend| format!("{:<23}{}", "", Printable(mend))));
        lines.extend(check.hint.iter().map(|hint| format!("{:<23}hint: {}", "", Printable(hint))));
    }
    if let Some(covered) = report.covered.as_ref().filter(|_| !quiet) {
        lines.extend(coverage(covered));
    }
    if !lines.is_empty() {
        to_stdout(&lines.join("\n"))?;
    }
    Ok(code)
}

fn coverage(covered: &Covered) -> Vec<String> {
    let known = |count: Option<usize>, what: &str| match count {
        Some(count) => counted(count, what),
        None => format!("an unknown number of {what}s"),
    };
    let bytes = covered.bytes.map_or_else(
        || String::from("their size is not known"),
        |bytes| format!("{} on the server", HumanBytes(bytes)),
    );
    let mut lines = vec![format!(
        "A backup would cover {} ({bytes}), {}, {}, {} of the schema.",
        many(covered.tables as u64, "table"),
        known(covered.sequences, "sequence"),
        many(covered.large_objects, "large object"),
        known(covered.objects, "object")
    )];
    if !covered.left_out.is_empty() {
        let names: Vec<String> =
            covered.left_out.iter().map(|n| Printable(n).to_string()).collect();
        lines.push(format!("It would leave out {}.", enumerate(&names)));
    }
    lines
}

fn is_failed(check: &Check) -> bool {
    matches!(check.state, State::Failed(_))
}

fn word(state: State) -> &'static str {
    match state {
        State::Fine => "ok",
        State::Warning => "warning",
        State::Failed(_) => "FAILED",
    }
}

fn as_value(check: &Check) -> Value {
    json!({
        "check": check.name,
        "state": word(check.state).to_lowercase(),
        "what": hide(&check.what),
        "mend": check.mend,
        "hint": check.hint,
    })
}
