//! Base types with their input and output functions, and types that are a name alone.

use super::collection::{Collection, Draft, Key, PG_PROC};
use super::dependencies::Graph;
use super::rows::Record;
use crate::error::Result;
use crate::model::catalog::Address;
use crate::model::name::QualifiedName;
use crate::model::schema::ObjectClass;
use crate::pg::ident;

/// What [`collect`] reads from `pg_type`, as columns of a query that calls it `t`. `subscript` is
/// the column that is new in 14.
pub(super) fn columns(subscript: &str) -> String {
    format!(
        "t.typlen::int AS length, t.typbyval AS by_value, t.typalign::text AS alignment,
         t.typstorage::text AS storage, t.typcategory::text AS category,
         t.typispreferred AS preferred, t.typdelim::text AS delimiter,
         t.typdefault AS literal_default, t.typcollation <> 0 AS collatable,
         CASE WHEN t.typelem <> 0 THEN format_type(t.typelem, NULL) END AS element,
         nullif(t.typinput::text, '-') AS input, nullif(t.typoutput::text, '-') AS output,
         nullif(t.typreceive::text, '-') AS receive, nullif(t.typsend::text, '-') AS send,
         nullif(t.typmodin::text, '-') AS typmod_in, nullif(t.typmodout::text, '-') AS typmod_out,
         nullif(t.typanalyze::text, '-') AS analyze,
         nullif({subscript}::text, '-') AS subscript"
    )
}

/// Collects a base type, behind its shell.
pub(super) fn collect(
    out: &mut Collection,
    graph: &Graph,
    key: Key,
    name: &QualifiedName,
    row: &Record,
) -> Result<()> {
    let Some(properties) = properties(row)? else {
        let (text, schema) = (format!("type {name}"), Some(name.schema.clone()));
        out.leave_out_of(ObjectClass::Unknown, Some(key), text, schema, None);
        return Ok(());
    };
    let target = format!("TYPE {}", ident::quote_qualified(name));
    let draft = Draft::new(ObjectClass::BaseType, Some(&name.schema), &name.name)
        .define(format!("CREATE {target} (\n    {}\n)", properties.join(",\n    ")))
        .needs(Key::shell_type(key.oid));
    out.add_named(key, draft, Some(row.get("owner")?), &target, properties)?;
    stand_in(out, graph, key, ObjectClass::BaseType, name)
}

/// Puts a shell in the place of a type until the functions that the type needs are there: these
/// take it as an argument, or give it back.
pub(super) fn stand_in(
    out: &mut Collection,
    graph: &Graph,
    key: Key,
    class: ObjectClass,
    name: &QualifiedName,
) -> Result<()> {
    let shell = Key::shell_type(key.oid);
    // Without an owner: it must be the one who then makes the type of it.
    let draft = Draft::new(ObjectClass::ShellType, Some(&name.schema), &name.name)
        .define(format!("CREATE TYPE {}", ident::quote_qualified(name)));
    let index = out.add(shell, draft)?;
    out.describe(index, Address::within(class, name));
    for edge in graph.edges(key).iter().filter(|edge| edge.to.catalog == PG_PROC) {
        out.cut(edge.to, key, Some(shell));
    }
    Ok(())
}

/// Collects a type that was announced and never made.
pub(super) fn collect_shell(
    out: &mut Collection,
    key: Key,
    name: &QualifiedName,
    row: &Record,
) -> Result<()> {
    let target = format!("TYPE {}", ident::quote_qualified(name));
    let draft = Draft::new(ObjectClass::ShellType, Some(&name.schema), &name.name)
        .define(format!("CREATE {target}"));
    out.add_named(key, draft, Some(row.get("owner")?), &target, Vec::new()).map(drop)
}

/// What stands in the parentheses; `None` when a letter is unknown.
fn properties(row: &Record) -> Result<Option<Vec<String>>> {
    let mut list = Vec::new();
    for (word, column) in [
        ("INPUT", "input"),
        ("OUTPUT", "output"),
        ("RECEIVE", "receive"),
        ("SEND", "send"),
        ("TYPMOD_IN", "typmod_in"),
        ("TYPMOD_OUT", "typmod_out"),
        ("ANALYZE", "analyze"),
        ("SUBSCRIPT", "subscript"),
        ("ELEMENT", "element"),
    ] {
        if let Some(value) = row.get::<Option<&str>>(column)? {
            list.push(format!("{word} = {value}"));
        }
    }
    let length = match row.get::<i32>("length")? {
        -1 => String::from("VARIABLE"),
        length => length.to_string(),
    };
    list.push(format!("INTERNALLENGTH = {length}"));
    let alignment = match row.letter("alignment")? {
        'c' => "char",
        's' => "int2",
        'i' => "int4",
        'd' => "double",
        _ => return Ok(None),
    };
    list.push(format!("ALIGNMENT = {alignment}"));
    let storage = match row.letter("storage")? {
        'p' => "plain",
        'e' => "external",
        'm' => "main",
        'x' => "extended",
        _ => return Ok(None),
    };
    list.push(format!("STORAGE = {storage}"));
    for (word, column, usual) in [("CATEGORY", "category", "U"), ("DELIMITER", "delimiter", ",")] {
        let value: &str = row.get(column)?;
        if value != usual {
            list.push(format!("{word} = {}", ident::literal(value)));
        }
    }
    if let Some(default) = row.get::<Option<&str>>("literal_default")? {
        list.push(format!("DEFAULT = {}", ident::literal(default)));
    }
    for (word, column) in [("PREFERRED", "preferred"), ("COLLATABLE", "collatable")] {
        if row.get(column)? {
            list.push(format!("{word} = true"));
        }
    }
    if row.get("by_value")? {
        list.push(String::from("PASSEDBYVALUE"));
    }
    Ok(Some(list))
}
