//! Row-level security and its policies. They come after the rows: COPY cannot load a table whose
//! rows are guarded from the one who loads it.

use super::collection::{Collection, Draft, Key};
use super::relations::{Relation, Relations};
use super::rows::{self, Record};
use crate::error::Result;
use crate::model::catalog::{Address, Property};
use crate::model::schema::ObjectClass;
use crate::pg::client::Client;
use crate::pg::ident;

/// Collects which tables are guarded, and the policies, guarded or not; those on members of
/// extensions come with these.
pub(super) fn collect(
    client: &mut Client,
    out: &mut Collection,
    relations: &Relations,
) -> Result<()> {
    let sql = "SELECT c.oid, c.relrowsecurity AS enabled, c.relforcerowsecurity AS forced
         FROM pg_catalog.pg_class AS c
         WHERE c.relrowsecurity OR c.relforcerowsecurity ORDER BY c.oid";
    for row in rows::query(client, "row-level security", sql)? {
        let Some(table) = relations.get(row.get("oid")?) else { continue };
        let name = &table.name;
        let mut draft = Draft::new(ObjectClass::RowSecurity, Some(&name.schema), &name.name)
            .needs(table.key())
            .after_data();
        // One without the other can be said, and be kept in the catalogs.
        let (enabled, forced) = (row.get("enabled")?, row.get("forced")?);
        for (said, verb) in [(enabled, "ENABLE"), (forced, "FORCE")] {
            if said {
                let sql = format!("ALTER TABLE ONLY {} {verb} ROW LEVEL SECURITY", table.sql());
                draft = draft.define(sql);
            }
        }
        let draft = out.add(Key::row_security(table.oid), draft)?;
        out.describe(draft, Address::within(ObjectClass::Table, name))
            .set_if(Property::RowSecurity, enabled)
            .set_if(Property::ForceRowSecurity, forced);
    }
    // The role 0 in the list is PUBLIC, and then alone.
    let sql = "SELECT p.oid, p.polrelid AS relation, p.polname::text AS name,
                p.polcmd::text AS command, p.polpermissive AS permissive,
                ARRAY(SELECT pg_get_userbyid(r.role)::text
                      FROM unnest(p.polroles) WITH ORDINALITY AS r(role, position)
                      WHERE r.role <> 0 ORDER BY r.position) AS roles,
                p.polqual IS NOT NULL AS has_using, p.polwithcheck IS NOT NULL AS has_check,
                pg_get_expr(p.polqual, p.polrelid) AS using,
                pg_get_expr(p.polwithcheck, p.polrelid) AS check
         FROM pg_catalog.pg_policy AS p ORDER BY p.oid";
    for row in rows::query(client, "policies", sql)? {
        let Some(table) = relations.get(row.get("relation")?) else { continue };
        collect_policy(out, table, &row)?;
    }
    Ok(())
}

fn collect_policy(out: &mut Collection, table: &Relation, row: &Record) -> Result<()> {
    let (key, name): (Key, &str) = (Key::policy(row.get("oid")?), row.get("name")?);
    let target = format!("POLICY {} ON {}", ident::quote(name), table.sql());
    let mut sql = format!("CREATE {target}");
    if !row.get("permissive")? {
        sql.push_str(" AS RESTRICTIVE");
    }
    match row.letter("command")? {
        '*' => {}
        'r' => sql.push_str(" FOR SELECT"),
        'a' => sql.push_str(" FOR INSERT"),
        'w' => sql.push_str(" FOR UPDATE"),
        'd' => sql.push_str(" FOR DELETE"),
        letter => {
            let text = format!("policy {name} on {} ({letter})", table.name);
            out.leave_out_on(&table.name, ObjectClass::Unknown, Some(key), text);
            return Ok(());
        }
    }
    let roles: Vec<String> = row.get("roles")?;
    if !roles.is_empty() {
        let quoted: Vec<String> = roles.iter().map(|role| ident::quote(role)).collect();
        sql.push_str(&format!(" TO {}", quoted.join(", ")));
    }
    for (there, column, word) in
        [("has_using", "using", "USING"), ("has_check", "check", "WITH CHECK")]
    {
        if row.get(there)? {
            sql.push_str(&format!(" {word} ({})", row.deparsed(column)?));
        }
    }
    let draft = Draft::new(ObjectClass::Policy, Some(&table.name.schema), name)
        .part_of(table.name.clone())
        .define(sql)
        .needs(table.key())
        .after_data();
    let draft = out.add(key, draft)?;
    out.commentable(key, draft, target);
    Ok(())
}
