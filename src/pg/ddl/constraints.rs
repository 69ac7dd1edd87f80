//! Constraints of tables and domains.

use super::collection::{Collection, Draft};
use super::columns::{self, Column, NotNull};
pub(super) use super::constraint::Constraint;
use super::dependencies::Graph;
use super::exclusions::{self, Reach};
use super::foreign_keys;
use super::inherited_not_nulls::NotNulls;
use super::keys;
use super::late_checks;
use super::relations::{Relation, Relations};
use super::rows::{self, since};
use super::validation::validate;
use crate::error::Result;
use crate::model::catalog::{Address, Property};
use crate::model::schema::ObjectClass;
use crate::pg::client::Client;
use crate::pg::ident;
use std::collections::HashMap;

/// All constraints of users.
pub(super) struct Constraints {
    all: Vec<Constraint>,
    of_relation: HashMap<u32, Vec<usize>>,
    of_domain: HashMap<u32, Vec<usize>>,
    /// The NOT NULL of each column of a table.
    of_column: HashMap<(u32, i16), usize>,
    names_not_null: bool,
}

impl Constraints {
    pub fn read(client: &mut Client, major: u32, relations: &Relations) -> Result<Self> {
        let enforced = since(major, 18, "con.conenforced", "true");
        let overlaps = since(major, 18, "con.conperiod", "false");
        let nulls = since(major, 15, "i.indnullsnotdistinct", "false");
        // Where a parent's column was dropped, what a child has of its constraint is counted as inherited
        // for ever: so it counts who gives it.
        // The text of keys is built by hand: the server's own leaves out the index's options (P13).
        // The index has the columns of both: the key first, then what INCLUDE names.
        let sql = format!(
            "SELECT con.oid, con.conname::text AS name, con.contype::text AS kind,
                    con.conrelid AS relation, con.contypid AS domain, con.conindid AS index,
                    con.conparentid AS parent, con.confrelid AS refers_to,
                    con.conparentid <> 0 AND EXISTS (
                        SELECT FROM pg_catalog.pg_description AS d
                        WHERE d.classoid = 2606 AND d.objoid = con.oid) AS is_copy_with_comment,
                    con.conislocal AS is_local,
                    con.coninhcount > 0 AND (con.contype NOT IN ('c', 'n') OR given.child IS NOT NULL)
                      AS is_inherited,
                    con.convalidated AS validated,
                    {enforced} AS enforced, con.connoinherit AS no_inherit,
                    CASE WHEN con.contype = 'n' AND con.conrelid <> 0 THEN con.conkey[1] END
                      AS column,
                    CASE WHEN con.contype IN ('c', 'f', 'n', 'x')
                         THEN pg_get_constraintdef(con.oid) ELSE '' END AS definition,
                    CASE WHEN con.contype IN ('p', 'u') THEN ARRAY(
                        SELECT a.attname::text
                        FROM unnest(i.indkey) WITH ORDINALITY AS k(number, position)
                        JOIN pg_catalog.pg_attribute AS a
                          ON a.attrelid = i.indrelid AND a.attnum = k.number
                        ORDER BY k.position) ELSE '{{}}' END AS columns,
                    coalesce(i.indnkeyatts, 0)::int AS keys, {overlaps} AS overlaps,
                    con.contype = 'x' OR ({overlaps} AND con.contype IN ('p', 'u')) AS excludes,
                    coalesce(i.indisvalid, true) AS is_whole,
                    coalesce({nulls}, false) AS nulls_not_distinct,
                    coalesce(ic.reloptions, '{{}}') AS options,
                    con.condeferrable AS deferrable, con.condeferred AS deferred
             FROM pg_catalog.pg_constraint AS con
             LEFT JOIN pg_catalog.pg_index AS i
               ON i.indexrelid = con.conindid AND con.contype IN ('p', 'u', 'x')
             LEFT JOIN pg_catalog.pg_class AS ic ON ic.oid = i.indexrelid
             LEFT JOIN pg_catalog.pg_attribute AS na
               ON con.contype = 'n' AND na.attrelid = con.conrelid AND na.attnum = con.conkey[1]
             LEFT JOIN (
                 SELECT DISTINCT h.inhrelid AS child, up.contype AS kind,
                        coalesce(a.attname, up.conname) AS name
                 FROM pg_catalog.pg_inherits AS h
                 JOIN pg_catalog.pg_constraint AS up
                   ON up.conrelid = h.inhparent AND up.contype IN ('c', 'n') AND NOT up.connoinherit
                 LEFT JOIN pg_catalog.pg_attribute AS a
                   ON up.contype = 'n' AND a.attrelid = up.conrelid AND a.attnum = up.conkey[1]
             ) AS given ON given.child = con.conrelid AND given.kind = con.contype
               AND given.name = coalesce(na.attname, con.conname)
             WHERE con.oid >= 16384
             ORDER BY con.conrelid, con.contypid, con.conname, con.oid"
        );
        let mut constraints = Self {
            all: Vec::new(),
            of_relation: HashMap::new(),
            of_domain: HashMap::new(),
            of_column: HashMap::new(),
            names_not_null: major >= 18,
        };
        for row in rows::stream(client, "constraints", &sql)? {
            let row = row?;
            let kind = row.letter("kind")?;
            let definition = match kind {
                'p' | 'u' => keys::definition(&row)?,
                _ => row.deparsed("definition")?,
            };
            let is_inherited: bool = row.get("is_inherited")?;
            let constraint = Constraint {
                oid: row.get("oid")?,
                name: row.get("name")?,
                kind,
                relation: row.get("relation")?,
                domain: row.get("domain")?,
                index: row.get("index")?,
                parent: row.get("parent")?,
                root: row.get("oid")?,
                refers_to: row.get("refers_to")?,
                is_copy_with_comment: row.get("is_copy_with_comment")?,
                is_local: !is_inherited || row.get("is_local")?,
                is_inherited,
                validated: row.get("validated")?,
                enforced: row.get("enforced")?,
                column: row.get("column")?,
                no_inherit: row.get("no_inherit")?,
                deferrable: row.get("deferrable")?,
                deferred: row.get("deferred")?,
                excludes: row.get("excludes")?,
                is_whole: row.get("is_whole")?,
                comes_late: false,
                is_also_own: false,
                is_set: false,
                is_contradicted: false,
                definition,
            };
            let position = constraints.all.len();
            if constraint.relation != 0 {
                constraints.of_relation.entry(constraint.relation).or_default().push(position);
                if let Some(column) = constraint.column {
                    constraints.of_column.insert((constraint.relation, column), position);
                }
            } else {
                constraints.of_domain.entry(constraint.domain).or_default().push(position);
            }
            constraints.all.push(constraint);
        }
        constraints.find_roots();
        let late = late_checks::read(client, &constraints.all)?;
        for check in constraints.all.iter_mut().filter(|check| late.contains(&check.oid)) {
            check.comes_late = true;
        }
        constraints.mark(
            |constraints, own| NotNulls { relations, constraints }.is_set(own),
            |own| own.is_set = true,
        );
        constraints.mark(
            |constraints, own| NotNulls { relations, constraints }.contradict(own),
            |own| (own.is_contradicted, own.validated) = (true, true),
        );
        constraints.mark(
            |constraints, own| NotNulls { relations, constraints }.comes_late(own),
            |own| own.comes_late = true,
        );
        constraints.mark(
            |constraints, own| {
                !own.is_also_own && NotNulls { relations, constraints }.is_also_own(own)
            },
            |own| own.is_also_own = true,
        );
        Ok(constraints)
    }

