//! The triggers behind foreign keys and deferrable keys. `ALTER TABLE … DISABLE TRIGGER ALL` turns them
//! off, and with them the constraint, which goes on looking valid; `pg_dump` does not see it.

use super::collection::Collection;
use super::constraints::{Constraint, Constraints};
use super::foreign_keys;
use super::relations::{Relation, Relations};
use super::rows;
use super::triggers::{firing, state_word};
use crate::error::Result;
use crate::model::catalog::{Address, Property};
use crate::model::schema::{ObjectClass, Statement};
use crate::pg::client::Client;
use crate::pg::ident;

/// One that does not fire as usual. What names it for good is where it is, since its own name is a number.
struct Switched {
    /// The tables of the constraint: the one that has it, and the one that it refers to or `-`.
    tables: [String; 2],
    /// The table that the trigger is on.
    place: String,
    function: String,
    enabled: char,
}

/// Gives triggers behind constraints the states that they have; to be called when all constraints and
/// their copies are there.
pub(super) fn collect(
    client: &mut Client,
    out: &mut Collection,
    relations: &Relations,
    constraints: &Constraints,
) -> Result<()> {
    let by_oid = constraints.by_oid();
    let mut of_root: Vec<(&Constraint, usize, Vec<Switched>)> = Vec::new();
    // In an order that does not hang on OIDs. With an empty search path names come qualified.
    let sql = "SELECT t.tgconstraint AS constraint, con.conrelid::regclass::text AS relation,
                con.confrelid::regclass::text AS other, t.tgrelid::regclass::text AS place,
                f.proname::text AS function, t.tgenabled::text AS enabled
         FROM pg_catalog.pg_trigger AS t
         JOIN pg_catalog.pg_constraint AS con ON con.oid = t.tgconstraint
         JOIN pg_catalog.pg_proc AS f ON f.oid = t.tgfoid
         WHERE t.oid >= 16384 AND t.tgisinternal AND t.tgenabled <> 'O'
           AND con.contype IN ('f', 'p', 'u', 'x')
         ORDER BY 2, con.conname, 3, 4, 5";
    for row in rows::query(client, "triggers behind constraints", sql)? {
        let Some(own) = by_oid.get(&row.get("constraint")?) else { continue };
        // A key's copy on a partition has a name of its own.
        let root = if own.kind == 'f' { by_oid.get(&own.root).unwrap_or(own) } else { own };
        let Some(draft) = out.maker(root.key()) else { continue };
        let switched = Switched {
            tables: [row.get("relation")?, row.get("other")?],
            place: row.get("place")?,
            function: row.get("function")?,
            enabled: row.letter("enabled")?,
        };
        match of_root.iter_mut().find(|(of, ..)| of.oid == root.oid) {
            Some((_, _, all)) => all.push(switched),
            None => of_root.push((root, draft, vec![switched])),
        }
    }
    for (root, draft, all) in of_root {
        let Some(table) = relations.get(root.relation) else { continue };
        let of = out.address(root.key()).unwrap_or_else(|| Address::of(out.object(draft)));
        let mut wanted = Vec::new();
        for one in &all {
            let Some(state) = firing(one.enabled) else {
                let (letter, name) = (one.enabled, &root.name);
                let text = format!("state {letter} of a trigger of {name} on {}", one.place);
                out.leave_out_on(&table.name, ObjectClass::Unknown, None, text);
                continue;
            };
            let word = state_word(one.enabled).unwrap_or("origin");
            let line = format!("{} {}: {word}", one.place, one.function);
            out.describe(draft, of.clone()).add(Property::InternalTriggers, line);
            wanted.push(one.row(state));
        }
        if !wanted.is_empty() {
            out.push(draft, Statement::define(switch(table, root, &wanted)));
        }
    }
    Ok(())
}

impl Switched {
    /// As one of VALUES.
    fn row(&self, state: &str) -> String {
        let [relation, other] = self.tables.each_ref().map(|name| ident::literal(name));
        let (place, function) = (ident::literal(&self.place), ident::literal(&self.function));
        // A partition may have been left out.
        let [relation, other, place] = [relation, other, place]
            .map(|name| format!("coalesce(pg_catalog.to_regclass({name}), 0::regclass)"));
        format!("({relation}, {other}, {place}, {function}, '{state}')")
    }
}

/// Only a superuser may touch such a trigger; for others a restore says so beforehand.
fn switch(table: &Relation, root: &Constraint, wanted: &[String]) -> String {
    let body = format!(
        "DECLARE one record; BEGIN \
         IF current_setting('is_superuser') <> 'on' THEN \
         RAISE WARNING 'constraint % on % is in force: only a superuser may disable its triggers', {name}, {of}; \
         RETURN; END IF; \
         FOR one IN {copies} SELECT t.tgrelid::regclass AS place, t.tgname AS name, w.state \
         FROM copies AS c JOIN pg_catalog.pg_trigger AS t ON t.tgconstraint = c.oid \
         JOIN pg_catalog.pg_proc AS f ON f.oid = t.tgfoid \
         JOIN (VALUES {wanted}) AS w(relation, other, place, function, state) \
         ON w.relation = c.conrelid AND w.other = c.confrelid AND w.place = t.tgrelid \
         AND w.function = f.proname \
         LOOP EXECUTE format('ALTER TABLE ONLY %s %s TRIGGER %I', one.place, one.state, one.name); \
         END LOOP; END",
        name = ident::literal(&root.name),
        of = ident::literal(&table.sql()),
        copies = foreign_keys::with_copies(table, root),
        wanted = wanted.join(", "),
    );
    format!("DO {}", ident::literal(&body))
}
