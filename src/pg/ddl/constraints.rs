//! Constraints of tables and domains.

use super::collection::{Collection, Draft, Key};
use super::columns::{self, Column, NotNull};
use super::dependencies::Graph;
use super::exclusions::{self, Reach};
use super::foreign_keys;
use super::inherited_not_nulls::NotNulls;
use super::keys;
use super::relations::{Relation, Relations};
use super::rows::{self, since};
use super::validation::validate;
use crate::error::Result;
use crate::model::catalog::{Address, Description, Property};
use crate::model::schema::ObjectClass;
use crate::pg::client::Client;
use crate::pg::ident;
use std::collections::HashMap;

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
    /// What no parent gives any more is the table's own; the server forgets to say so where a
    /// parent's column was dropped.
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
    /// Whether a partition has this NOT NULL from one that is not valid above, and is valid itself.
    pub comes_late: bool,
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
        self.is_local || (table.is_partition && !self.comes_late)
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
        // Where a parent's column was dropped, the NOT NULL may be counted as inherited for ever.
        let lost = "coalesce(na.attinhcount = 0, false)";
        // The text of keys is built by hand: the server's own leaves out the index's options (P13).
        // The index has the columns of both: the key first, then what INCLUDE names.
        let sql = format!(
            "SELECT con.oid, con.conname::text AS name, con.contype::text AS kind,
                    con.conrelid AS relation, con.contypid AS domain, con.conindid AS index,
                    con.conparentid AS parent, con.confrelid AS refers_to,
                    con.conparentid <> 0 AND EXISTS (
                        SELECT FROM pg_catalog.pg_description AS d
                        WHERE d.classoid = 2606 AND d.objoid = con.oid) AS is_copy_with_comment,
                    con.conislocal OR con.coninhcount = 0 OR {lost} AS is_local,
                    con.coninhcount > 0 AND NOT {lost} AS is_inherited,
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
                is_local: row.get("is_local")?,
                is_inherited: row.get("is_inherited")?,
                validated: row.get("validated")?,
                enforced: row.get("enforced")?,
                column: row.get("column")?,
                no_inherit: row.get("no_inherit")?,
                deferrable: row.get("deferrable")?,
                deferred: row.get("deferred")?,
                excludes: row.get("excludes")?,
                is_whole: row.get("is_whole")?,
                comes_late: false,
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
        constraints.mark(
            |constraints, own| NotNulls { relations, constraints }.contradict(own),
            |own| (own.is_contradicted, own.validated) = (true, true),
        );
        constraints.mark(
            |constraints, own| NotNulls { relations, constraints }.comes_late(own),
            |own| own.comes_late = true,
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

    /// Whether NOT NULL is a constraint with a name.
    pub fn name_not_null(&self) -> bool {
        self.names_not_null
    }

    /// The NOT NULL of a column, as far as `CREATE TABLE` says it.
    pub fn not_null(&self, table: &Relation, column: &Column) -> NotNull<'_> {
        if !self.names_not_null {
            return if column.not_null { NotNull::Plain } else { NotNull::Unsaid };
        }
        let found = self.not_null_of(table.oid, column);
        match found.filter(|constraint| constraint.validated && constraint.is_stated(table)) {
            Some(constraint) => NotNull::Named {
                name: &constraint.name,
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
    let by_oid: HashMap<u32, &Constraint> =
        constraints.all.iter().map(|constraint| (constraint.oid, constraint)).collect();
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
    let sql = added("", table, constraint);
    let not_nulls = NotNulls { relations, constraints };
    let around = not_nulls.around(table, constraint);
    let statements = [around.before, vec![sql], around.after].concat();
    let mut draft = draft(class, table, constraint, statements);
    if !constraint.validated || !constraint.enforced {
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
        // It comes first, as long as it can have a name of its own, or be added at all.
        if let Some(copy) = copy.filter(|own| below.is_partition && own.is_separate(below)) {
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
