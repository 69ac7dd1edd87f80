//! The result of `pgark extract`, where it went into a file.

use super::{print_json, to_stdout};
use crate::error::Result;
use crate::ops::extract::Summary;
use indicatif::{HumanBytes, HumanCount};
use serde_json::json;
use std::path::Path;

/// Prints it.
pub fn extract(summary: &Summary, path: &Path, as_json: bool, quiet: bool) -> Result<()> {
    if as_json {
        return print_json(json!({
            "result": "done",
            "what": summary.what,
            "output": path,
            "rows": summary.rows,
            "files": summary.files,
            "bytes": summary.bytes,
        }));
    }
    if quiet {
        return Ok(());
    }
    let count = match (summary.rows, summary.files) {
        (Some(rows), _) => format!("{} rows, ", HumanCount(rows)),
        (None, Some(files)) => format!("{files} files, "),
        (None, None) => String::new(),
    };
    let bytes = HumanBytes(summary.bytes);
    to_stdout(&format!("{}: {}, {count}{bytes}", path.display(), summary.what))
}
