//! Comments on everything that is carried, and on the database itself.

use super::collection::{Collection, Draft, Key, PG_CLASS};
use super::dependencies::Graph;
use super::rows;
use crate::error::Result;
use crate::model::schema::{ObjectClass, Purpose, Statement};
use crate::pg::ident;
use postgres::Client;

/// Adds the comments to the objects they are on.
pub(super) fn collect(client: &mut Client, out: &mut Collection, graph: &Graph) -> Result<()> {
    let sql = "SELECT d.classoid AS catalog, d.objoid AS oid, a.attname::text AS column,
                d.description AS text,
                pg_describe_object(d.classoid, d.objoid, d.objsubid) AS described
         FROM pg_catalog.pg_description AS d
         LEFT JOIN pg_catalog.pg_attribute AS a
           ON d.classoid = 1259 AND a.attrelid = d.objoid AND a.attnum = d.objsubid
          AND d.objsubid > 0
         WHERE d.objoid >= 16384
            OR (d.classoid = 2615 AND d.objoid = (
                SELECT n.oid FROM pg_catalog.pg_namespace AS n WHERE n.nspname = 'public'))
         ORDER BY d.classoid, d.objoid, d.objsubid";
    for row in rows::query(client, "comments", sql)? {
        let key = Key { catalog: row.get("catalog")?, oid: row.get("oid")? };
        let text: &str = row.get("text")?;
        let column: Option<&str> = row.get("column")?;
        let Some(place) = out.comment_target(key) else {
            // Comments on members of an extension are the extension's own; those on objects
            // that are not carried are lost with them, as is said of the objects.
            if graph.extension_of(key).is_none()
                && !out.accounts_for(key)
                && key.catalog != PG_LARGE_OBJECT
            {
                let name = row.get::<Option<&str>>("described")?.unwrap_or("?").to_owned();
                out.leave_out(ObjectClass::Unknown, None, format!("comment on {name}"));
            }
            continue;
        };
        let target = match (column, &place.relation) {
            (Some(column), Some(relation)) if key.catalog == PG_CLASS => {
                format!("COLUMN {relation}.{}", ident::quote(column))
            }
            _ => place.target.clone(),
        };
        let draft = place.draft;
        let sql = format!("COMMENT ON {target} IS {}", ident::literal(text));
        out.push(draft, Statement { purpose: Purpose::Comment, sql });
    }
    collect_database(client, out)
}

/// Comments on large objects travel with them.
const PG_LARGE_OBJECT: u32 = 2613;

/// Stands for the database at hand in a statement for [`on_current_database`]. No name in SQL can
/// look like it, since every name there is in quotes.
pub(super) const CURRENT_DATABASE: &str = "DATABASE %current%";

/// A statement about the database, whatever its name is where the statement runs.
pub(super) fn on_current_database(sql: &str) -> String {
    let Some((before, after)) = sql.split_once(CURRENT_DATABASE) else { return sql.to_owned() };
    let body = format!(
        "BEGIN EXECUTE {} || pg_catalog.quote_ident(pg_catalog.current_database()) || {}; END",
        ident::literal(&format!("{before}DATABASE ")),
        ident::literal(after)
    );
    format!("DO LANGUAGE plpgsql {}", ident::literal(&body))
}

/// The comment on the database, in words that fit a database of any name.
fn collect_database(client: &mut Client, out: &mut Collection) -> Result<()> {
    let sql = "SELECT shobj_description(d.oid, 'pg_database') AS text, d.datname::text AS name
         FROM pg_catalog.pg_database AS d WHERE d.datname = current_database()";
    for row in rows::query(client, "the database's comment", sql)? {
        let Some(text) = row.get::<Option<&str>>("text")? else { continue };
        let name: &str = row.get("name")?;
        let sql = format!("COMMENT ON {CURRENT_DATABASE} IS {}", ident::literal(text));
        let mut draft = Draft::new(ObjectClass::DatabaseComment, None, name).after_data();
        draft
            .object_mut()
            .statements
            .push(Statement { purpose: Purpose::Comment, sql: on_current_database(&sql) });
        out.add(Key::database(0), draft)?;
    }
    Ok(())
}
