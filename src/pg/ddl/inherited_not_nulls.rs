//! What children have of the NOT NULL of their parents. From 18 on it has a name, which is that of
//! the first parent to give one, and no statement changes it. Parents may name it differently, and
//! the one that it was named after may be gone. So a parent for the time being names it.

use super::collection::Key;
use super::columns::Column;
use super::constraints::{Constraint, Constraints};
use super::relations::{Relation, Relations};
use crate::pg::ident;
use std::collections::HashMap;

/// Both sides of an inheritance.
#[derive(Clone, Copy)]
pub(super) struct NotNulls<'a> {
    pub relations: &'a Relations,
    pub constraints: &'a Constraints,
}

/// What stands around the statement that gives children a NOT NULL.
#[derive(Default)]
pub(super) struct Around {
    pub before: Vec<String>,
    pub after: Vec<String>,
}

impl<'a> NotNulls<'a> {
    /// What the parents have of it, in the order in which the server asks them.
    fn above(
        self,
        table: &Relation,
        own: &Constraint,
    ) -> impl Iterator<Item = (&'a Relation, &'a Constraint)> + use<'a> {
        let (child, column) = (table.oid, own.column(self.relations));
        let columns = move |own: &'a Column| self.relations.inherited(child, &own.name);
        column.into_iter().flat_map(columns).filter_map(move |(parent, column)| {
            let above = self.constraints.not_null_of(parent.oid, column)?;
            (!above.no_inherit).then_some((parent, above))
        })
    }

    /// Whether a parent's is valid before the rows come.
    pub fn comes_valid(self, table: &Relation, own: &Constraint) -> bool {
        self.above(table, own)
            .any(|(parent, above)| above.validated && !self.comes_by_set(parent, above))
    }

    /// Whether only SET NOT NULL of a table above makes it valid.
    fn comes_by_set(self, table: &Relation, own: &Constraint) -> bool {
        let mut valid = self.above(table, own).filter(|(_, above)| above.validated).peekable();
        let is_from_above = !own.is_local && valid.peek().is_some();
        own.is_set
            || (is_from_above && valid.all(|(parent, above)| self.comes_by_set(parent, above)))
    }

    /// Whether SET NOT NULL makes it, after what is not valid below: that alone leaves this so (18). It
    /// names it itself.
    pub fn is_set(self, own: &'a Constraint) -> bool {
        let (Some(table), Some(column)) =
            (self.relations.get(own.relation), own.column(self.relations))
        else {
            return false;
        };
        let is_alone = own.is_local && !own.is_inherited && !own.no_inherit;
        let name = format!("{}_{}_not_null", table.name.name, column.name);
        if own.is_set || !own.validated || !is_alone || column.identity != ' ' || own.name != name {
            return false;
        }
        let below = self.relations.descendants(table.oid).into_iter();
        let copies: Vec<(&Relation, &Constraint)> = below
            .filter_map(|below| {
                Some((below, self.constraints.copy_below(self.relations, own, below.oid)?))
            })
            .collect();
        // What has come from here has the name from here, unless it was there before.
        let is_named = |(below, copy): &(&Relation, &Constraint)| {
            let mut above = self.above(below, copy);
            !copy.validated
                || copy.is_local
                || copy.name == own.name
                || above.any(|(_, above)| !above.validated && above.name == copy.name)
        };
        copies.iter().any(|(_, copy)| !copy.validated)
            && copies.iter().all(is_named)
            && self.constraints.has_name_alone(own)
    }

    /// Whether it is the table's own beside one from above, and comes back so: of a partition's that is so
    /// where one above is valid.
    pub fn is_also_own(self, own: &Constraint) -> bool {
        let comes_back = |table: &Relation| {
            !table.is_partition || (own.validated && self.comes_valid(table, own))
        };
        let table = self.relations.get(own.relation);
        own.is_local && own.is_inherited && table.is_some_and(comes_back)
    }

    /// Whether it is not valid although a parent's is. SET NOT NULL of the parent leaves it so (18); no other
    /// statement makes such a thing, and a child that is made has it valid.
    pub fn contradict(self, own: &'a Constraint) -> bool {
        let table = self.relations.get(own.relation);
        !own.validated && table.is_some_and(|table| self.comes_valid(table, own))
    }

    /// Whether a partition gets it from above after the rows, and only then can be told to be valid;
    /// as long as it is called as it will be called then.
    pub fn comes_late(self, own: &'a Constraint) -> bool {
        let Some(table) = self.relations.get(own.relation) else { return false };
        own.validated
            && !own.is_local
            && !own.comes_late
            && table.is_partition
            && self.above(table, own).filter(|(parent, _)| !parent.is_member).any(
                |(parent, above)| {
                    (above.comes_late || !above.validated || above.is_set)
                        && self.restored_name(parent, above) == own.name
                },
            )
    }

    /// What makes the NOT NULLs that a table has from above, and only after the rows.
    pub fn late_makers(self, table: &Relation) -> Vec<Key> {
        let own = self.constraints.not_nulls(table.oid);
        own.filter(|own| own.is_set || !own.is_separate(table))
            .filter(|own| self.early_name(table, own).is_none())
            .flat_map(|own| self.makers(table, own))
            .collect()
    }

    fn makers(self, table: &Relation, own: &'a Constraint) -> Vec<Key> {
        if own.is_separate(table) {
            return vec![own.key()];
        }
        self.above(table, own).flat_map(|(parent, above)| self.makers(parent, above)).collect()
    }

    /// What it is called before the rows come, if it is there by then.
    pub fn early_name(self, table: &Relation, own: &'a Constraint) -> Option<&'a str> {
        if table.is_member {
            return Some(&own.name);
        }
        if own.is_stated(table) {
            return own.validated.then_some(&own.name);
        }
        self.namer_of(table, own).map(|_| own.name.as_str())
    }

    /// The parent after which the server names it when it makes the table, and what it is called
    /// there, if a parent has one by then.
    fn namer_of(self, table: &Relation, own: &Constraint) -> Option<(&'a Relation, &'a str)> {
        self.above(table, own)
            .find_map(|(parent, above)| Some((parent, self.early_name(parent, above)?)))
    }

    /// What `COMMENT ON` names in a restore: a partition's that comes after the rows has its parent's name.
    pub fn comment_target(self, table: &Relation, own: &'a Constraint) -> String {
        let name = self.restored_name(table, own);
        format!("CONSTRAINT {} ON {}", ident::quote(name), table.sql())
    }

    fn restored_name(self, table: &Relation, own: &'a Constraint) -> &'a str {
        if let Some(name) = self.early_name(table, own) {
            return name;
        }
        match self.above(table, own).next() {
            Some((parent, above)) if !own.is_separate(table) && table.is_partition => {
                self.restored_name(parent, above)
            }
            _ => &own.name,
        }
    }

    /// The parents that `CREATE TABLE` names, and what makes and removes those for the time being.
    /// Before a parent that would give other names comes a child of it that gives the right ones: as
    /// it has the same columns, theirs in the table come in the same order as without it.
    pub fn parents(self, table: &Relation) -> (Vec<String>, Around) {
        let (mut parents, mut around) = (Vec::new(), Around::default());
        if table.is_partition {
            return (parents, around);
        }
        let mut named: HashMap<u32, Vec<String>> = HashMap::new();
        for own in self.constraints.not_nulls(table.oid).filter(|own| !own.is_stated(table)) {
            if let Some((parent, given)) = self.namer_of(table, own)
                && given != own.name
                && let Some(column) = own.column(self.relations)
            {
                let (name, column) = (ident::quote(&own.name), ident::quote(&column.name));
                let definition = format!("CONSTRAINT {name} NOT NULL {column}");
                named.entry(parent.oid).or_default().push(definition);
            }
        }
        for parent in self.relations.parents(table.oid) {
            if let Some(definitions) = named.get(&parent.oid) {
                let (namer, names) = (namer(table, around.before.len()), definitions.join(", "));
                around
                    .before
                    .push(format!("CREATE TABLE {namer} ({names}) INHERITS ({})", parent.sql()));
                around.after.extend(remove(table, &namer));
                parents.push(namer);
            }
            parents.push(parent.sql());
        }
        (parents, around)
    }

    /// Gives children that come to `original` after the rows, and call it differently, their name first.
    pub fn around(self, table: &Relation, original: &Constraint) -> Around {
        let mut around = Around::default();
        if original.kind != 'n' {
            return around;
        }
        let copy =
            |below: &Relation| self.constraints.copy_below(self.relations, original, below.oid);
        // The lowest first, since each is given to those below too; by two ways it is met twice.
        let mut below: Vec<&Relation> = Vec::new();
        for relation in self.relations.descendants(table.oid).into_iter().rev() {
            if !below.iter().any(|seen| seen.oid == relation.oid) {
                below.push(relation);
            }
        }
        let is_from_here = |oid: u32| below.iter().any(|below| below.oid == oid);
        let mut made = 0;
        for child in below.iter().filter(|child| !child.is_partition) {
            let Some(own) = copy(child) else { continue };
            let mut above = self.above(child, own).filter(|(parent, _)| is_from_here(parent.oid));
            let is_renamed =
                own.name != original.name || above.any(|(_, above)| above.name != own.name);
            let Some(column) = own.column(self.relations).filter(|_| is_renamed) else { continue };
            if self.early_name(child, own).is_some() {
                continue;
            }
            let parent = namer(child, made);
            made += 1;
            let (name, definition) = (ident::quote(&own.name), &original.definition);
            around.before.extend([
                format!("CREATE TABLE {parent} ({})", alike(column)),
                format!("ALTER TABLE {} INHERIT {parent}", child.sql()),
                format!("ALTER TABLE {parent} ADD CONSTRAINT {name} {definition}"),
            ]);
            around.after.extend(remove(child, &parent));
        }
        around
    }
}

/// The parent for the time being, where whoever makes the child may make it too.
fn namer(child: &Relation, number: usize) -> String {
    let name = ident::quote(&format!("pgark_names_not_null_{number}"));
    format!("{}.{name}", ident::quote(&child.name.schema))
}

fn remove(child: &Relation, parent: &str) -> [String; 2] {
    [format!("ALTER TABLE {} NO INHERIT {parent}", child.sql()), format!("DROP TABLE {parent}")]
}

/// A column that a child with this one may inherit; what it generates is the child's affair.
fn alike(column: &Column) -> String {
    let mut sql = format!("{} {}", ident::quote(&column.name), column.type_sql);
    if let Some(collation) = &column.collation {
        sql.push_str(&format!(" COLLATE {collation}"));
    }
    sql.push_str(match column.generated {
        's' => " GENERATED ALWAYS AS (NULL) STORED",
        'v' => " GENERATED ALWAYS AS (NULL) VIRTUAL",
        _ => "",
    });
    sql
}
