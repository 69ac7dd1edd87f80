//! Children of several parents. `CREATE TABLE … INHERITS` refuses parents that disagree on what a
//! column is stored like, or defaults to. What is altered in one of them later makes them
//! disagree all the same. So they agree while the child is made, and disagree again at once.

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
        if table.is_partition || relations.parents(table.oid).count() < 2 {
            return agreement;
        }
        for column in relations.columns(table.oid) {
            let above: Vec<_> = relations.inherited(table.oid, &column.name).collect();
            agreement.on_storage(&above);
            if !stated(column) {
                agreement.on_defaults(&above);
            }
        }
        agreement
    }

    fn on_storage(&mut self, above: &[(&Relation, &Column)]) {
        let Some(((_, first), others)) = above.split_first() else { return };
        let compressed = above.iter().map(|(_, column)| *column).find(|c| c.compression != ' ');
        for (parent, other) in others {
            let parent = parent.sql();
            if other.storage.0 != first.storage.0 {
                self.before.push(columns::set_storage(&parent, &other.name, first.storage.0));
                self.after.push(columns::set_storage(&parent, &other.name, other.storage.0));
            }
            if let Some(compressed) = compressed
                && other.compression != ' '
                && other.compression != compressed.compression
            {
                let set = |letter| columns::set_compression(&parent, &other.name, letter);
                self.before.push(set(compressed.compression));
                self.after.push(set(other.compression));
            }
        }
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
