//! The result of `pgark config`.

use super::{print_json, to_stdout};
use crate::cli::configuration::InForce;
use crate::error::Result;
use crate::model::name::Printable;
use comfy_table::{Table, presets};
use serde_json::{Value, json};

/// Prints it.
pub fn config(settings: &[InForce], as_json: bool) -> Result<()> {
    if as_json {
        let settings: Vec<Value> = settings
            .iter()
            .map(|s| json!({"name": s.name, "values": s.values, "origin": s.origin}))
            .collect();
        return print_json(json!({"settings": settings}));
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["SETTING", "VALUE", "FROM"]);
    for setting in settings {
        table.add_row([
            setting.name.clone(),
            Printable(&setting.values.join(", ")).to_string(),
            Printable(&setting.origin).to_string(),
        ]);
    }
    let lines: Vec<String> = table.to_string().lines().map(|line| line.trim().to_owned()).collect();
    to_stdout(&lines.join("\n"))
}
