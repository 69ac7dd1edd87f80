//! The result of `pgark migrations consolidate`.

use super::{on_one_screen, print_json, to_stdout, took};
use crate::cli::exit::ExitCode;
use crate::error::Result;
use crate::model::name::{Printable, enumerate, shell_word};
use crate::ops::migrations::consolidate::Summary;
use crate::ops::migrations::proof::Compared;
use serde_json::{Value, json};

/// Shows what was done, or would be.
pub fn consolidate(summary: &Summary, as_json: bool, quiet: bool) -> Result<()> {
    if as_json {
        return print_json(as_value(summary));
    }
    if quiet {
        return Ok(());
    }
    let mut lines = Vec::new();
    let done = match summary.dry_run {
        true => "would put",
        false => "put",
    };
    lines.push(format!(
        "{done} {} in the place of {} revisions of \"{}\"; the newest is {} as before",
        match summary.proved.written.len() {
            1 => String::from("one revision"),
            several => format!("{several} revisions"),
        },
        summary.proved.replaced.len() + summary.proved.written.len(),
        Printable(&summary.database),
        summary.heads.join(", ")
    ));
    lines.extend(summary.proved.fold.iter().map(|kept| format!("  {kept}")));
    lines.extend(summary.proved.written.iter().map(|written| format!("new: {}", written.path)));
    for (table, rows) in &summary.proved.seeds {
        lines.push(format!("with {rows} rows of {}", Printable(table)));
    }
    lines.extend(summary.proved.compared.iter().map(compared));
    let uncompared = summary.proved.uncompared.iter();
    lines.extend(uncompared.map(|what| format!("not compared: {}", on_one_screen(what))));
    if !summary.proved.left_out.is_empty() {
        lines.push(format!("not in the new revision: {}", enumerate(&summary.proved.left_out)));
    }
    lines.extend(summary.proved.notes.iter().map(|note| format!("note: {note}")));
    lines.extend(summary.not_looked_into.iter().map(|(database, why)| {
        format!("not looked into: \"{}\" ({})", Printable(database), Printable(why))
    }));
    if let Some(archive) = &summary.archive {
        lines.push(format!("archive, verified: {}", archive.display()));
    }
    lines.push(format!("old revisions: {}", summary.parked));
    for database in &summary.behind {
        lines.push(format!(
            "left behind: {} at {}; {}",
            Printable(&database.database),
            database.revisions.join(", "),
            remedy(summary)
        ));
    }
    if summary.dry_run {
        for written in &summary.proved.written {
            lines.push(format!("\n--- {}\n{}", written.path, written.text.trim_end()));
        }
    }
    lines.push(match summary.dry_run {
        true => format!("a dry run: nothing was written, {}", took(summary.elapsed)),
        false => format!("exchanged, and checked again, {}", took(summary.elapsed)),
    });
    to_stdout(&lines.join("\n"))
}

/// How it ended.
pub fn code(summary: &Summary) -> ExitCode {
    match summary.not_carried.is_empty() {
        true => ExitCode::Done,
        false => ExitCode::Omissions,
    }
}

/// What to do for a database that has not applied everything.
fn remedy(summary: &Summary) -> String {
    let section = match summary.section.as_str() {
        "alembic" => String::new(),
        section => format!(" -n {}", shell_word(section)),
    };
    let heads = match summary.heads.as_slice() {
        [one] => one,
        _ => "heads",
    };
    let ini = summary.root.join(&summary.legacy_ini);
    let ini = ini.strip_prefix(".").unwrap_or(&ini).display().to_string();
    format!(
        "alembic -c {}{section} upgrade {heads}, and then alembic{section} upgrade {}",
        shell_word(&ini),
        if summary.heads.len() == 1 { "head" } else { "heads" }
    )
}

fn compared(found: &Compared) -> String {
    let what = match &found.rows {
        Some(_) => "schema, rows and sequences",
        None => "schema",
    };
    let ignored: usize = found.schema.ignored.values().sum();
    let but = match ignored {
        0 => String::new(),
        _ => {
            let aspects: Vec<&str> =
                found.schema.ignored.keys().map(|aspect| aspect.name()).collect();
            format!(", but for {}", aspects.join(", "))
        }
    };
    let equal = if found.is_equal() { "equal" } else { "DIFFERENT" };
    format!(
        "{} and {}: {equal} in {what} ({} objects{but})",
        found.left, found.right, found.schema.objects
    )
}

fn as_value(summary: &Summary) -> Value {
    let compared: Vec<Value> = summary.proved.compared
        .iter()
        .map(|found| {
            json!({
                "left": found.left,
                "right": found.right,
                "equal": found.is_equal(),
                "rows_compared": found.rows.is_some(),
                "objects": found.schema.objects,
                "ignored": found.schema.ignored.iter().map(|(aspect, count)| (aspect.name(), count)).collect::<std::collections::BTreeMap<_, _>>(),
                "findings": found.findings(),
            })
        })
        .collect();
    let written: Vec<Value> = summary
        .proved
        .written
        .iter()
        .map(|written| match summary.dry_run {
            true => json!({"path": written.path, "text": written.text}),
            false => json!({"path": written.path}),
        })
        .collect();
    json!({
        "result": "done",
        "exit_code": code(summary).number(),
        "dry_run": summary.dry_run,
        "database": summary.database,
        "heads": summary.heads,
        "replaced": summary.proved.replaced,
        "fold": summary.proved.fold.iter().map(|kept| json!({"kept": kept.id, "folds": kept.folds, "follows": kept.down})).collect::<Vec<_>>(),
        "written": written,
        "seeds": summary.proved.seeds.iter().map(|(table, rows)| json!({"table": table, "rows": rows})).collect::<Vec<_>>(),
        "compared": compared,
        "not_compared": summary.proved.uncompared,
        "left_out": summary.proved.left_out,
        "notes": summary.proved.notes,
        "not_carried": summary.not_carried,
        "not_looked_into": summary.not_looked_into.iter().map(|(database, why)| json!({"database": database, "reason": why})).collect::<Vec<_>>(),
        "archive": summary.archive,
        "parked": summary.parked,
        "legacy_ini": summary.legacy_ini,
        "behind": summary.behind.iter().map(|database| json!({
            "database": database.database,
            "revisions": database.revisions,
            "remedy": remedy(summary),
        })).collect::<Vec<_>>(),
        "seconds": summary.elapsed.as_secs_f64(),
    })
}