    /// Marks NOT NULLs of tables, again and again, since a mark may hang on the one above.
    fn mark(&mut self, is_so: impl Fn(&Self, &Constraint) -> bool, mark: impl Fn(&mut Constraint)) {
        loop {
            let not_nulls = self.of_column.values().copied();
            let found: Vec<usize> =
                not_nulls.filter(|position| is_so(self, &self.all[*position])).collect();
            if found.is_empty() {
                return;
            }
            found.into_iter().for_each(|position| mark(&mut self.all[position]));
        }
    }

    fn find_roots(&mut self) {
        let copies = self.all.iter().filter(|copy| copy.parent != 0);
        let parents: HashMap<u32, u32> = copies.map(|copy| (copy.oid, copy.parent)).collect();
        for copy in self.all.iter_mut().filter(|copy| copy.parent != 0) {
            while let Some(parent) = parents.get(&copy.root) {
                copy.root = *parent;
            }
        }
    }

    fn of<'a>(
        &'a self,
        map: &'a HashMap<u32, Vec<usize>>,
        oid: u32,
    ) -> impl Iterator<Item = &'a Constraint> {
        map.get(&oid).into_iter().flatten().map(|position| &self.all[*position])
    }

    pub fn by_oid(&self) -> HashMap<u32, &Constraint> {
        self.all.iter().map(|constraint| (constraint.oid, constraint)).collect()
    }

    pub fn of_table(&self, table: u32) -> impl Iterator<Item = &Constraint> {
        self.of(&self.of_relation, table)
    }

    /// The CHECK constraints of a table, in the order of their names.
    pub fn checks(&self, table: u32) -> Vec<&Constraint> {
        self.of_table(table).filter(|constraint| constraint.kind == 'c').collect()
    }

    pub fn of_domain(&self, domain: u32) -> Vec<&Constraint> {
        self.of(&self.of_domain, domain).collect()
    }

    /// The NOT NULL constraints of a table; before 18 there are none.
    pub fn not_nulls(&self, table: u32) -> impl Iterator<Item = &Constraint> {
        self.of_table(table).filter(|constraint| constraint.kind == 'n')
    }

    /// The constraints of a table that have an index.
    pub fn indexed(&self, table: u32) -> impl Iterator<Item = &Constraint> {
        self.of_table(table).filter(|own| matches!(own.kind, 'p' | 'u' | 'x'))
    }

    /// What a partition has from this one.
    pub fn copy_on(&self, constraint: &Constraint, partition: u32) -> Option<&Constraint> {
        self.of_table(partition).find(|copy| copy.parent == constraint.oid)
    }

    /// The NOT NULL of a column; before 18 there is none.
    pub fn not_null_of(&self, table: u32, column: &Column) -> Option<&Constraint> {
        self.of_column.get(&(table, column.number)).map(|position| &self.all[*position])
    }

    /// What a child or partition has from it: a CHECK is called the same there.
    pub fn copy_below(
        &self,
        relations: &Relations,
        original: &Constraint,
        below: u32,
    ) -> Option<&Constraint> {
        match (original.column(relations), original.kind) {
            (Some(column), _) => {
                self.not_null_of(below, relations.column_called(below, &column.name)?)
            }
            (None, 'f') => self
                .of_table(below)
                .find(|own| own.root == original.root && own.refers_to == original.refers_to),
            (None, _) => self.of_table(below).find(|own| own.name == original.name),
        }
    }

    /// Whether no other constraint that is made by itself has the name.
    pub fn has_name_alone(&self, own: &Constraint) -> bool {
        let is_other = |one: &Constraint| one.oid != own.oid && (one.kind != 'n' || one.is_local);
        !self.all.iter().any(|one| one.name == own.name && is_other(one))
    }

    /// Whether NOT NULL is a constraint with a name.
    pub fn name_not_null(&self) -> bool {
        self.names_not_null
    }

    /// A name for a NOT NULL that has none, where the one that 18 would choose is another constraint's.
    pub fn room_for_not_null(&self, table: &Relation, column: &Column) -> Option<String> {
        let usual = format!("{}_{}_not_null", table.name.name, column.name);
        let is_taken = |name: &str| self.of_table(table.oid).any(|own| own.name == name);
        if !is_taken(&usual) {
            return None;
        }
        (1..).map(|number| format!("{usual}{number}")).find(|name| !is_taken(name))
    }

    /// The NOT NULL of a column, as far as `CREATE TABLE` says it.
    pub fn not_null(&self, table: &Relation, column: &Column) -> NotNull<'_> {
        if !self.names_not_null {
            return if column.not_null { NotNull::Plain } else { NotNull::Unsaid };
        }
        let found = self.not_null_of(table.oid, column);
        match found.filter(|constraint| constraint.validated && constraint.is_stated(table)) {
            Some(constraint) => NotNull::Named {
                name: constraint.name.as_str().into(),
                rest: if constraint.no_inherit { " NO INHERIT" } else { "" },
            },
            None => NotNull::Unsaid,
        }
    }
}

