//! Tables, foreign ones among them: `CREATE TABLE` with all that belongs into it, and what can only be said afterwards.

use super::collection::{Collection, Draft, Key};
use super::columns::{self, NotNull};
use super::constraints::{Constraint, Constraints};
use super::dependencies::Graph;
use super::foreign;
use super::inherited_not_nulls::NotNulls;
use super::late_columns::{self, LateColumns};
use super::late_storage;
use super::merged_columns::Agreement;
use super::relations::{Relation, Relations};
use super::sequences::Sequences;
use crate::error::Result;
use crate::model::catalog::{Address, Description, Property};
use crate::model::schema::{ObjectClass, Statement};
use crate::pg::ident;

/// Collects tables, with their inline defaults and constraints.
pub(super) fn collect(
    out: &mut Collection,
    graph: &Graph,
    relations: &Relations,
    constraints: &Constraints,
    sequences: &Sequences,
) -> Result<()> {
    let source = Source { graph, relations, constraints, sequences };
    for table in relations.of_kind(&['r', 'p', 'f']) {
        source.collect(out, table)?;
    }
    Ok(())
}

struct Source<'a> {
    graph: &'a Graph,
    relations: &'a Relations,
    constraints: &'a Constraints,
    sequences: &'a Sequences,
}

impl Source<'_> {
    fn collect(&self, out: &mut Collection, table: &Relation) -> Result<()> {
        let checks = self.constraints.checks(table.oid);
        let late_from = late_columns::late_from(self.graph, self.relations, table);
        let is_inline = |check: &&Constraint| late_from.is_none() && self.is_inline(table, check);
        let inline: Vec<&Constraint> = checks.iter().copied().filter(is_inline).collect();
        let (name, keyword, class) = (table.sql(), table.keyword(), table.table_class());
        let parents = Agreement::of(self.relations, table, |column| is_printed(table, column));
        let mut draft = Draft::new(class, Some(&table.name.schema), &table.name.name);
        let (inherits, around) = self.not_nulls().parents(table);
        for sql in parents.before.into_iter().chain(around.before) {
            draft = draft.define(sql);
        }
        let draft = draft
            .define(self.create(table, &inherits, &inline, late_from))
            .in_tablespace(table.tablespace.as_deref())
            .owned_by(&table.owner, &format!("{keyword} {name}"));
        let index = out.add(table.key(), draft)?;
        let late = late_from.map(|from| {
            let definition = |column: &columns::Column| self.definition(table, column);
            late_columns::collect(out, self.relations, table, from, definition)
        });
        let last = late.map_or(index, |late| late.draft);
        out.commentable_relation(table.key(), last, keyword, &name);
        if table.foreign.is_some() {
            // They are another server's.
            out.note(&table.name, class, format!("rows of foreign table {}", table.name));
        }
        if !table.is_partition {
            for parent in self.relations.parents(table.oid) {
                out.add_need(index, parent.key());
            }
        }
        for key in parents.needs {
            out.add_need(index, key);
        }
        for sql in around.after.into_iter().chain(parents.after) {
            out.push(index, Statement::define(sql));
        }
        self.describe(out.described(index), table);
        self.claim_constraints(out, table, last, &checks, &inline)?;
        self.set_columns(out, table, index, late)?;
        late_storage::collect(out, index, table, self.relations.columns(table.oid))?;
        if let Some(sql) = replica_identity(table) {
            out.push(index, Statement::define(sql));
        }
        Ok(())
    }

    fn describe(&self, description: &mut Description, table: &Relation) {
        describe_relation(description, table);
        description.set_some(Property::PartitionKey, table.partition_key.as_deref());
        if !table.is_partition {
            let parents = self.relations.parents(table.oid).map(|parent| parent.name.to_string());
            let parents: Vec<String> = parents.collect();
            description.set_some(Property::Inherits, (!parents.is_empty()).then_some(parents));
        }
        let columns = self.relations.columns(table.oid).iter();
        columns::describe(description, table, columns, self.constraints);
    }

    /// Checks that were validated, that the table itself states, and that need nothing but the
    /// table. `CHECK … NOT VALID` inside `CREATE TABLE` would become valid (P12).
    fn is_inline(&self, table: &Relation, check: &Constraint) -> bool {
        check.is_stated(table)
            && check.validated
            && check.enforced
            && !check.comes_late
            && self.graph.is_self_contained(check.key(), table.key())
    }

    fn not_nulls(&self) -> NotNulls<'_> {
        NotNulls { relations: self.relations, constraints: self.constraints }
    }

    /// What `CREATE TABLE` says of a column's NOT NULL. Before 18 nobody knows whose it is: then it is its
    /// parents', since DROP NOT NULL of these takes it away.
    fn not_null(&self, table: &Relation, column: &columns::Column) -> NotNull<'_> {
        match self.constraints.not_null(table, column) {
            NotNull::Plain if !table.is_partition && self.is_not_null_above(table, column) => {
                NotNull::Unsaid
            }
            NotNull::Plain if is_printed(table, column) => {
                match self.constraints.room_for_not_null(table, column) {
                    Some(name) => NotNull::Named { name: name.into(), rest: "" },
                    None => NotNull::Plain,
                }
            }
            said => said,
        }
    }

    fn is_not_null_above(&self, table: &Relation, column: &columns::Column) -> bool {
        self.relations.inherited(table.oid, &column.name).any(|(_, above)| above.not_null)
    }

    fn definition(&self, table: &Relation, column: &columns::Column) -> String {
        let not_null = self.not_null(table, column);
        let sequence = self.sequences.of_identity(table.oid, column.number);
        columns::definition(table, column, self.stated_default(table, column), sequence, &not_null)
    }

    fn stated_default<'a>(&self, table: &Relation, column: &'a columns::Column) -> Option<&'a str> {
        self.inline_default(table, column).filter(|_| !self.inherits_generation(table, column))
    }

    fn create(
        &self,
        table: &Relation,
        inherits: &[String],
        inline: &[&Constraint],
        late_from: Option<usize>,
    ) -> String {
        let mut parts = Vec::new();
        let mut afterwards = Vec::new();
        for (place, column) in self.relations.columns(table.oid).iter().enumerate() {
            let not_null = self.not_null(table, column);
            if !is_printed(table, column) {
                // On 18 a column that comes from the parent can have a NOT NULL of its own.
                if let NotNull::Named { name, rest } = not_null {
                    afterwards.push(format!(
                        "CONSTRAINT {} NOT NULL {}{rest}",
                        ident::quote(&name),
                        ident::quote(&column.name)
                    ));
                }
                continue;
            }
            match &table.of_type {
                None if late_from.is_some_and(|from| place >= from) => {}
                None => parts.push(self.definition(table, column)),
                // The type gives the columns; only what it cannot say is spelled out.
                Some(_) => {
                    let default = self.stated_default(table, column);
                    parts.extend(columns::options(column, default, &not_null));
                }
            }
        }
        parts.extend(afterwards);
        parts.extend(
            inline.iter().map(|check| {
                format!("CONSTRAINT {} {}", ident::quote(&check.name), check.definition)
            }),
        );
        let mut sql = String::from("CREATE ");
        // A partitioned table has no storage; 18 refuses the word for it.
        if table.unlogged && table.kind == 'r' {
            sql.push_str("UNLOGGED ");
        }
        sql.push_str(&format!("{} {}", table.keyword(), table.sql()));
        if let Some(of_type) = &table.of_type {
            sql.push_str(&format!(" OF {of_type}"));
        }
        if table.of_type.is_none() || !parts.is_empty() {
            let body: String =
                parts.iter().map(|part| format!("\n    {part}")).collect::<Vec<_>>().join(",");
            sql.push_str(&format!(" ({body}\n)"));
        }
        if !inherits.is_empty() {
            sql.push_str(&format!("\nINHERITS ({})", inherits.join(", ")));
        }
        if let Some(key) = &table.partition_key {
            sql.push_str(&format!("\nPARTITION BY {key}"));
        }
        if let Some((server, options)) = &table.foreign {
            let options = foreign::options(options);
            sql.push_str(&format!("\nSERVER {}{options}", ident::quote(server)));
        }
        sql.push_str(&storage(table));
        sql
    }

    /// What follows `DEFAULT`, where it may stand in the column's definition.
    fn inline_default<'a>(&self, table: &Relation, column: &'a columns::Column) -> Option<&'a str> {
        match &column.default {
            // The parent's, kept in the catalogs and never used: it comes back in the same way.
            Some(_) if column.identity != ' ' => None,
            Some((key, expression)) => {
                // A generation expression cannot be added later.
                let inline =
                    column.generated != ' ' || self.graph.is_self_contained(*key, table.key());
                inline.then_some(expression.as_str())
            }
            // Else the parent's default would come back (P15).
            None if column.identity == ' ' && self.parent_has_default(table, column) => {
                Some("NULL")
            }
            None => None,
        }
    }

    fn parent_has_default(&self, table: &Relation, column: &columns::Column) -> bool {
        !table.is_partition
            && column.generated == ' '
            && self
                .relations
                .inherited(table.oid, &column.name)
                .any(|(_, above)| above.default.is_some() && above.generated == ' ')
    }

    fn claim_constraints(
        &self,
        out: &mut Collection,
        table: &Relation,
        index: usize,
        checks: &[&Constraint],
        inline: &[&Constraint],
    ) -> Result<()> {
        for check in checks {
            if inline.iter().any(|candidate| candidate.oid == check.oid) {
                out.claim(check.key(), index)?;
                let of = Address::part(ObjectClass::Check, &table.name, check.name.as_str());
                out.name_row(check.key(), of.clone());
                check.describe(out.describe(index, of));
            } else if !check.is_separate(table) {
                out.claim_implied(check.key(), index)?;
            } else {
                continue;
            }
            out.commentable(check.key(), index, check.comment_target(table));
        }
        for not_null in self.constraints.not_nulls(table.oid) {
            if (not_null.validated && !not_null.is_set) || !not_null.is_separate(table) {
                out.claim_implied(not_null.key(), index)?;
                let target = self.not_nulls().comment_target(table, not_null);
                out.commentable(not_null.key(), index, target);
            }
        }
        Ok(())
    }

    /// What columns have that their definitions do not say, with the object that makes them. Defaults
    /// that need other objects become objects of their own, so that a serial column or a function over
    /// the table's rowtype makes no cycle.
    fn set_columns(
        &self,
        out: &mut Collection,
        table: &Relation,
        index: usize,
        late: Option<LateColumns>,
    ) -> Result<()> {
        let name = table.sql();
        let of_table = Address::within(table.table_class(), &table.name);
        for (place, column) in self.relations.columns(table.oid).iter().enumerate() {
            let index = late.and_then(|late| late.maker(table, place, column)).unwrap_or(index);
            let identity = self.sequences.of_identity(table.oid, column.number);
            if let Some(sequence) = identity {
                out.claim(Key::relation(sequence.oid), index)?;
                let of = Address::within(ObjectClass::Sequence, &sequence.name);
                out.name_row(Key::relation(sequence.oid), of.clone());
                sequence.describe_identity(out.describe(index, of), table, column);
                out.commentable_relation(
                    Key::relation(sequence.oid),
                    index,
                    "SEQUENCE",
                    &sequence.sql(),
                );
            }
            let printed = is_printed(table, column);
            let inline = self.inline_default(table, column);
            if let (Some((_, expression)), Some(_)) = (&column.default, inline) {
                let said = out.describe(index, of_table.clone()).column(&column.name);
                columns::describe_default(said, column, expression);
            }
            match (&column.default, inline) {
                (Some((key, _)), Some(_)) if column.generated != ' ' => {
                    out.claim(*key, index)?;
                    if !printed
                        && self.generation_differs(table, column)
                        && let Some(sql) = columns::set_expression(&name, column)
                    {
                        out.push(index, Statement::define(sql));
                    }
                }
                (Some((key, expression)), Some(_)) => {
                    out.claim(*key, index)?;
                    if !printed {
                        let sql = columns::set_default(&name, &column.name, expression);
                        out.push(index, Statement::define(sql));
                    }
                }
                (None, Some(_)) if !printed => {
                    let sql = columns::set_default(&name, &column.name, "NULL");
                    out.push(index, Statement::define(sql));
                }
                (Some((key, _)), None) if column.identity != ' ' => {
                    out.claim_implied(*key, index)?;
                }
                (Some((key, expression)), None) => {
                    let draft =
                        Draft::new(ObjectClass::Default, Some(&table.name.schema), &column.name)
                            .part_of(table.name.clone())
                            .define(columns::set_default(&name, &column.name, expression))
                            .needs(table.key());
                    let default = out.add(*key, draft)?;
                    let said = out.describe(default, of_table.clone()).column(&column.name);
                    columns::describe_default(said, column, expression);
                }
                _ => {}
            }
            if let Some(sql) = self.not_null_of_its_own(table, column, printed) {
                out.push(index, Statement::define(sql));
            }
            if let Some(sequence) = identity.filter(|_| !printed) {
                let has_default = self.parent_has_default(table, column);
                let sql = columns::add_identity(&name, column, sequence, has_default);
                out.push(index, Statement::define(sql));
            }
            if let Some(sequence) = identity {
                let own = [sequence.type_of_its_own(column), sequence.kept_persistence()];
                for sql in own.into_iter().flatten() {
                    out.push(index, Statement::define(sql));
                }
            }
            let inherited: Vec<&columns::Column> = if table.is_partition {
                Vec::new()
            } else {
                self.relations.inherited(table.oid, &column.name).map(|(_, above)| above).collect()
            };
            for sql in columns::settings(table, column, &inherited) {
                out.push(index, Statement::define(sql));
            }
            if let Some(options) = columns::sorted(&column.foreign_options) {
                let said = out.describe(index, of_table.clone()).column(&column.name);
                said.set(Property::ForeignOptions, options);
                let sql = format!(
                    "ALTER FOREIGN TABLE ONLY {name} ALTER COLUMN {}{}",
                    ident::quote(&column.name),
                    foreign::options(&column.foreign_options)
                );
                out.push(index, Statement::define(sql));
            }
        }
        Ok(())
    }

    /// What makes a column refuse NULL, or not, where its parents say otherwise. Before 18 NOT NULL is
    /// no constraint: `ALTER TABLE ONLY` changes it on either side, and `CREATE TABLE` takes it over.
    fn not_null_of_its_own(
        &self,
        table: &Relation,
        column: &columns::Column,
        printed: bool,
    ) -> Option<String> {
        if self.constraints.name_not_null() {
            return None;
        }
        let action = match (column.not_null, self.is_not_null_above(table, column)) {
            (true, false) if !printed => "SET",
            (false, true) => "DROP",
            _ => return None,
        };
        let (name, column) = (table.sql(), ident::quote(&column.name));
        Some(format!("ALTER TABLE ONLY {name} ALTER COLUMN {column} {action} NOT NULL"))
    }

    /// Whether all parents that have the column generate it in the same way. Before 16 the child
    /// may not say so again.
    fn inherits_generation(&self, table: &Relation, column: &columns::Column) -> bool {
        let mut above = self.relations.inherited(table.oid, &column.name).peekable();
        column.generated != ' '
            && !table.is_partition
            && above.peek().is_some()
            && above.all(|(_, above)| {
                let expression = |column: &columns::Column| {
                    column.default.as_ref().map(|(_, expression)| expression.clone())
                };
                above.generated == column.generated && expression(above) == expression(column)
            })
    }

    /// Whether a column generates something else than what it gets from its parents, which is the
    /// first one's expression.
    fn generation_differs(&self, table: &Relation, column: &columns::Column) -> bool {
        let expression = |column: &columns::Column| {
            column.default.as_ref().map(|(_, expression)| expression.clone())
        };
        let mut above = self.relations.inherited(table.oid, &column.name);
        above.find_map(|(_, above)| expression(above)) != expression(column)
    }
}

