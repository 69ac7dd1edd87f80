//! Columns as SQL.

use super::constraints::{Constraint, Constraints};
pub(super) use super::relations::Column;
use super::relations::Relation;
use super::sequences::Sequence;
use crate::model::catalog::{ColumnDescription, Description, Property};
use crate::pg::ident;
use std::borrow::Cow;

/// A column's NOT NULL, as far as it belongs into `CREATE TABLE`.
pub(super) enum NotNull<'a> {
    /// None, or one that comes from the parent or is added later.
    Unsaid,
    /// Before 18: a property without a name.
    Plain,
    /// From 18 on: a constraint; `rest` is empty or ` NO INHERIT`. Before that, where 18 would choose a name
    /// that another constraint has: names are not kept there.
    Named {
        /// The constraint's name.
        name: Cow<'a, str>,
        /// What follows the column's name.
        rest: &'static str,
    },
}

/// A column inside `CREATE TABLE`.
pub(super) fn definition(
    table: &Relation,
    column: &Column,
    default: Option<&str>,
    identity: Option<&Sequence>,
    not_null: &NotNull<'_>,
) -> String {
    let mut sql = format!("{} {}", ident::quote(&column.name), column.type_sql);
    // Nobody can set that of a foreign table later.
    if let Some(method) = compression_word(column.compression).filter(|_| table.kind == 'f') {
        sql.push_str(&format!(" COMPRESSION {method}"));
    }
    if let Some(collation) = &column.collation {
        sql.push_str(&format!(" COLLATE {collation}"));
    }
    if let Some(sequence) = identity {
        sql.push_str(&format!(" {}", generated_as_identity(column, sequence)));
    }
    push_rest(&mut sql, column, default, not_null);
    sql
}

fn generated_as_identity(column: &Column, sequence: &Sequence) -> String {
    let when = if column.identity == 'd' { "BY DEFAULT" } else { "ALWAYS" };
    format!("GENERATED {when} AS IDENTITY ({})", sequence.identity_options(column))
}

/// Makes a column that a child has from a parent an identity column: it inherits the parent's
/// default, but no identity.
pub(super) fn add_identity(
    table: &str,
    column: &Column,
    sequence: &Sequence,
    has_default: bool,
) -> String {
    let name = ident::quote(&column.name);
    let drop =
        if has_default { format!("ALTER COLUMN {name} DROP DEFAULT, ") } else { String::new() };
    let identity = generated_as_identity(column, sequence);
    format!("ALTER TABLE ONLY {table} {drop}ALTER COLUMN {name} ADD {identity}")
}

/// A column inside `CREATE TABLE … OF`: nothing unless there is something to say.
pub(super) fn options(
    column: &Column,
    default: Option<&str>,
    not_null: &NotNull<'_>,
) -> Option<String> {
    let mut sql = format!("{} WITH OPTIONS", ident::quote(&column.name));
    let bare = sql.len();
    push_rest(&mut sql, column, default, not_null);
    (sql.len() > bare).then_some(sql)
}

fn push_rest(sql: &mut String, column: &Column, default: Option<&str>, not_null: &NotNull<'_>) {
    match (column.generated, default) {
        (' ', Some(expression)) => sql.push_str(&format!(" DEFAULT {expression}")),
        ('v', Some(expression)) => {
            sql.push_str(&format!(" GENERATED ALWAYS AS ({expression}) VIRTUAL"));
        }
        (_, Some(expression)) => {
            sql.push_str(&format!(" GENERATED ALWAYS AS ({expression}) STORED"));
        }
        (_, None) => {}
    }
    match not_null {
        NotNull::Unsaid => {}
        NotNull::Plain => sql.push_str(" NOT NULL"),
        // Named always: a name that the server chooses must be free in the whole schema, so it
        // can hang on the order in which tables are made.
        NotNull::Named { name, rest } => {
            sql.push_str(&format!(" CONSTRAINT {} NOT NULL{rest}", ident::quote(name)));
        }
    }
}

/// `ALTER TABLE … SET DEFAULT`; for views as well.
pub(super) fn set_default(relation: &str, column: &str, expression: &str) -> String {
    format!(
        "ALTER TABLE ONLY {relation} ALTER COLUMN {} SET DEFAULT {expression}",
        ident::quote(column)
    )
}

/// `ALTER TABLE … SET NOT NULL`, which reaches the children.
pub(super) fn set_not_null(relation: &str, column: &str) -> String {
    format!("ALTER TABLE {relation} ALTER COLUMN {} SET NOT NULL", ident::quote(column))
}

/// `ALTER TABLE … DROP DEFAULT`.
pub(super) fn drop_default(relation: &str, column: &str) -> String {
    format!("ALTER TABLE ONLY {relation} ALTER COLUMN {} DROP DEFAULT", ident::quote(column))
}

/// `ALTER TABLE … SET STORAGE`.
pub(super) fn set_storage(relation: &str, column: &str, letter: char) -> String {
    let (column, storage) = (ident::quote(column), storage_word(letter));
    format!("ALTER TABLE ONLY {relation} ALTER COLUMN {column} SET STORAGE {storage}")
}

/// `ALTER TABLE … SET COMPRESSION`.
pub(super) fn set_compression(relation: &str, column: &str, letter: char) -> String {
    let (column, method) = (ident::quote(column), compression_word(letter).unwrap_or("default"));
    format!("ALTER TABLE ONLY {relation} ALTER COLUMN {column} SET COMPRESSION {method}")
}

