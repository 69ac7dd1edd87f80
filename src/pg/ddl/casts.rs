//! Casts and transforms: what lies between two types, or a type and a language.

use super::collection::{Collection, Draft, Key};
use super::dependencies::Graph;
use super::functions::unquoted;
use super::rows;
use crate::error::Result;
use crate::model::schema::ObjectClass;
use crate::pg::client::Client;
use crate::pg::ident;

/// Collects casts and transforms that users made, between types of the system as well.
pub(super) fn collect(client: &mut Client, out: &mut Collection, graph: &Graph) -> Result<()> {
    collect_casts(client, out, graph)?;
    collect_transforms(client, out, graph)
}

fn collect_casts(client: &mut Client, out: &mut Collection, graph: &Graph) -> Result<()> {
    // The casts of range types to multiranges come with them.
    let sql = "SELECT c.oid, format_type(c.castsource, NULL) AS source,
                format_type(c.casttarget, NULL) AS target,
                nullif(c.castfunc, 0)::pg_catalog.regprocedure::text AS function,
                c.castcontext::text AS context, c.castmethod::text AS method
         FROM pg_catalog.pg_cast AS c
         WHERE c.oid >= 16384 AND NOT EXISTS (
             SELECT FROM pg_catalog.pg_depend AS d
             WHERE d.classid = 2605 AND d.objid = c.oid AND d.deptype = 'i')
         ORDER BY 2, 3";
    for row in rows::query(client, "casts", sql)? {
        let key = Key::cast(row.get("oid")?);
        if graph.extension_of(key).is_some() {
            continue;
        }
        let types = format!("({} AS {})", row.deparsed("source")?, row.deparsed("target")?);
        let how = match row.letter("method")? {
            'f' => Some(format!("WITH FUNCTION {}", row.deparsed("function")?)),
            'i' => Some(String::from("WITH INOUT")),
            'b' => Some(String::from("WITHOUT FUNCTION")),
            _ => None,
        };
        let when = match row.letter("context")? {
            'e' => Some(""),
            'a' => Some(" AS ASSIGNMENT"),
            'i' => Some(" AS IMPLICIT"),
            _ => None,
        };
        let (Some(how), Some(when)) = (how, when) else {
            let text = format!("cast {}", unquoted(&types));
            out.leave_out(ObjectClass::Unknown, Some(key), text);
            continue;
        };
        let draft = Draft::new(ObjectClass::Cast, None, unquoted(&types))
            .define(format!("CREATE CAST {types} {how}{when}"));
        out.add_named(key, draft, None, &format!("CAST {types}"), format!("{how}{when}"))?;
    }
    Ok(())
}

fn collect_transforms(client: &mut Client, out: &mut Collection, graph: &Graph) -> Result<()> {
    let sql = "SELECT t.oid, format_type(t.trftype, NULL) AS type, l.lanname::text AS language,
                nullif(t.trffromsql::pg_catalog.oid, 0)::pg_catalog.regprocedure::text
                  AS from_sql,
                nullif(t.trftosql::pg_catalog.oid, 0)::pg_catalog.regprocedure::text AS to_sql
         FROM pg_catalog.pg_transform AS t
         JOIN pg_catalog.pg_language AS l ON l.oid = t.trflang
         WHERE t.oid >= 16384
         ORDER BY 2, 3";
    for row in rows::query(client, "transforms", sql)? {
        let key = Key::transform(row.get("oid")?);
        if graph.extension_of(key).is_some() {
            continue;
        }
        let (type_name, language) = (row.deparsed("type")?, row.get::<&str>("language")?);
        let mut ways = Vec::new();
        for (words, column) in [("FROM SQL", "from_sql"), ("TO SQL", "to_sql")] {
            if let Some(function) = row.get::<Option<&str>>(column)? {
                ways.push(format!("{words} WITH FUNCTION {function}"));
            }
        }
        let target = format!("TRANSFORM FOR {type_name} LANGUAGE {}", ident::quote(language));
        let shown = format!("for {} language {language}", unquoted(&type_name));
        let draft = Draft::new(ObjectClass::Transform, None, shown)
            .define(format!("CREATE {target} ({})", ways.join(", ")));
        out.add_named(key, draft, None, &target, ways)?;
    }
    Ok(())
}
