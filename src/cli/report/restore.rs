//! The results of `pgark restore` and `pgark copy`.

use super::{facts, many, print_json, to_stdout, took};
use crate::cli::exit::ExitCode;
use crate::error::Result;
use crate::model::name::{Printable, counted, enumerate};
use crate::ops::restore::{Proof, Summary};
use indicatif::HumanCount;
use serde_json::{Value, json};

/// The result of `pgark restore`.
pub fn restore(summary: &Summary, code: ExitCode, as_json: bool, quiet: bool) -> Result<()> {
    if as_json {
        let mut value = fields(summary, code);
        value["archive"] = json!(summary.archive);
        value["not_in_archive"] = json!(summary.not_in_archive);
        value["way"] = json!(summary.way);
        value["proof"] = json!(proof(summary.proof));
        value["skipped"] = json!(summary.skipped);
        return print_json(value);
    }
    if quiet {
        return Ok(());
    }
    let mut told = vec![("restored", summary.archive.clone())];
    told.extend(contents(summary));
    if summary.skipped > 0 {
        let skipped = HumanCount(summary.skipped);
        told.push(("skipped", format!("{skipped} rows were left out, whose keys were there")));
    }
    told.extend(lists("not archived", summary));
    told.push(("proved", String::from(proof(summary.proof))));
    to_stdout(&facts(&told))
}

/// The result of `pgark copy`.
pub fn copy(summary: &Summary, code: ExitCode, as_json: bool, quiet: bool) -> Result<()> {
    const PROVED: &str = "content digests, row counts and sequences are the source's";
    if as_json {
        let mut value = fields(summary, code);
        value["source"] = json!(summary.archive);
        value["not_copied"] = json!(summary.not_in_archive);
        value["proof"] = json!(PROVED);
        return print_json(value);
    }
    if quiet {
        return Ok(());
    }
    let mut told = vec![("copied", format!("database \"{}\"", Printable(&summary.archive)))];
    told.extend(contents(summary));
    told.extend(lists("not copied", summary));
    told.push(("proved", String::from(PROVED)));
    to_stdout(&facts(&told))
}

/// What both say of a database that was made.
fn fields(summary: &Summary, code: ExitCode) -> Value {
    json!({
        "result": "done",
        "exit_code": code.number(),
        "database": summary.database,
        "kept_as": summary.kept_as,
        "tables": summary.tables,
        "rows": summary.rows,
        "sequences": summary.sequences,
        "large_objects": summary.large_objects,
        "objects": summary.objects,
        "left_out": summary.left_out,
        "created_roles": summary.created_roles,
        "whole": summary.whole,
        "stale_materialized_views": summary.stale,
        "refused_settings": summary.refused_settings,
        "changed_extension_members": summary.changed_members,
        "seconds": summary.elapsed.as_secs_f64(),
    })
}

fn contents(summary: &Summary) -> Vec<(&'static str, String)> {
    let mut told = vec![
        ("into", format!("database \"{}\"", Printable(&summary.database))),
        (
            "contents",
            format!(
                "{}, {}, {}, {}",
                counted(summary.tables, "table"),
                many(summary.rows, "row"),
                counted(summary.sequences, "sequence"),
                many(summary.large_objects, "large object")
            ),
        ),
        ("took", took(summary.elapsed)),
    ];
    if let Some(kept) = &summary.kept_as {
        told.push(("kept", format!("the old database, as \"{}\"", Printable(kept))));
    }
    told
}

/// Lists that have anything in them.
fn lists(not_taken: &'static str, summary: &Summary) -> Vec<(&'static str, String)> {
    [
        (not_taken, &summary.not_in_archive),
        ("left out", &summary.left_out),
        ("new roles", &summary.created_roles),
        ("not filled anew", &summary.stale),
        ("refused settings", &summary.refused_settings),
        ("of extensions", &summary.changed_members),
    ]
    .into_iter()
    .filter(|(_, list)| !list.is_empty())
    .map(|(name, list)| (name, enumerate(list)))
    .collect()
}

fn proof(proof: Proof) -> &'static str {
    match proof {
        Proof::Equal => "content digests, row counts and sequences are the archive's",
        Proof::Added => "the tables hold what they held, and all rows of the archive",
        Proof::AddedNew => {
            "the tables hold what they held, and the archive's rows whose keys were not there"
        }
        Proof::Contained => "the tables hold all rows of the archive",
    }
}
