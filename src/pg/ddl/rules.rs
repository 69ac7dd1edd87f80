//! Rewrite rules. What makes a view select is no rule here, but a part of the view.

use super::collection::{Collection, Draft, Key};
use super::relations::Relations;
use super::rows;
use super::triggers::firing;
use crate::error::Result;
use crate::model::schema::{ObjectClass, Statement};
use crate::pg::client::Client;
use crate::pg::ident;

/// The name of views' queries.
const RESERVED: &str = "\"_RETURN\"";
/// A name for the time being.
const STAND_IN: &str = "\"_RETURN of pgark\"";

/// Collects the rules of tables and views; those on members of extensions come with these.
pub(super) fn collect(
    client: &mut Client,
    out: &mut Collection,
    relations: &Relations,
) -> Result<()> {
    let sql = "SELECT r.oid, r.ev_class AS relation, r.rulename::text AS name,
                r.ev_enabled::text AS enabled, pg_get_ruledef(r.oid) AS definition
         FROM pg_catalog.pg_rewrite AS r
         WHERE r.ev_type <> '1' AND r.oid >= 16384
         ORDER BY r.oid";
    for row in rows::query(client, "rules", sql)? {
        let Some(relation) = relations.get(row.get("relation")?) else { continue };
        let (key, name): (Key, &str) = (Key::rule(row.get("oid")?), row.get("name")?);
        let (table, quoted) = (relation.sql(), ident::quote(name));
        let definition = row.deparsed("definition")?;
        let definition = definition.trim().trim_end_matches(';');
        let draft = Draft::new(ObjectClass::Rule, Some(&relation.name.schema), name)
            .part_of(relation.name.clone())
            .needs(relation.key())
            .after_data();
        let draft = match definition.strip_prefix(&format!("CREATE RULE {RESERVED}")) {
            // No rule but a view's query is made with this name; renaming gives it to any.
            Some(rest) => draft
                .define(format!("CREATE RULE {STAND_IN}{rest}"))
                .define(format!("ALTER RULE {STAND_IN} ON {table} RENAME TO {RESERVED}")),
            None => draft.define(definition),
        };
        let draft = out.add(key, draft)?;
        out.commentable(key, draft, format!("RULE {quoted} ON {table}"));
        match (row.letter("enabled")?, firing(row.letter("enabled")?)) {
            ('O', _) => {}
            // Of views, no rule can be in another state.
            (_, Some(state)) => {
                let sql = format!("ALTER TABLE ONLY {table} {state} RULE {quoted}");
                out.push(draft, Statement::define(sql));
            }
            (letter, None) => {
                let text = format!("state {letter} of rule {name} on {}", relation.name);
                out.leave_out_on(&relation.name, ObjectClass::Unknown, None, text);
            }
        }
    }
    Ok(())
}
