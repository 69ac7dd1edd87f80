//! Procedural languages and access methods: names for handler functions.

use super::collection::{Collection, Draft, Key};
use super::dependencies::Graph;
use super::rows;
use crate::error::Result;
use crate::model::schema::ObjectClass;
use crate::pg::client::Client;
use crate::pg::ident;

/// Collects the languages and access methods that users made.
pub(super) fn collect(client: &mut Client, out: &mut Collection, graph: &Graph) -> Result<()> {
    let sql = "SELECT l.oid, l.lanname::text AS name, pg_get_userbyid(l.lanowner)::text AS owner,
                l.lanispl AS procedural, l.lanpltrusted AS trusted,
                nullif(l.lanplcallfoid, 0)::pg_catalog.regproc::text AS handler,
                nullif(l.laninline, 0)::pg_catalog.regproc::text AS inline,
                nullif(l.lanvalidator, 0)::pg_catalog.regproc::text AS validator
         FROM pg_catalog.pg_language AS l WHERE l.oid >= 16384 ORDER BY l.lanname";
    for row in rows::query(client, "languages", sql)? {
        let key = Key::language(row.get("oid")?);
        if graph.extension_of(key).is_some() {
            continue;
        }
        let name: &str = row.get("name")?;
        if !row.get::<bool>("procedural")? {
            out.leave_out(ObjectClass::Unknown, Some(key), format!("language {name}"));
            continue;
        }
        let trusted = if row.get("trusted")? { "TRUSTED " } else { "" };
        let quoted = ident::quote(name);
        let mut functions = Vec::new();
        for (word, column) in
            [("HANDLER", "handler"), ("INLINE", "inline"), ("VALIDATOR", "validator")]
        {
            if let Some(function) = row.get::<Option<&str>>(column)? {
                functions.push(format!("{word} {function}"));
            }
        }
        let functions = functions.join(" ");
        let draft = Draft::new(ObjectClass::Language, None, name)
            .define(format!("CREATE {trusted}PROCEDURAL LANGUAGE {quoted} {functions}"));
        let (owner, target) = (Some(row.get("owner")?), format!("LANGUAGE {quoted}"));
        out.add_named(key, draft, owner, &target, format!("{trusted}{functions}"))?;
    }
    collect_access_methods(client, out, graph)
}

fn collect_access_methods(client: &mut Client, out: &mut Collection, graph: &Graph) -> Result<()> {
    let sql = "SELECT a.oid, a.amname::text AS name, a.amtype::text AS type,
                a.amhandler::text AS handler
         FROM pg_catalog.pg_am AS a WHERE a.oid >= 16384 ORDER BY a.amname";
    for row in rows::query(client, "access methods", sql)? {
        let key = Key::access_method(row.get("oid")?);
        if graph.extension_of(key).is_some() {
            continue;
        }
        let name: &str = row.get("name")?;
        let kind = match row.letter("type")? {
            'i' => "INDEX",
            't' => "TABLE",
            letter => {
                let text = format!("access method {name} ({letter})");
                out.leave_out(ObjectClass::Unknown, Some(key), text);
                continue;
            }
        };
        let target = format!("ACCESS METHOD {}", ident::quote(name));
        let how = format!("TYPE {kind} HANDLER {}", row.deparsed("handler")?);
        let draft = Draft::new(ObjectClass::AccessMethod, None, name)
            .define(format!("CREATE {target} {how}"));
        out.add_named(key, draft, None, &target, how)?;
    }
    Ok(())
}
