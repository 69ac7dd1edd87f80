//! Columns as SQL.

pub(super) use super::relations::Column;
use super::sequences::Sequence;
use crate::pg::ident;

/// A column's NOT NULL, as far as it belongs into `CREATE TABLE`.
pub(super) enum NotNull<'a> {
    /// None, or one that comes from the parent or is added later.
    Unsaid,
    /// Before 18: a property without a name.
    Plain,
    /// From 18 on: a constraint; `rest` is empty or ` NO INHERIT`.
    Named {
        /// The constraint's name.
        name: &'a str,
        /// What follows the column's name.
        rest: &'static str,
    },
}

/// A column inside `CREATE TABLE`.
pub(super) fn definition(
    column: &Column,
    default: Option<&str>,
    identity: Option<&Sequence>,
    not_null: &NotNull<'_>,
) -> String {
    let mut sql = format!("{} {}", ident::quote(&column.name), column.type_sql);
    if let Some(collation) = &column.collation {
        sql.push_str(&format!(" COLLATE {collation}"));
    }
    if let Some(sequence) = identity {
        let when = if column.identity == 'd' { "BY DEFAULT" } else { "ALWAYS" };
        sql.push_str(&format!(" GENERATED {when} AS IDENTITY ({})", sequence.identity_options()));
    }
    push_rest(&mut sql, column, default, not_null);
    sql
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
pub(super) fn settings(relation: &str, column: &Column, inherited: &[&Column]) -> Vec<String> {
    let alter = format!("ALTER TABLE ONLY {relation} ALTER COLUMN {}", ident::quote(&column.name));
    let mut statements = Vec::new();
    if let Some(target) = column.statistics {
        statements.push(format!("{alter} SET STATISTICS {target}"));
    }
    let (storage, usual) = column.storage;
    if !usual || inherited.iter().any(|above| !above.storage.1) {
        let word = match storage {
            'p' => "PLAIN",
            'e' => "EXTERNAL",
            'm' => "MAIN",
            _ => "EXTENDED",
        };
        statements.push(format!("{alter} SET STORAGE {word}"));
    }
    match column.compression {
        'p' => statements.push(format!("{alter} SET COMPRESSION pglz")),
        'l' => statements.push(format!("{alter} SET COMPRESSION lz4")),
        _ if inherited.iter().any(|above| above.compression != ' ') => {
            statements.push(format!("{alter} SET COMPRESSION default"));
        }
        _ => {}
    }
    if !column.options.is_empty() {
        statements.push(format!("{alter} SET ({})", option_list(&column.options)));
    }
    statements
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