/// A column that only comes from a parent is not spelled out, or it would become the child's own
/// and survive when the parent drops it. A partition is made alone, with all its columns.
pub(super) fn is_printed(table: &Relation, column: &columns::Column) -> bool {
    column.is_local || table.is_partition
}

/// Says what tables and materialized views have in common.
pub(super) fn describe_relation(description: &mut Description, relation: &Relation) {
    let replica_identity = match relation.replica_identity {
        // Foreign tables have none, and the catalogs say so.
        _ if relation.foreign.is_some() => None,
        'f' => Some("full"),
        'n' => Some("nothing"),
        // `i` is said with its index; `d` is the default.
        _ => None,
    };
    description
        .set_some(Property::Persistence, relation.unlogged.then_some("unlogged"))
        .set_some(Property::OfType, relation.of_type.as_deref())
        .set_some(Property::AccessMethod, relation.access_method.as_deref())
        .set_some(Property::Tablespace, relation.tablespace.as_deref())
        .set_some(Property::Options, columns::sorted(&relation.options))
        .set_some(Property::ReplicaIdentity, replica_identity);
    if let Some((server, options)) = &relation.foreign {
        description
            .set(Property::Server, server.as_str())
            .set_some(Property::ForeignOptions, columns::sorted(options));
    }
}

/// What follows the columns of a table or materialized view: access method and options.
pub(super) fn storage(relation: &Relation) -> String {
    let mut sql = String::new();
    if let Some(access_method) = &relation.access_method {
        sql.push_str(&format!("\nUSING {}", ident::quote(access_method)));
    }
    if !relation.options.is_empty() {
        sql.push_str(&format!("\nWITH ({})", columns::option_list(&relation.options)));
    }
    sql
}

/// What identifies rows to subscribers.
pub(super) fn replica_identity(relation: &Relation) -> Option<String> {
    let word = match relation.replica_identity {
        _ if relation.foreign.is_some() => return None,
        'f' => "FULL",
        'n' => "NOTHING",
        // `i` is set with its index; `d` is the default.
        _ => return None,
    };
    Some(format!("ALTER TABLE ONLY {} REPLICA IDENTITY {word}", relation.sql()))
}
