//! Extended statistics: what to gather on several columns or expressions. What has been gathered is
//! not carried; ANALYZE gathers it anew.

use super::collection::{Collection, Draft, Key};
use super::dependencies::Graph;
use super::rows::{self, USER_SCHEMA};
use crate::error::Result;
use crate::model::name::QualifiedName;
use crate::model::schema::{ObjectClass, Statement};
use crate::pg::client::Client;
use crate::pg::ident;

/// `stxkind`: distinct values, dependencies, most common values, expressions.
const KINDS: &str = "dfme";

/// Collects extended statistics. Those that a user made on a member of an extension are the user's.
pub(super) fn collect(client: &mut Client, out: &mut Collection, graph: &Graph) -> Result<()> {
    let sql = format!(
        "SELECT s.oid, n.nspname::text AS schema, s.stxname::text AS name,
                pg_get_userbyid(s.stxowner)::text AS owner, c.oid AS relation,
                cn.nspname::text AS table_schema, c.relname::text AS table,
                array_to_string(s.stxkind::text[], '') AS kinds,
                s.stxstattarget::int AS target, pg_get_statisticsobjdef(s.oid) AS definition
         FROM pg_catalog.pg_statistic_ext AS s
         JOIN pg_catalog.pg_namespace AS n ON n.oid = s.stxnamespace
         JOIN pg_catalog.pg_class AS c ON c.oid = s.stxrelid
         JOIN pg_catalog.pg_namespace AS cn ON cn.oid = c.relnamespace
         WHERE {USER_SCHEMA} AND c.relpersistence <> 't' ORDER BY s.oid"
    );
    for row in rows::query(client, "extended statistics", &sql)? {
        let key = Key::statistics(row.get("oid")?);
        if graph.extension_of(key).is_some() {
            continue;
        }
        let name = QualifiedName::new(row.get::<&str>("schema")?, row.get::<&str>("name")?);
        let table = QualifiedName::new(row.get::<&str>("table_schema")?, row.get::<&str>("table")?);
        if let Some(letter) = row.get::<&str>("kinds")?.chars().find(|k| !KINDS.contains(*k)) {
            let text = format!("kind {letter} of extended statistics {name}");
            out.leave_out_on(&table, ObjectClass::Unknown, Some(key), text);
            continue;
        }
        let target = format!("STATISTICS {}", ident::quote_qualified(&name));
        let draft = Draft::new(ObjectClass::ExtendedStatistics, Some(&name.schema), &name.name)
            .part_of(table)
            .define(row.deparsed("definition")?)
            .owned_by(row.get("owner")?, &target)
            .needs(Key::relation(row.get("relation")?))
            .after_data();
        let draft = out.add(key, draft)?;
        // "No target of its own" is -1 up to 16 and null from 17 on.
        if let Some(value) = row.get::<Option<i32>>("target")?.filter(|value| *value >= 0) {
            let sql = format!("ALTER {target} SET STATISTICS {value}");
            out.push(draft, Statement::define(sql));
        }
        out.commentable(key, draft, target);
    }
    Ok(())
}