/// Collects the constraints that are objects of their own; their tables have claimed the others.
pub(super) fn collect(
    out: &mut Collection,
    graph: &Graph,
    relations: &Relations,
    constraints: &Constraints,
) -> Result<()> {
    let by_oid = constraints.by_oid();
    for constraint in &constraints.all {
        if constraint.relation == 0 || graph.extension_of(constraint.key()).is_some() {
            continue;
        }
        let Some(table) = relations.get(constraint.relation) else { continue };
        if constraint.is_contradicted {
            let name = format!(
                "{} on {}, which is not valid though one above it is: a restore makes it \
                 valid, and fails where a row is NULL",
                constraint.name, table.name
            );
            out.leave_out_on(&table.name, ObjectClass::NotNull, None, name);
        }
        if out.accounts_for(constraint.key()) {
            continue;
        }
        match constraint.kind {
            'c' | 'n' => collect_check(out, relations, constraints, table, constraint)?,
            _ if constraint.excludes && constraint.parent != 0 => {}
            'p' | 'u' | 'x' => keys::collect(out, relations, constraints, table, constraint)?,
            'f' if constraint.parent == 0 => {
                foreign_keys::collect(out, relations, constraints, table, constraint)?;
            }
            // Copies are collected with what they are copies of; see below and `triggers`.
            'f' | 't' => {}
            letter => {
                let name = format!("constraint {} on {} ({letter})", constraint.name, table.name);
                out.leave_out_on(&table.name, ObjectClass::Unknown, Some(constraint.key()), name);
            }
        }
    }
    for copy in constraints.all.iter().filter(|copy| copy.parent != 0) {
        let Some(root) = by_oid.get(&copy.root) else { continue };
        let Some(draft) = out.maker(root.key()) else { continue };
        if copy.excludes {
            if relations.get(root.relation).is_some_and(|table| {
                exclusions::reach(constraints, relations, table, root) == Reach::All
            }) {
                exclusions::come_from_above(out, relations, copy, draft)?;
            }
        } else if copy.kind == 'f' {
            foreign_keys::collect_copy(out, relations, constraints, root, copy, draft)?;
        }
    }
    Ok(())
}

