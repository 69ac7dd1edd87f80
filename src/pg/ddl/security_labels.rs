//! Security labels: with the objects they are on, as comments are.

use super::collection::{Collection, Draft, Key};
use super::comments::PG_LARGE_OBJECT;
use super::dependencies::Graph;
use super::privileges::FIRST_USER_OID;
use super::rows::{self, Record};
use crate::error::Result;
use crate::model::catalog::{Address, Property};
use crate::model::schema::{ObjectClass, Purpose, Statement};
use crate::pg::client::Client;
use crate::pg::ident;

/// Adds the labels to the objects they are on. Those on parts of extensions are objects of their
/// own; those on large objects travel with them.
pub(super) fn collect(client: &mut Client, out: &mut Collection, graph: &Graph) -> Result<()> {
    let sql = "SELECT l.classoid AS catalog, l.objoid AS oid, l.provider, l.label,
                a.attname::text AS column, i.type, i.identity,
                pg_describe_object(l.classoid, l.objoid, l.objsubid) AS described
         FROM pg_catalog.pg_seclabel AS l
         LEFT JOIN pg_catalog.pg_attribute AS a
           ON l.classoid = 1259 AND a.attrelid = l.objoid AND a.attnum = l.objsubid
          AND l.objsubid > 0
         LEFT JOIN LATERAL pg_identify_object(l.classoid, l.objoid, l.objsubid) AS i ON true
         ORDER BY l.classoid, l.objoid, l.objsubid, l.provider";
    for row in rows::query(client, "security labels", sql)? {
        let key = Key { catalog: row.get("catalog")?, oid: row.get("oid")? };
        if key.catalog == PG_LARGE_OBJECT {
            continue;
        }
        let column: Option<&str> = row.get("column")?;
        if let Some(place) = out.comment_target(key) {
            let target = place.target(column);
            let draft = place.draft;
            describe(out, draft, key, column, &row)?;
            let sql = statement(&row, &target)?;
            out.push(draft, Statement { purpose: Purpose::SecurityLabel, sql });
        } else if graph.extension_of(key).is_some() || key.oid < FIRST_USER_OID {
            let described = row.get::<Option<&str>>("described")?.unwrap_or("?").to_owned();
            let Some(target) = identified(&row)? else {
                out.leave_out(ObjectClass::SecurityLabel, None, described);
                continue;
            };
            let mut draft =
                Draft::new(ObjectClass::SecurityLabel, None, described).needs(key).after_data();
            let sql = statement(&row, &target)?;
            let statement = Statement { purpose: Purpose::SecurityLabel, sql };
            draft.object_mut().statements.push(statement);
            let label = line(&row)?;
            let draft = out.add_without_row(draft);
            out.described(draft).add(Property::SecurityLabels, label);
        } else if !out.accounts_for(key) {
            let described = row.get::<Option<&str>>("described")?.unwrap_or("?").to_owned();
            out.leave_out(ObjectClass::SecurityLabel, None, described);
        }
    }
    Ok(())
}

/// Says what the label is, of the object or of one of its columns.
fn describe(
    out: &mut Collection,
    draft: usize,
    key: Key,
    column: Option<&str>,
    row: &Record,
) -> Result<()> {
    let label = line(row)?;
    let of = out.address(key).unwrap_or_else(|| Address::of(out.object(draft)));
    let description = out.describe(draft, of);
    match column {
        Some(column) => drop(description.column(column).add(Property::SecurityLabels, label)),
        None => drop(description.add(Property::SecurityLabels, label)),
    }
    Ok(())
}

fn line(row: &Record) -> Result<String> {
    Ok(format!("{}: {}", row.get::<&str>("provider")?, row.get::<&str>("label")?))
}

fn statement(row: &Record, target: &str) -> Result<String> {
    let (provider, label): (&str, &str) = (row.get("provider")?, row.get("label")?);
    Ok(format!(
        "SECURITY LABEL FOR {} ON {target} IS {}",
        ident::quote(provider),
        ident::literal(label)
    ))
}

/// What the server calls an object, where that is also what `SECURITY LABEL` calls it.
fn identified(row: &Record) -> Result<Option<String>> {
    let (Some(kind), Some(identity)) =
        (row.get::<Option<&str>>("type")?, row.get::<Option<&str>>("identity")?)
    else {
        return Ok(None);
    };
    let word = match kind {
        "table column" | "view column" | "foreign table column" | "materialized view column" => {
            "COLUMN"
        }
        "table" => "TABLE",
        "view" => "VIEW",
        "materialized view" => "MATERIALIZED VIEW",
        "foreign table" => "FOREIGN TABLE",
        "sequence" => "SEQUENCE",
        "function" => "FUNCTION",
        "procedure" => "PROCEDURE",
        "type" => "TYPE",
        "schema" => "SCHEMA",
        "language" => "LANGUAGE",
        _ => return Ok(None),
    };
    Ok(Some(format!("{word} {identity}")))
}