/// A generation expression that differs from the parent's (possible from 17 on).
pub(super) fn set_expression(relation: &str, column: &Column) -> Option<String> {
    let (_, expression) = column.default.as_ref()?;
    Some(format!(
        "ALTER TABLE ONLY {relation} ALTER COLUMN {} SET EXPRESSION AS ({expression})",
        ident::quote(&column.name)
    ))
}

/// Statistics target, storage, compression and options of a column. `inherited` are the same
/// column in the parents, from which `CREATE TABLE … INHERITS` takes storage and compression.
pub(super) fn settings(relation: &Relation, column: &Column, inherited: &[&Column]) -> Vec<String> {
    let name = relation.sql();
    let alter = format!("ALTER TABLE ONLY {name} ALTER COLUMN {}", ident::quote(&column.name));
    let mut statements = Vec::new();
    if let Some(target) = column.statistics {
        statements.push(format!("{alter} SET STATISTICS {target}"));
    }
    let is_usual = |column: &Column| column.storage.before_rows() == column.storage.of_type;
    if !is_usual(column) || !inherited.iter().all(|above| is_usual(above)) {
        statements.push(set_storage(&name, &column.name, column.storage.before_rows()));
    }
    // That of a foreign table is in its definition, or comes from above.
    let compressed = column.compression != ' ' || inherited.iter().any(|up| up.compression != ' ');
    if compressed && relation.kind != 'f' {
        statements.push(set_compression(&name, &column.name, column.compression));
    }
    if !column.options.is_empty() {
        statements.push(format!("{alter} SET ({})", option_list(&column.options)));
    }
    statements
}

fn storage_word(letter: char) -> &'static str {
    match letter {
        'p' => "PLAIN",
        'e' => "EXTERNAL",
        'm' => "MAIN",
        _ => "EXTENDED",
    }
}

fn compression_word(letter: char) -> Option<&'static str> {
    match letter {
        'p' => Some("pglz"),
        'l' => Some("lz4"),
        _ => None,
    }
}

/// `name=value` pairs as the catalogs keep them, as a list of options. Values are quoted, since
/// they may be anything.
pub(super) fn option_list(options: &[String]) -> String {
    let options: Vec<String> = options
        .iter()
        .map(|option| {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let name = match name.strip_prefix("toast.") {
                Some(name) => format!("toast.{}", ident::quote(name)),
                None => ident::quote(name),
            };
            format!("{name}={}", ident::literal(value))
        })
        .collect();
    options.join(", ")
}

/// Says what the columns of a relation are, but for defaults and generation expressions, and for
/// NOT NULL constraints that are objects of their own.
pub(super) fn describe<'a>(
    description: &mut Description,
    relation: &Relation,
    columns: impl Iterator<Item = &'a Column>,
    constraints: &Constraints,
) {
    for (position, column) in (1..).zip(columns) {
        let said = description.column(&column.name);
        said.position = Some(position);
        said.set(Property::Type, column.type_sql.as_str());
        said.set_some(Property::Collation, column.collation.as_deref());
        // What a partition has, it has in common with its parent.
        let inherited = !column.is_local && !relation.is_partition;
        said.set_some(Property::Inherited, inherited.then_some("yes"));
        let identity = match column.identity {
            'a' => Some("always"),
            'd' => Some("by default"),
            _ => None,
        };
        said.set_some(Property::Identity, identity);
        let storage = Some(column.storage).filter(|storage| !storage.is_usual());
        said.set_some(Property::Storage, storage.map(|storage| storage_word(storage.letter)));
        said.set_some(Property::Compression, compression_word(column.compression));
        said.set_some(Property::Statistics, column.statistics.map(|target| target.to_string()));
        said.set_some(Property::Options, sorted(&column.options));
        match constraints.not_null_of(relation.oid, column) {
            Some(own) if (own.validated && !own.is_set) || !own.is_separate(relation) => {
                describe_not_null(said, own);
                // What a partition has from its parent after the rows is named by the server.
                if (own.validated && own.is_stated(relation)) || !relation.is_partition {
                    said.set(Property::NotNullName, own.name.as_str());
                }
            }
            Some(_) => {}
            None => {
                said.set_some(Property::NotNull, column.not_null.then_some("yes"));
            }
        }
    }
}

/// Says what the NOT NULL of a column is, where it is a constraint, but for its name.
pub(super) fn describe_not_null(column: &mut ColumnDescription, constraint: &Constraint) {
    let what = match (constraint.validated, constraint.no_inherit) {
        (false, _) => "not valid",
        (true, true) => "no inherit",
        (true, false) => "yes",
    };
    column
        .set(Property::NotNull, what)
        .set_some(Property::NotNullOfItsOwn, constraint.is_also_own.then_some("yes"));
}

/// Says what a column's default or generation expression is.
pub(super) fn describe_default(said: &mut ColumnDescription, column: &Column, expression: &str) {
    let kind = match column.generated {
        ' ' => {
            said.set(Property::Default, expression);
            return;
        }
        'v' => "virtual",
        _ => "stored",
    };
    said.set(Property::Generated, format!("({expression}) {kind}"));
}

/// Options in an order that does not hang on when they were set.
pub(super) fn sorted(options: &[String]) -> Option<Vec<String>> {
    let mut options = options.to_vec();
    options.sort();
    (!options.is_empty()).then_some(options)
}
