//! The result of `pgark config`.

use super::table::Rows;
use super::{print_json, to_stdout};
use crate::cli::configuration::InForce;
use crate::cli::exit::ExitCode;
use crate::error::Result;
use crate::model::name::Printable;
use serde_json::{Value, json};

/// Prints it.
pub fn config(settings: &[InForce], as_json: bool) -> Result<()> {
    if as_json {
        let settings: Vec<Value> = settings
            .iter()
            .map(|s| json!({"name": s.name, "values": s.values, "origin": s.origin}))
            .collect();
        return print_json(json!({
            "result": "done",
            "exit_code": ExitCode::Done.number(),
            "settings": settings,
        }));
    }
    let row = |setting: &InForce| {
        vec![
            setting.name.clone(),
            Printable(&setting.values.join(", ")).to_string(),
            Printable(&setting.origin).to_string(),
        ]
    };
    let rows = settings.iter().map(row).collect();
    to_stdout(
        &Rows { header: &["SETTING", "VALUE", "FROM"], rows, numbers: 0..0, spared: &[] }.lines(),
    )
}
