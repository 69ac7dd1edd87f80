//! The ledgers of a database, of whatever tool, with what they say.

use crate::archive::manifest::Ledger;
use crate::error::{Error, Result};
use crate::model::ledger::Tool;
use crate::pg::catalog::CatalogTable;
use crate::pg::ledgers;
use crate::pg::session::Session;
use crate::rules::ledgers::{newest_by_numbers, recognise};

/// Reads every ledger among `tables`, whose types are written without quotes.
///
/// # Errors
/// One that the role may not read.
pub fn read(session: &mut Session, tables: &[CatalogTable]) -> Result<Vec<Ledger>> {
    let plain = tables.iter().filter(|table| !table.partitioned);
    let found = recognise(plain.map(|table| (&table.name, table.columns.as_slice())));
    let mut read = Vec::new();
    for (tool, name) in found {
        let Some(table) = tables.iter().find(|table| table.name == name) else { continue };
        if !table.readable || table.rows_hidden {
            return Err(Error::failed(format!(
                "the role may not read all of {name}, the ledger of {}",
                tool.name()
            ))
            .hint(format!("GRANT SELECT ON {name}, or BYPASSRLS where rows are guarded")));
        }
        let has_names = table.columns.iter().any(|column| column.name == "name");
        let state = ledgers::read(&mut session.client, tool, &name, has_names)?;
        let current = match tool {
            // The rows of Alembic are where the database stands, all of them.
            Tool::Alembic => None,
            Tool::Flyway => {
                newest_by_numbers(state.applied.iter().map(String::as_str)).map(str::to_owned)
            }
            _ => state.current,
        };
        read.push(Ledger {
            tool: tool.name().to_owned(),
            table: name,
            revisions: state.applied,
            current,
            unfinished: state.unfinished,
        });
    }
    Ok(read)
}
