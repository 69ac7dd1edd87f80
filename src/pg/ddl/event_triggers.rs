//! Event triggers. Whatever is created after them may set them off, so they come last.

use super::collection::{Collection, Draft, Key};
use super::dependencies::Graph;
use super::rows;
use super::triggers::firing;
use crate::error::Result;
use crate::model::name::QualifiedName;
use crate::model::schema::{ObjectClass, Statement};
use crate::pg::client::Client;
use crate::pg::ident;

/// Collects event triggers.
pub(super) fn collect(client: &mut Client, out: &mut Collection, graph: &Graph) -> Result<()> {
    let sql = "SELECT e.oid, e.evtname::text AS name, e.evtevent::text AS event,
                pg_get_userbyid(e.evtowner)::text AS owner, e.evtenabled::text AS enabled,
                coalesce(e.evttags, '{}') AS tags, n.nspname::text AS function_schema,
                p.proname::text AS function
         FROM pg_catalog.pg_event_trigger AS e
         JOIN pg_catalog.pg_proc AS p ON p.oid = e.evtfoid
         JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
         WHERE e.oid >= 16384 ORDER BY e.oid";
    for row in rows::query(client, "event triggers", sql)? {
        let key = Key::event_trigger(row.get("oid")?);
        if graph.extension_of(key).is_some() {
            continue;
        }
        let name: &str = row.get("name")?;
        let target = format!("EVENT TRIGGER {}", ident::quote(name));
        let function =
            QualifiedName::new(row.get::<&str>("function_schema")?, row.get::<&str>("function")?);
        let tags: Vec<String> = row.get("tags")?;
        let tags: Vec<String> = tags.iter().map(|tag| ident::literal(tag)).collect();
        let when = match tags.as_slice() {
            [] => String::new(),
            tags => format!("\n  WHEN TAG IN ({})", tags.join(", ")),
        };
        let sql = format!(
            "CREATE {target} ON {}{when}\n  EXECUTE FUNCTION {}()",
            ident::quote(row.get("event")?),
            ident::quote_qualified(&function)
        );
        let draft = Draft::new(ObjectClass::EventTrigger, None, name)
            .define(sql)
            .owned_by(row.get("owner")?, &target)
            .after_data();
        let draft = out.add(key, draft)?;
        match (row.letter("enabled")?, firing(row.letter("enabled")?)) {
            ('O', _) => {}
            (_, Some(state)) => {
                out.push(draft, Statement::define(format!("ALTER {target} {state}")));
            }
            (letter, None) => {
                let text = format!("state {letter} of event trigger {name}");
                out.leave_out(ObjectClass::Unknown, None, text);
            }
        }
        out.commentable(key, draft, target);
    }
    Ok(())
}
