//! What the members of an extension are in one database, beside what they are in another.

use crate::model::name::plain_names;
use std::collections::BTreeMap;

/// Lines that say where a sequence stands: it moves with every use.
const POSITION: &str = "position of ";
/// Lines that say whose something is, where it is not the extension's owner's.
const OWNER: &str = "owner of ";

/// How sure it is that equal members have equal lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// One major version of the server: whatever differs has been changed.
    Exact,
    /// Texts that the server writes may differ: what is not there any more has been.
    Names,
}

/// Whether a line is no part of a definition.
pub fn is_position(line: &str) -> bool {
    line.starts_with(POSITION)
}

/// Whether a line says whose something is.
pub fn is_owner(line: &str) -> bool {
    line.starts_with(OWNER)
}

/// What `there` lacks of `archived`, has otherwise or has besides, in words. Parts of what is not there
/// are said with it.
pub fn changes(archived: &[String], there: &[String], certainty: Certainty) -> Vec<String> {
    let (before, now) = (by_name(archived), by_name(there));
    let missing = |name: &str| !now.contains_key(name);
    let mut changes = Vec::new();
    for (name, detail) in &before {
        match now.get(name) {
            // A role may not be allowed to see it.
            None if is_position(name) => {}
            None if whole(name).any(|whole| before.contains_key(&*whole) && missing(&whole)) => {}
            None => changes.push(format!("{} is not there", plain_names(name))),
            Some(other) if is_position(name) && other != detail => {
                changes.push(format!("{} was {detail} and is {other}", plain_names(name)));
            }
            Some(other) if other != detail && certainty == Certainty::Exact => {
                changes.push(format!("{} is another", plain_names(name)));
            }
            Some(_) => {}
        }
    }
    let is_new = |name: &&&str| !before.contains_key(**name) && !is_position(name);
    if certainty == Certainty::Exact {
        for name in now.keys().filter(is_new) {
            if !whole(name).any(|whole| is_new(&&&*whole) && now.contains_key(&*whole)) {
                changes.push(format!("{} was not there", plain_names(name)));
            }
        }
    }
    changes
}

fn by_name(lines: &[String]) -> BTreeMap<&str, &str> {
    lines.iter().map(|line| line.split_once(": ").unwrap_or((line, ""))).collect()
}

/// What something may be a part of: the table of `trigger t on s.t`, of `table column s.t.c`; what a
/// comment is on.
fn whole(name: &str) -> impl Iterator<Item = String> {
    let bare = ["comment on ", OWNER, POSITION].iter().find_map(|about| name.strip_prefix(about));
    let on = name.rsplit_once(" on ").map(|(_, table)| table);
    let column = name.split_once(" column ").and_then(|(_, column)| column.rsplit_once('.'));
    let tables = on.into_iter().chain(column.map(|(table, _)| table));
    let kinds = ["table", "view", "materialized view", "foreign table", "composite type", "type"];
    let tables: Vec<String> =
        tables.flat_map(|table| kinds.map(|kind| format!("{kind} {table}"))).collect();
    bare.map(str::to_owned).into_iter().chain(tables)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(|line| line.trim().to_owned()).collect()
    }

    #[test]
    fn what_was_changed_is_named_once() {
        let archived = lines(
            "comment on table s.gone: x
             function s.f(): one
             function s.g()
             index s.i: btree (a)
             position of sequence s.hidden: 5
             position of sequence s.q: 5
             table s.gone
             table column s.gone.a: integer
             table column s.t.a: integer
             table s.t: row security
             trigger r on s.gone: r",
        );
        let there = lines(
            "function s.f(): two
             function s.new()
             table column s.t.a: integer
             table s.t
             position of sequence s.q: unused
             position of sequence s.r: 1
             table column s.n.a
             table s.n",
        );
        assert_eq!(
            changes(&archived, &there, Certainty::Exact),
            [
                "function s.f() is another",
                "function s.g() is not there",
                "index s.i is not there",
                "position of sequence s.q was 5 and is unused",
                "table s.gone is not there",
                "table s.t is another",
                "function s.new() was not there",
                "table s.n was not there",
            ]
        );
        assert_eq!(
            changes(&archived, &there, Certainty::Names),
            [
                "function s.g() is not there",
                "index s.i is not there",
                "position of sequence s.q was 5 and is unused",
                "table s.gone is not there"
            ]
        );
        assert!(changes(&archived, &archived, Certainty::Exact).is_empty());
    }
}
