//! Comments on everything that is carried.

use super::collection::{Collection, Key, PG_CLASS};
use super::dependencies::Graph;
use super::rows;
use crate::error::Result;
use crate::model::catalog::Property;
use crate::model::schema::{ObjectClass, Purpose, Statement};
use crate::pg::client::Client;
use crate::pg::ident;

/// Adds the comments to the objects they are on.
pub(super) fn collect(client: &mut Client, out: &mut Collection, graph: &Graph) -> Result<()> {
    // A subscription's comment may be left behind by it, which 13 cannot describe.
    let sql = "SELECT d.classoid AS catalog, d.objoid AS oid, a.attname::text AS column,
                d.description AS text,
                CASE WHEN d.classoid <> 6100
                  THEN pg_describe_object(d.classoid, d.objoid, d.objsubid) END AS described,
                CASE WHEN con.contypid <> 0 THEN 1247::oid ELSE 1259::oid END AS whole_catalog,
                coalesce(i.indrelid, nullif(con.conrelid, 0), nullif(con.contypid, 0), g.tgrelid,
                         r.ev_class, p.polrelid, 0) AS whole
         FROM pg_catalog.pg_description AS d
         LEFT JOIN pg_catalog.pg_index AS i ON d.classoid = 1259 AND i.indexrelid = d.objoid
         LEFT JOIN pg_catalog.pg_constraint AS con ON d.classoid = 2606 AND con.oid = d.objoid
         LEFT JOIN pg_catalog.pg_trigger AS g ON d.classoid = 2620 AND g.oid = d.objoid
         LEFT JOIN pg_catalog.pg_rewrite AS r ON d.classoid = 2618 AND r.oid = d.objoid
         LEFT JOIN pg_catalog.pg_policy AS p ON d.classoid = 3256 AND p.oid = d.objoid
         LEFT JOIN pg_catalog.pg_attribute AS a
           ON d.classoid = 1259 AND a.attrelid = d.objoid AND a.attnum = d.objsubid
          AND d.objsubid <> 0
         WHERE d.objoid >= 16384
            OR (d.classoid = 2615 AND d.objoid = (
                SELECT n.oid FROM pg_catalog.pg_namespace AS n WHERE n.nspname = 'public'))
         ORDER BY d.classoid, d.objoid, d.objsubid";
    let mut found = Vec::new();
    for row in rows::query(client, "comments", sql)? {
        let key = Key { catalog: row.get("catalog")?, oid: row.get("oid")? };
        let target = place(out, graph, key).map(|(_, target)| target);
        found.push((key.catalog, target, key, row));
    }
    // What one object carries must not stand in the order of OIDs; columns keep theirs.
    found.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
    for (_, _, key, row) in found {
        let text: &str = row.get("text")?;
        let column: Option<&str> = row.get("column")?;
        let Some((draft, target)) = place(out, graph, key) else {
            // Comments on members of an extension and their parts are the extension's own; those on
            // objects that are not carried are lost with them, as is said of the objects.
            let whole = Key { catalog: row.get("whole_catalog")?, oid: row.get("whole")? };
            if graph.extension_of(key).is_none()
                && graph.extension_of(whole).is_none()
                && !out.accounts_for(key)
                && !matches!(key.catalog, PG_LARGE_OBJECT | PG_SUBSCRIPTION)
            {
                // Servers forget to remove the comments of some objects with these.
                if let Some(name) = row.get::<Option<&str>>("described")? {
                    out.leave_out(ObjectClass::Unknown, None, format!("comment on {name}"));
                }
            }
            continue;
        };
        let target = match out.comment_target(key) {
            Some(place) if column.is_some() => place.target(column),
            _ => target,
        };
        // An index behind a constraint has the constraint's address, and a comment of its own.
        let of =
            out.address(key).filter(|of| !(key.catalog == PG_CLASS && is_constraint(of.class)));
        match (of, column) {
            (Some(of), Some(column)) => {
                out.describe(draft, of).column(column).set(Property::Comment, text);
            }
            (Some(of), None) => {
                out.describe(draft, of).set(Property::Comment, text);
            }
            (None, _) => {
                out.described(draft).add(Property::OtherComments, format!("{target}: {text}"));
            }
        }
        let sql = format!("COMMENT ON {target} IS {}", ident::literal(text));
        out.push(draft, Statement { purpose: Purpose::Comment, sql });
    }
    Ok(())
}

/// The object that carries comments on `key`, and what they name. A table's rowtype comes with the table.
fn place(out: &Collection, graph: &Graph, key: Key) -> Option<(usize, String)> {
    if let Some(place) = out.comment_target(key) {
        return Some((place.draft, place.target(None)));
    }
    let of = graph.stands_for(key).filter(|of| of.catalog == PG_CLASS)?;
    let place = out.comment_target(of)?;
    Some((place.draft, format!("TYPE {}", place.name)))
}

fn is_constraint(class: ObjectClass) -> bool {
    matches!(class, ObjectClass::PrimaryKey | ObjectClass::Unique | ObjectClass::Exclusion)
}

/// Comments on large objects travel with them.
pub(super) const PG_LARGE_OBJECT: u32 = 2613;

/// A subscription that the role may not read is reported by its name alone: 13 hides its OID.
const PG_SUBSCRIPTION: u32 = 6100;