/// The statement that adds it to its table; `only` is empty or `ONLY `.
pub(super) fn added(only: &str, table: &Relation, constraint: &Constraint) -> String {
    format!(
        "ALTER TABLE {only}{} ADD CONSTRAINT {} {}",
        table.sql(),
        ident::quote(&constraint.name),
        constraint.definition
    )
}

/// A constraint that is an object of its own.
pub(super) fn draft(
    class: ObjectClass,
    table: &Relation,
    constraint: &Constraint,
    statements: Vec<String>,
) -> Draft {
    let draft = Draft::new(class, Some(&table.name.schema), &constraint.name)
        .part_of(table.name.clone())
        .needs(table.key());
    statements.into_iter().fold(draft, Draft::define)
}

/// A CHECK or NOT NULL outside `CREATE TABLE`. Without ONLY, so that it reaches the children that
/// have it from here; a child's own copy merges with it in either order.
fn collect_check(
    out: &mut Collection,
    relations: &Relations,
    constraints: &Constraints,
    table: &Relation,
    constraint: &Constraint,
) -> Result<()> {
    let class = if constraint.kind == 'n' { ObjectClass::NotNull } else { ObjectClass::Check };
    let not_nulls = NotNulls { relations, constraints };
    let statements = match constraint.column(relations).filter(|_| constraint.is_set) {
        Some(column) => vec![columns::set_not_null(&table.sql(), &column.name)],
        None => {
            let around = not_nulls.around(table, constraint);
            [around.before, vec![added("", table, constraint)], around.after].concat()
        }
    };
    let mut draft = draft(class, table, constraint, statements);
    let is_late_check = constraint.kind == 'c' && constraint.comes_late;
    if !constraint.validated || !constraint.enforced || constraint.is_set || is_late_check {
        draft = draft.after_data();
    }
    let index = out.add(constraint.key(), draft)?;
    match constraint.column(relations) {
        Some(column) => {
            let table = Address::within(table.table_class(), &table.name);
            let said = out.describe(index, table).column(&column.name);
            columns::describe_not_null(said, constraint);
            said.set(Property::NotNullName, constraint.name.as_str());
        }
        None => constraint.describe(out.described(index)),
    }
    out.commentable(constraint.key(), index, constraint.comment_target(table));
    // The children's copies come into being here, and only then can be commented on.
    for below in relations.descendants(table.oid) {
        let copy = constraints.copy_below(relations, constraint, below.oid);
        // It comes first, as long as it can have a name of its own, be added at all, or not be valid.
        let is_first = below.is_partition || constraint.is_set;
        if let Some(copy) = copy.filter(|own| is_first && own.is_separate(below)) {
            out.add_need(index, copy.key());
        } else if let Some(copy) = copy
            && out.is_implied(copy.key())
            && not_nulls.early_name(below, copy).is_none()
        {
            out.commentable(copy.key(), index, not_nulls.comment_target(below, copy));
        }
        validate(out, relations, constraints, below, constraint, index);
    }
    Ok(())
}
