//! What the ledgers of migration tools say (research: alembic.md section 4).

use super::failure::server;
use super::ident::quote_qualified;
use crate::error::Result;
use crate::model::ledger::{LedgerState, Tool};
use crate::model::name::QualifiedName;
use crate::pg::client::Client;

/// Reads a ledger. `has_names`: whether it has a column `name`, which ledgers of Drizzle may lack.
///
/// The current migration is the last one that is applied, in the tool's own order; callers that know
/// better replace it.
pub fn read(
    client: &mut Client,
    tool: Tool,
    table: &QualifiedName,
    has_names: bool,
) -> Result<LedgerState> {
    let sql = query(tool, &quote_qualified(table), has_names);
    let rows: Vec<(Option<String>, Option<bool>)> = client
        .query(&sql, &[], |row| Ok((row.at(0)?, row.at(1)?)))
        .map_err(|error| server(format!("cannot read the migration ledger {table}"), error))?;
    let mut state = LedgerState::default();
    for (name, applied) in rows {
        let name = name.unwrap_or_default();
        match applied {
            Some(true) => state.applied.push(name),
            _ => state.unfinished.push(name),
        }
    }
    state.current = state.applied.last().cloned();
    Ok(state)
}

/// Rows of (migration, whether it is applied), in the tool's order.
fn query(tool: Tool, table: &str, has_names: bool) -> String {
    let of = |name: &str, applied: &str, rest: &str| {
        format!("SELECT ({name})::text, {applied} FROM ONLY {table} {rest}")
    };
    match tool {
        Tool::Alembic => of("version_num", "true", "ORDER BY version_num::text COLLATE \"C\""),
        Tool::Atlas => of(
            "version",
            "applied >= total AND coalesce(error, '') = ''",
            "WHERE version NOT LIKE '.%' ORDER BY version COLLATE \"C\"",
        ),
        Tool::Dbmate | Tool::Rails | Tool::Diesel | Tool::SeaOrm => {
            of("version", "true", "ORDER BY version COLLATE \"C\"")
        }
        Tool::Django => of("app || '.' || name", "true", "ORDER BY id"),
        Tool::Drizzle if has_names => of("coalesce(name, hash)", "true", "ORDER BY created_at, id"),
        Tool::Drizzle => of("created_at", "true", "ORDER BY created_at, id"),
        Tool::Ecto => of("version", "true", "ORDER BY version"),
        Tool::Flyway => format!(
            "SELECT coalesce(version, script)::text, success
             FROM (SELECT DISTINCT ON (coalesce(version, script)) *
                   FROM ONLY {table} ORDER BY coalesce(version, script), installed_rank DESC) AS newest
             WHERE type NOT LIKE 'UNDO%' AND type NOT IN ('DELETE', 'SCHEMA')
             ORDER BY installed_rank"
        ),
        Tool::GolangMigrate => of("version", "NOT dirty", "ORDER BY version"),
        Tool::Goose => format!(
            "SELECT version_id::text, true
             FROM (SELECT DISTINCT ON (version_id) *
                   FROM ONLY {table} ORDER BY version_id, id DESC) AS newest
             WHERE is_applied AND version_id <> 0 ORDER BY version_id"
        ),
        Tool::Knex | Tool::NodePgMigrate | Tool::TypeOrm => of("name", "true", "ORDER BY id"),
        Tool::Laravel => of("migration", "true", "ORDER BY id"),
        Tool::Liquibase => of(
            "filename || '::' || id || '::' || author",
            "exectype <> 'FAILED'",
            "WHERE exectype <> 'SKIPPED' ORDER BY orderexecuted, dateexecuted",
        ),
        Tool::Prisma => of(
            "migration_name",
            "finished_at IS NOT NULL",
            "WHERE rolled_back_at IS NULL ORDER BY started_at, migration_name",
        ),
        Tool::Refinery => of("'V' || version || '__' || name", "true", "ORDER BY version"),
        Tool::Sequelize => of("name", "true", "ORDER BY name COLLATE \"C\""),
        Tool::Sqitch => of("project || ':' || change", "true", "ORDER BY committed_at, change_id"),
        Tool::Sqlx => of("version", "success", "ORDER BY version"),
    }
}
