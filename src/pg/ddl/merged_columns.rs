//! Children of several parents. `CREATE TABLE … INHERITS` refuses parents that disagree on what a
//! column is stored like, or defaults to. What is altered in one of them later makes them
//! disagree all the same. So they agree while the child is made, and disagree again at once. So does a
//! parent with its foreign child on a compression, which nobody can set there.

use super::collection::Key;
use super::columns::{self, Column};
use super::relations::{Relation, Relations};

/// How parents agree while a child is made.
#[derive(Default)]
pub(super) struct Agreement {
    /// Before the child is made.
    pub before: Vec<String>,
    /// After that.
    pub after: Vec<String>,
    /// Defaults that must be there before, since they are taken away and put back.
    pub needs: Vec<Key>,
}

impl Agreement {
    /// Of the parents of `table`. What the child says of `stated` columns holds for their defaults,
    /// but not for their storage.
    pub fn of(relations: &Relations, table: &Relation, stated: impl Fn(&Column) -> bool) -> Self {
        let mut agreement = Self::default();
        if table.is_partition {
            return agreement;
        }
        for column in relations.columns(table.oid) {
            let above: Vec<_> = relations.inherited(table.oid, &column.name).collect();
            if table.foreign.is_some() {
                agreement.on_compression_of_foreign(column, &above);
            }
            if above.len() < 2 {
                continue;
            }
            agreement.on_storage(&above);
            if table.foreign.is_none() {
                agreement.on_compression(&above);
            }
            if !stated(column) {
                agreement.on_defaults(&above);
            }
        }
        agreement
    }

    fn on_storage(&mut self, above: &[(&Relation, &Column)]) {
        let Some(((_, first), others)) = above.split_first() else { return };
        let first = first.storage.before_rows();
        for (parent, other) in
            others.iter().filter(|(_, other)| other.storage.before_rows() != first)
        {
            let set = |letter| columns::set_storage(&parent.sql(), &other.name, letter);
            self.before.push(set(first));
            self.after.push(set(other.storage.before_rows()));
        }
    }

    fn on_compression(&mut self, above: &[(&Relation, &Column)]) {
        let mut having = above.iter().filter(|(_, column)| column.compression != ' ');
        let Some((_, first)) = having.next() else { return };
        for (parent, other) in having.filter(|(_, other)| other.compression != first.compression) {
            self.compress(parent, other, first.compression);
        }
    }

    fn on_compression_of_foreign(&mut self, column: &Column, above: &[(&Relation, &Column)]) {
        let differs = |other: &Column| other.compression != column.compression;
        let can_be_set = |parent: &Relation| parent.foreign.is_none();
        for (parent, other) in above.iter().filter(|(up, other)| can_be_set(up) && differs(other)) {
            self.compress(parent, other, column.compression);
        }
    }

    fn compress(&mut self, parent: &Relation, column: &Column, meanwhile: char) {
        let set = |letter| columns::set_compression(&parent.sql(), &column.name, letter);
        self.before.push(set(meanwhile));
        self.after.push(set(column.compression));
    }

    fn on_defaults(&mut self, above: &[(&Relation, &Column)]) {
        let text = |column: &Column| column.default.as_ref().map(|(_, text)| text.clone());
        let mut having = above.iter().filter(|(_, column)| column.default.is_some());
        let Some((_, lead)) = having.next() else { return };
        for (parent, other) in having.filter(|(_, other)| text(other) != text(lead)) {
            let Some((key, expression)) = &other.default else { continue };
            let parent = parent.sql();
            if other.generated == ' ' {
                self.needs.push(*key);
                self.before.push(columns::drop_default(&parent, &other.name));
                self.after.push(columns::set_default(&parent, &other.name, expression));
            } else {
                self.before.extend(columns::set_expression(&parent, lead));
                self.after.extend(columns::set_expression(&parent, other));
            }
        }
    }
}
