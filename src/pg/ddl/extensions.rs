//! Schemas and extensions.

use super::collection::{Collection, Draft, Key};
use super::dependencies::Graph;
use super::members;
use super::rows::{self, USER_SCHEMA};
use crate::error::Result;
use crate::model::catalog::Property;
use crate::model::schema::{ObjectClass, Purpose, Statement};
use crate::pg::client::Client;
use crate::pg::ident;
use std::collections::BTreeMap;

/// The comment that initdb gives to `public`.
const USUAL_COMMENT: &str = "standard public schema";

/// The owner that `public` has from 15 on.
const USUAL_OWNER: &str = "pg_database_owner";

/// Collects schemas and extensions.
pub(super) fn collect(client: &mut Client, out: &mut Collection, graph: &Graph) -> Result<()> {
    let sql = format!(
        "SELECT n.oid, n.nspname::text AS name, pg_get_userbyid(n.nspowner)::text AS owner,
                obj_description(n.oid, 'pg_namespace') AS comment
         FROM pg_catalog.pg_namespace AS n WHERE {USER_SCHEMA} ORDER BY n.nspname"
    );
    for row in rows::query(client, "schemas", &sql)? {
        let key = Key::schema(row.get("oid")?);
        if graph.extension_of(key).is_some() {
            continue;
        }
        let (name, owner): (&str, &str) = (row.get("name")?, row.get("owner")?);
        let quoted = ident::quote(name);
        let mut draft = Draft::new(ObjectClass::Schema, None, name);
        // `public` is in every new database: only what differs from initdb's is said.
        let public = name == "public";
        if !public {
            draft = draft.define(format!("CREATE SCHEMA {quoted}"));
        }
        if !public || owner != USUAL_OWNER {
            draft = draft.owned_by(owner, &format!("SCHEMA {quoted}"));
        }
        if public && row.get::<Option<&str>>("comment")?.is_none() {
            let sql = format!("COMMENT ON SCHEMA {quoted} IS NULL");
            let statement = Statement { purpose: Purpose::Comment, sql };
            draft.object_mut().statements.push(statement);
        }
        let draft = out.add(key, draft)?;
        out.described(draft);
        if !(public && row.get::<Option<&str>>("comment")? == Some(USUAL_COMMENT)) {
            out.commentable(key, draft, format!("SCHEMA {quoted}"));
        }
    }
    // Below 16384 there is plpgsql, which initdb makes. The version is left out as pg_dump does:
    // the target installs the one it has.
    let sql =
        "SELECT e.oid, e.extname::text AS name, n.nspname::text AS schema, e.extversion AS version,
                obj_description(e.oid, 'pg_extension') IS NULL AS is_without_comment
         FROM pg_catalog.pg_extension AS e
         JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
         WHERE e.oid >= 16384 ORDER BY e.extname";
    let extensions = rows::query(client, "extensions", sql)?;
    let mut members = match extensions.is_empty() {
        true => BTreeMap::new(),
        false => members::read(client)?,
    };
    for row in extensions {
        let key = Key::extension(row.get("oid")?);
        let name: &str = row.get("name")?;
        let mut draft = Draft::new(ObjectClass::Extension, None, name).define(format!(
            "CREATE EXTENSION IF NOT EXISTS {} WITH SCHEMA {}",
            ident::quote(name),
            ident::quote(row.get("schema")?)
        ));
        if row.get("is_without_comment")? {
            // CREATE EXTENSION gives it the one of its control file.
            let sql = format!("COMMENT ON EXTENSION {} IS NULL", ident::quote(name));
            draft.object_mut().statements.push(Statement { purpose: Purpose::Comment, sql });
        }
        let draft = out.add(key, draft)?;
        out.described(draft)
            .set(Property::InSchema, row.get::<&str>("schema")?)
            .set(Property::Version, row.get::<&str>("version")?)
            .set(Property::Members, members.remove(name).unwrap_or_default());
        out.commentable(key, draft, format!("EXTENSION {}", ident::quote(name)));
    }
    Ok(())
}

/// Says that `target` goes when the extension goes.
pub(super) fn mark(out: &mut Collection, draft: usize, extension: Key, kind: &str, target: &str) {
    let Some(extension) = out.maker(extension) else { return };
    let name = out.object(extension).name.clone();
    out.described(draft).add(Property::DependsOnExtensions, name.as_str());
    let name = ident::quote(&name);
    let sql = format!("ALTER {kind} {target} DEPENDS ON EXTENSION {name}");
    out.push(draft, Statement::define(sql));
}
