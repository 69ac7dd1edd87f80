//! One constraint, and what follows from what the catalogs say of it.

use super::collection::Key;
use super::columns::Column;
use super::relations::{Relation, Relations};
use crate::model::catalog::{Description, Property};
use crate::pg::ident;

/// A row of `pg_constraint`.
pub(super) struct Constraint {
    pub oid: u32,
    pub name: String,
    /// `contype`.
    pub kind: char,
    /// The table; 0 for constraints of domains.
    pub relation: u32,
    /// The domain; 0 for constraints of tables.
    pub domain: u32,
    /// The index behind it; for a foreign key the one it refers to.
    pub index: u32,
    /// The constraint, on a partitioned table above, that this one is a copy of; else 0.
    pub parent: u32,
    /// The one at the top, which no copy is.
    pub root: u32,
    /// For a foreign key: the table it refers to.
    pub refers_to: u32,
    /// Whether there is a comment on a copy.
    pub is_copy_with_comment: bool,
    /// What no parent gives any more is the table's own: the server forgets to say so where a
    /// parent's column was dropped, and `pg_dump` leaves such a CHECK out.
    pub is_local: bool,
    pub is_inherited: bool,
    pub validated: bool,
    /// Only 18 knows constraints that are not.
    pub enforced: bool,
    /// For NOT NULL of 18: the column.
    pub column: Option<i16>,
    pub no_inherit: bool,
    pub deferrable: bool,
    pub deferred: bool,
    /// Whether its index excludes: what the server never attaches to another one's index.
    pub excludes: bool,
    /// Whether its index is valid: of a partitioned table, that all partitions have it.
    pub is_whole: bool,
    /// Whether it comes after the rows: a NOT NULL that a partition has from one that is not valid above,
    /// and is valid itself; a CHECK that the clock, or rows of any table, decide.
    pub comes_late: bool,
    /// Whether this NOT NULL stays when the one above goes.
    pub is_also_own: bool,
    /// Whether SET NOT NULL makes this after the rows.
    pub is_set: bool,
    /// Whether this NOT NULL is not valid though one above is, and is taken for valid.
    pub is_contradicted: bool,
    /// What follows the name: `CHECK (…)`.
    pub definition: String,
}

impl Constraint {
    pub fn key(&self) -> Key {
        Key::constraint(self.oid)
    }

    /// Whether the table states it itself; a partition, which is made alone, states all that can be there
    /// before the rows. It would keep a NOT NULL of its own when one above goes that came after it.
    pub fn is_stated(&self, table: &Relation) -> bool {
        !self.is_set && (self.is_local || (table.is_partition && !self.comes_late))
    }

    /// Whether it can be an object of its own. What a partition has from its parent alone and comes
    /// after the rows is added through the parent, and could not be added twice.
    pub fn is_separate(&self, table: &Relation) -> bool {
        let early = self.validated && self.enforced && !self.comes_late;
        self.is_local || (table.is_partition && (early || !self.is_inherited))
    }

    /// The column of a NOT NULL.
    pub fn column<'a>(&self, relations: &'a Relations) -> Option<&'a Column> {
        relations.column(self.relation, self.column?)
    }

    /// Says what it is.
    pub fn describe(&self, description: &mut Description) {
        let mut definition = self.definition.as_str();
        // The server puts them behind the definition, in the reverse order.
        for (holds, words) in [
            (!self.validated, " NOT VALID"),
            (!self.enforced, " NOT ENFORCED"),
            (self.deferred, " INITIALLY DEFERRED"),
            (self.deferrable, " DEFERRABLE"),
            (self.kind == 'c' && self.no_inherit, " NO INHERIT"),
        ] {
            if let Some(bare) = holds.then(|| definition.strip_suffix(words)).flatten() {
                definition = bare;
            }
        }
        let deferrable = match (self.deferrable, self.deferred) {
            (_, true) => Some("initially deferred"),
            (true, false) => Some("yes"),
            (false, false) => None,
        };
        description
            .set(Property::Definition, definition)
            .set_if(Property::NoInherit, self.kind == 'c' && self.no_inherit)
            .set_some(Property::Deferrable, deferrable)
            .set_some(Property::Enforced, (!self.enforced).then_some("no"))
            .set_some(Property::Validated, (self.enforced && !self.validated).then_some("no"))
            .set_if(Property::Inherited, !self.is_local);
    }

    /// What `COMMENT ON` names.
    pub fn comment_target(&self, table: &Relation) -> String {
        format!("CONSTRAINT {} ON {}", ident::quote(&self.name), table.sql())
    }
}
