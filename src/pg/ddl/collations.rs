//! Collations and conversions.

use super::collection::{Collection, Draft, Key, PG_COLLATION};
use super::dependencies::Graph;
use super::rows::{self, Record, USER_SCHEMA, since};
use crate::error::Result;
use crate::model::schema::ObjectClass;
use crate::pg::client::Client;
use crate::pg::ident;

/// Collects the collations and conversions that users made.
pub(super) fn collect(
    client: &mut Client,
    major: u32,
    out: &mut Collection,
    graph: &Graph,
) -> Result<()> {
    collect_collations(client, major, out, graph)?;
    collect_conversions(client, out, graph)
}

fn collect_collations(
    client: &mut Client,
    major: u32,
    out: &mut Collection,
    graph: &Graph,
) -> Result<()> {
    // Up to 14 the locale of ICU stands in both of libc's columns, which were never null.
    let locale = match major {
        17.. => "c.colllocale",
        15 | 16 => "c.colliculocale",
        _ => "CASE WHEN c.collprovider = 'i' THEN c.collcollate::text END",
    };
    let rules = since(major, 16, "c.collicurules", "NULL::text");
    // Collations in pg_catalog that initdb did not make were imported from the operating system
    // (`pg_import_system_collations`).
    let sql = format!(
        "SELECT c.oid, n.nspname::text AS schema, c.collname::text AS name,
                pg_get_userbyid(c.collowner)::text AS owner, c.collprovider::text AS provider,
                c.collisdeterministic AS deterministic, c.collcollate::text AS lc_collate,
                c.collctype::text AS lc_ctype, {locale} AS locale, {rules} AS rules,
                n.nspname = 'pg_catalog' AS imported
         FROM pg_catalog.pg_collation AS c
         JOIN pg_catalog.pg_namespace AS n ON n.oid = c.collnamespace
         WHERE {USER_SCHEMA} OR (n.nspname = 'pg_catalog' AND c.oid >= 16384)
         ORDER BY n.nspname, c.collname, c.collencoding"
    );
    let used = graph.needed_of(PG_COLLATION);
    for row in rows::query(client, "collations", &sql)? {
        let key = Key::collation(row.get("oid")?);
        if graph.extension_of(key).is_some() {
            continue;
        }
        let imported: bool = row.get("imported")?;
        // As for pg_dump, what is imported is the server's, but not where something needs it.
        if imported && !used.contains(&key) {
            out.imply(key);
            continue;
        }
        let (schema, name): (&str, &str) = (row.get("schema")?, row.get("name")?);
        let Some(properties) = properties(&row)? else {
            let (text, schema) = (format!("collation {schema}.{name}"), Some(schema.to_owned()));
            out.leave_out_of(ObjectClass::Unknown, Some(key), text, schema, None);
            continue;
        };
        let quoted = format!("{}.{}", ident::quote(schema), ident::quote(name));
        let unless = if imported { "IF NOT EXISTS " } else { "" };
        let draft = Draft::new(ObjectClass::Collation, Some(schema), name)
            .define(format!("CREATE COLLATION {unless}{quoted} ({})", properties.join(", ")));
        let owner: &str = row.get("owner")?;
        let owner = (!imported).then_some(owner);
        out.add_named(key, draft, owner, &format!("COLLATION {quoted}"), properties)?;
    }
    Ok(())
}

/// What stands in the parentheses, without the version: that is the target's own. `None` when the
/// provider is unknown.
fn properties(row: &Record) -> Result<Option<Vec<String>>> {
    let (provider, columns): (&str, &[(&str, &str)]) = match row.letter("provider")? {
        'c' => ("libc", &[("LC_COLLATE", "lc_collate"), ("LC_CTYPE", "lc_ctype")]),
        'i' => ("icu", &[("LOCALE", "locale"), ("RULES", "rules")]),
        'b' => ("builtin", &[("LOCALE", "locale")]),
        _ => return Ok(None),
    };
    let mut list = vec![format!("PROVIDER = {provider}")];
    for (word, column) in columns {
        if let Some(value) = row.get::<Option<&str>>(column)? {
            list.push(format!("{word} = {}", ident::literal(value)));
        }
    }
    if !row.get::<bool>("deterministic")? {
        list.push(String::from("DETERMINISTIC = false"));
    }
    Ok(Some(list))
}

fn collect_conversions(client: &mut Client, out: &mut Collection, graph: &Graph) -> Result<()> {
    let sql = format!(
        "SELECT c.oid, n.nspname::text AS schema, c.conname::text AS name,
                pg_get_userbyid(c.conowner)::text AS owner, c.condefault AS is_default,
                pg_encoding_to_char(c.conforencoding)::text AS source,
                pg_encoding_to_char(c.contoencoding)::text AS target, c.conproc::text AS function
         FROM pg_catalog.pg_conversion AS c
         JOIN pg_catalog.pg_namespace AS n ON n.oid = c.connamespace
         WHERE {USER_SCHEMA}
         ORDER BY n.nspname, c.conname"
    );
    for row in rows::query(client, "conversions", &sql)? {
        let key = Key::conversion(row.get("oid")?);
        if graph.extension_of(key).is_some() {
            continue;
        }
        let (schema, name): (&str, &str) = (row.get("schema")?, row.get("name")?);
        let quoted = format!("{}.{}", ident::quote(schema), ident::quote(name));
        let default = if row.get("is_default")? { "DEFAULT " } else { "" };
        let how = format!(
            "FOR {} TO {} FROM {}",
            ident::literal(row.get("source")?),
            ident::literal(row.get("target")?),
            row.deparsed("function")?
        );
        let draft = Draft::new(ObjectClass::Conversion, Some(schema), name)
            .define(format!("CREATE {default}CONVERSION {quoted} {how}"));
        let (owner, target) = (Some(row.get("owner")?), format!("CONVERSION {quoted}"));
        out.add_named(key, draft, owner, &target, format!("{default}{how}"))?;
    }
    Ok(())
}
