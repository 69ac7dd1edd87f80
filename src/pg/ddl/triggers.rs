//! Triggers and constraint triggers.

use super::collection::{Collection, Draft, Key};
use super::dependencies::Graph;
use super::extensions;
use super::relations::{Relation, Relations};
use super::rows;
use crate::error::Result;
use crate::model::catalog::Property;
use crate::model::schema::{ObjectClass, Statement};
use crate::pg::client::Client;
use crate::pg::ident;
use std::collections::HashMap;

struct Trigger {
    oid: u32,
    parent: u32,
    relation: u32,
    name: String,
    enabled: char,
    /// For constraint triggers, the row of `pg_constraint` that stands beside.
    constraint: u32,
    definition: Option<String>,
}

impl Trigger {
    fn key(&self) -> Key {
        Key::trigger(self.oid)
    }

    fn comment_target(&self, relation: &Relation) -> String {
        format!("TRIGGER {} ON {}", ident::quote(&self.name), relation.sql())
    }
}

/// Collects triggers; the copies that partitions have are claimed with the original.
pub(super) fn collect(
    client: &mut Client,
    out: &mut Collection,
    graph: &Graph,
    relations: &Relations,
) -> Result<()> {
    let triggers = read(client)?;
    let by_oid: HashMap<u32, &Trigger> = triggers.iter().map(|one| (one.oid, one)).collect();
    for trigger in triggers.iter().filter(|trigger| trigger.parent == 0) {
        let (Some(relation), Some(definition)) =
            (relations.get(trigger.relation), &trigger.definition)
        else {
            continue;
        };
        let draft = Draft::new(ObjectClass::Trigger, Some(&relation.name.schema), &trigger.name)
            .part_of(relation.name.clone())
            .define(definition.as_str())
            .needs(relation.key())
            .after_data();
        let index = out.add(trigger.key(), draft)?;
        if trigger.constraint != 0 {
            out.claim(Key::constraint(trigger.constraint), index)?;
        }
        let own = ident::quote(&trigger.name);
        let bare = ["CREATE TRIGGER ", "CREATE CONSTRAINT TRIGGER "].iter().find_map(|words| {
            definition.strip_prefix(words)?.strip_prefix(&own)?.strip_prefix(' ')
        });
        let description = out.described(index);
        description.set(Property::Definition, bare.unwrap_or(definition));
        description.set_some(Property::Enabled, state_word(trigger.enabled));
        out.commentable(trigger.key(), index, trigger.comment_target(relation));
        enable(out, index, relation, trigger, trigger.enabled != 'O');
        let marked = format!("{} ON {}", ident::quote(&trigger.name), relation.sql());
        for extension in graph.marked_extensions(trigger.key()) {
            extensions::mark(out, index, extension, "TRIGGER", &marked);
        }
    }
    // A copy is made before the copies below it, so this is the order from the top down.
    for copy in triggers.iter().filter(|trigger| trigger.parent != 0) {
        let mut root = copy;
        while let Some(parent) = by_oid.get(&root.parent) {
            root = parent;
        }
        // That of an extension's table comes as the partition is attached to it.
        let attached = || {
            let partition = relations.attached_to_member(copy.relation)?;
            out.maker(Key::attach(partition.oid)).filter(|_| root.parent == 0)
        };
        let made = out.maker(root.key()).or_else(attached);
        let (Some(draft), Some(relation)) = (made, relations.get(copy.relation)) else { continue };
        out.claim_implied(copy.key(), draft)?;
        if copy.constraint != 0 {
            out.claim_implied(Key::constraint(copy.constraint), draft)?;
        }
        out.commentable(copy.key(), draft, copy.comment_target(relation));
        if copy.enabled != root.enabled {
            let state = state_word(copy.enabled).unwrap_or("origin");
            let state = format!("{}: {state}", relation.name);
            out.described(draft).add(Property::EnabledOnPartitions, state);
        }
        // Before 15 the state of the original reaches its copies even with ONLY.
        enable(out, draft, relation, copy, copy.enabled != 'O' || root.enabled != 'O');
    }
    Ok(())
}

fn read(client: &mut Client) -> Result<Vec<Trigger>> {
    // The triggers behind foreign keys and deferrable constraints are internal. So are the copies
    // on partitions before 15, which are told by their parent.
    let sql = "SELECT t.oid, t.tgparentid AS parent, t.tgrelid AS relation,
                t.tgname::text AS name, t.tgenabled::text AS enabled,
                t.tgconstraint AS constraint,
                CASE WHEN t.tgparentid = 0 THEN pg_get_triggerdef(t.oid, false) END AS definition
         FROM pg_catalog.pg_trigger AS t
         WHERE t.oid >= 16384 AND (NOT t.tgisinternal OR t.tgparentid <> 0)
         ORDER BY t.oid";
    let mut triggers = Vec::new();
    for row in rows::query(client, "triggers", sql)? {
        triggers.push(Trigger {
            oid: row.get("oid")?,
            parent: row.get("parent")?,
            relation: row.get("relation")?,
            name: row.get("name")?,
            enabled: row.letter("enabled")?,
            constraint: row.get("constraint")?,
            definition: row.get("definition")?,
        });
    }
    Ok(triggers)
}

/// The state in which a trigger fires, where it is not the usual one.
pub(super) fn state_word(letter: char) -> Option<&'static str> {
    match letter {
        'O' => None,
        'D' => Some("no"),
        'R' => Some("replica"),
        'A' => Some("always"),
        // Reported where the state is set.
        _ => Some("unknown"),
    }
}

/// Sets the state in which a trigger fires; ONLY, since each copy may have its own.
fn enable(out: &mut Collection, draft: usize, relation: &Relation, trigger: &Trigger, say: bool) {
    let Some(state) = firing(trigger.enabled) else {
        let (letter, name) = (trigger.enabled, &trigger.name);
        let text = format!("state {letter} of trigger {name} on {}", relation.name);
        out.leave_out_on(&relation.name, ObjectClass::Unknown, None, text);
        return;
    };
    if say {
        let sql = format!(
            "ALTER TABLE ONLY {} {state} TRIGGER {}",
            relation.sql(),
            ident::quote(&trigger.name)
        );
        out.push(draft, Statement::define(sql));
    }
}

/// The word for `tgenabled`, `ev_enabled` and `evtenabled`; `None` for an unknown letter.
pub(super) fn firing(letter: char) -> Option<&'static str> {
    match letter {
        'O' => Some("ENABLE"),
        'D' => Some("DISABLE"),
        'R' => Some("ENABLE REPLICA"),
        'A' => Some("ENABLE ALWAYS"),
        _ => None,
    }
}
