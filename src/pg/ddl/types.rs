//! Types: enums, domains, composite types and ranges; base types through their own file.

use super::base_types;
use super::collection::{Collection, Draft, Key, PG_PROC};
use super::constraints::{Constraint, Constraints};
use super::dependencies::Graph;
use super::domain_checks::{self, Place};
use super::relations::{Column, Relations};
use super::rows::{self, Record, USER_SCHEMA, since};
use crate::error::Result;
use crate::model::catalog::{Address, Property};
use crate::model::name::QualifiedName;
use crate::model::schema::ObjectClass;
use crate::pg::client::Client;
use crate::pg::ident;

/// Collects the types that users made.
pub(super) fn collect(
    client: &mut Client,
    major: u32,
    out: &mut Collection,
    graph: &Graph,
    relations: &Relations,
    constraints: &Constraints,
) -> Result<()> {
    let multirange =
        since(major, 14, "format_type(r.rngmultitypid, NULL)", "NULL::pg_catalog.text");
    let base = base_types::columns(since(major, 14, "t.typsubscript", "NULL"));
    // Array types and the rowtypes of tables come with what they belong to.
    let sql = format!(
        "SELECT t.oid, n.nspname::text AS schema, t.typname::text AS name,
                t.typtype::text AS kind, t.typisdefined AS is_defined, t.typrelid AS relation,
                pg_get_userbyid(t.typowner)::text AS owner,
                ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum AS e
                      WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder) AS labels,
                format_type(t.typbasetype, t.typtypmod) AS base, t.typnotnull AS not_null,
                CASE WHEN t.typcollation <> b.typcollation
                     THEN quote_ident(cn.nspname) || '.' || quote_ident(co.collname)
                END AS collation,
                pg_get_expr(t.typdefaultbin, 0) AS default,
                format_type(r.rngsubtype, NULL) AS subtype,
                (SELECT quote_ident(opn.nspname) || '.' || quote_ident(op.opcname)
                 FROM pg_catalog.pg_opclass AS op
                 JOIN pg_catalog.pg_namespace AS opn ON opn.oid = op.opcnamespace
                 WHERE op.oid = r.rngsubopc AND NOT op.opcdefault) AS range_opclass,
                (SELECT quote_ident(rcn.nspname) || '.' || quote_ident(rco.collname)
                 FROM pg_catalog.pg_collation AS rco
                 JOIN pg_catalog.pg_namespace AS rcn ON rcn.oid = rco.collnamespace
                 JOIN pg_catalog.pg_type AS rst ON rst.oid = r.rngsubtype
                 WHERE rco.oid = r.rngcollation AND r.rngcollation <> rst.typcollation)
                  AS range_collation,
                nullif(r.rngsubdiff::text, '-') AS range_diff,
                nullif(r.rngcanonical::text, '-') AS range_canonical,
                {multirange} AS multirange, {base}
         FROM pg_catalog.pg_type AS t
         JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
         LEFT JOIN pg_catalog.pg_class AS c ON c.oid = t.typrelid
         LEFT JOIN pg_catalog.pg_type AS b ON b.oid = t.typbasetype
         LEFT JOIN pg_catalog.pg_collation AS co ON co.oid = t.typcollation
         LEFT JOIN pg_catalog.pg_namespace AS cn ON cn.oid = co.collnamespace
         LEFT JOIN pg_catalog.pg_range AS r ON r.rngtypid = t.oid
         WHERE {USER_SCHEMA} AND (t.typrelid = 0 OR c.relkind = 'c')
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_type AS el
                           WHERE el.oid = t.typelem AND el.typarray = t.oid)
         ORDER BY n.nspname, t.typname"
    );
    for row in rows::stream(client, "types", &sql)? {
        let row = row?;
        let key = Key::type_(row.get("oid")?);
        let name = QualifiedName::new(row.get::<&str>("schema")?, row.get::<&str>("name")?);
        if graph.extension_of(key).is_some() {
            continue;
        }
        match row.letter("kind")? {
            'e' => collect_enum(out, key, &name, &row)?,
            'd' => {
                let place = |check: &Constraint| domain_checks::place(graph, relations, check, key);
                collect_domain(out, graph, constraints, place, key, &name, &row)?;
            }
            'c' => collect_composite(out, relations, key, &name, &row)?,
            'r' => collect_range(out, graph, key, &name, &row)?,
            // A multirange comes with its range.
            'm' => {}
            'p' if !row.get::<bool>("is_defined")? => {
                base_types::collect_shell(out, key, &name, &row)?;
            }
            'b' => base_types::collect(out, graph, key, &name, &row)?,
            letter => {
                let text = format!("type {name} ({letter})");
                out.leave_out_of(
                    ObjectClass::Unknown,
                    Some(key),
                    text,
                    Some(name.schema.clone()),
                    None,
                );
            }
        }
    }
    Ok(())
}

fn draft(class: ObjectClass, name: &QualifiedName, row: &Record, sql: String) -> Result<Draft> {
    let kind = if class == ObjectClass::Domain { "DOMAIN" } else { "TYPE" };
    Ok(Draft::new(class, Some(&name.schema), &name.name)
        .define(sql)
        .owned_by(row.get("owner")?, &format!("{kind} {}", ident::quote_qualified(name))))
}

fn collect_enum(out: &mut Collection, key: Key, name: &QualifiedName, row: &Record) -> Result<()> {
    let labels: Vec<String> = row.get("labels")?;
    let literals: Vec<String> = labels.iter().map(|label| ident::literal(label)).collect();
    let quoted = ident::quote_qualified(name);
    let sql = format!("CREATE TYPE {quoted} AS ENUM ({})", literals.join(", "));
    let index = out.add(key, draft(ObjectClass::Enum, name, row, sql)?)?;
    out.described(index).set(Property::Labels, labels);
    out.commentable(key, index, format!("TYPE {quoted}"));
    Ok(())
}

fn collect_domain(
    out: &mut Collection,
    graph: &Graph,
    constraints: &Constraints,
    place: impl Fn(&Constraint) -> Place,
    key: Key,
    name: &QualifiedName,
    row: &Record,
) -> Result<()> {
    let quoted = ident::quote_qualified(name);
    let mut sql = format!("CREATE DOMAIN {quoted} AS {}", row.deparsed("base")?);
    if let Some(collation) = row.get::<Option<&str>>("collation")? {
        sql.push_str(&format!(" COLLATE {collation}"));
    }
    let default: Option<&str> = row.get("default")?;
    // All that a domain itself needs functions for; they may take the domain.
    let functions: Vec<Key> = graph.edges(key).iter().map(|edge| edge.to).collect();
    let functions: Vec<Key> = functions
        .into_iter()
        .filter(|to| to.catalog == PG_PROC && graph.extension_of(*to).is_none())
        .collect();
    match default {
        Some(default) if functions.is_empty() => sql.push_str(&format!(" DEFAULT {default}")),
        Some(default) => set_default_later(out, key, name, default, &functions)?,
        None => {}
    }
    let own = constraints.of_domain(key.oid);
    // Up to 16 the NOT NULL of a domain is a property without a name.
    if row.get("not_null")? && !own.iter().any(|constraint| constraint.kind == 'n') {
        // From 17 on it has one, which may be another's.
        let usual = format!("{}_not_null", name.name);
        if own.iter().any(|constraint| constraint.name == usual) {
            sql.push_str(&format!(" CONSTRAINT {}", ident::quote(&format!("{usual}1"))));
        }
        sql.push_str(" NOT NULL");
    }
    let own_not_null = own
        .iter()
        .find(|constraint| constraint.kind == 'n')
        .map(|constraint| ("yes", Some(constraint.name.clone())));
    let placed = own.into_iter().map(|constraint| (constraint, place(constraint)));
    let (inline, separate): (Vec<_>, Vec<_>) =
        placed.partition(|(_, place)| *place == Place::Definition);
    for (constraint, _) in &inline {
        let constraint_name = ident::quote(&constraint.name);
        sql.push_str(&format!(" CONSTRAINT {constraint_name} {}", constraint.definition));
    }
    let index = out.add(key, draft(ObjectClass::Domain, name, row, sql)?)?;
    let not_null = own_not_null.or(row.get::<bool>("not_null")?.then_some(("yes", None)));
    out.described(index)
        .set(Property::Type, row.deparsed("base")?)
        .set_some(Property::Collation, row.get::<Option<&str>>("collation")?)
        .set_some(Property::Default, row.get::<Option<&str>>("default")?)
        .set_some(Property::NotNull, not_null.as_ref().map(|(what, _)| *what))
        .set_some(Property::NotNullName, not_null.and_then(|(_, name)| name));
    out.commentable(key, index, format!("DOMAIN {quoted}"));
    for (constraint, _) in inline {
        out.claim(constraint.key(), index)?;
        if constraint.kind != 'n' {
            let of = Address::part(ObjectClass::DomainConstraint, name, constraint.name.as_str());
            out.name_row(constraint.key(), of.clone());
            constraint.describe(out.describe(index, of));
        }
        out.commentable(constraint.key(), index, comment_target(constraint, &quoted));
    }
    for (constraint, place) in separate {
        let mut draft =
            Draft::new(ObjectClass::DomainConstraint, Some(&name.schema), &constraint.name)
                .part_of(name.clone())
                .define(format!(
                    "ALTER DOMAIN {quoted} ADD CONSTRAINT {} {}",
                    ident::quote(&constraint.name),
                    constraint.definition
                ))
                .needs(key);
        let is_late = place == Place::AfterRows;
        if is_late {
            draft = draft.after_data();
        }
        let index = out.add(constraint.key(), draft)?;
        if !is_late {
            // It is refused once a column holds the domain in an array or a row.
            out.complete(key, index, Vec::new());
        }
        constraint.describe(out.described(index));
        out.commentable(constraint.key(), index, comment_target(constraint, &quoted));
    }
    Ok(())
}

fn set_default_later(
    out: &mut Collection,
    key: Key,
    name: &QualifiedName,
    default: &str,
    functions: &[Key],
) -> Result<()> {
    let mut draft = Draft::new(ObjectClass::Default, Some(&name.schema), "default")
        .part_of(name.clone())
        .define(format!("ALTER DOMAIN {} SET DEFAULT {default}", ident::quote_qualified(name)))
        .needs(key);
    for function in functions {
        out.cut(key, *function, None);
        draft = draft.needs(*function);
    }
    let index = out.add(Key::domain_default(key.oid), draft)?;
    out.describe(index, Address::within(ObjectClass::Domain, name)).set(Property::Default, default);
    Ok(())
}

fn comment_target(constraint: &Constraint, domain: &str) -> String {
    format!("CONSTRAINT {} ON DOMAIN {domain}", ident::quote(&constraint.name))
}

fn collect_composite(
    out: &mut Collection,
    relations: &Relations,
    key: Key,
    name: &QualifiedName,
    row: &Record,
) -> Result<()> {
    let relation: u32 = row.get("relation")?;
    let attribute = |column: &Column| {
        let collation = column.collation.as_ref().map(|name| format!(" COLLATE {name}"));
        let collation = collation.unwrap_or_default();
        format!("\n    {} {}{collation}", ident::quote(&column.name), column.type_sql)
    };
    let attributes: Vec<String> = relations.columns(relation).iter().map(attribute).collect();
    let quoted = ident::quote_qualified(name);
    let sql = format!("CREATE TYPE {quoted} AS ({}\n)", attributes.join(","));
    let index = out.add(key, draft(ObjectClass::CompositeType, name, row, sql)?)?;
    // The catalogs keep a composite type's attributes under a relation of its own.
    out.claim_as_named(Key::relation(relation), index)?;
    let description = out.described(index);
    for (position, attribute) in (1..).zip(relations.columns(relation)) {
        let said = description.column(&attribute.name);
        said.position = Some(position);
        said.set(Property::Type, attribute.type_sql.as_str())
            .set_some(Property::Collation, attribute.collation.as_deref());
    }
    out.commentable_relation(Key::relation(relation), index, "TYPE", &quoted);
    out.commentable(key, index, format!("TYPE {quoted}"));
    Ok(())
}

fn collect_range(
    out: &mut Collection,
    graph: &Graph,
    key: Key,
    name: &QualifiedName,
    row: &Record,
) -> Result<()> {
    let mut parts = vec![format!("SUBTYPE = {}", row.deparsed("subtype")?)];
    for (word, column) in [
        ("SUBTYPE_OPCLASS", "range_opclass"),
        ("COLLATION", "range_collation"),
        ("CANONICAL", "range_canonical"),
        ("SUBTYPE_DIFF", "range_diff"),
        ("MULTIRANGE_TYPE_NAME", "multirange"),
    ] {
        if let Some(value) = row.get::<Option<&str>>(column)? {
            parts.push(format!("{word} = {value}"));
        }
    }
    let quoted = ident::quote_qualified(name);
    let sql = format!("CREATE TYPE {quoted} AS RANGE ({})", parts.join(", "));
    let mut draft = draft(ObjectClass::RangeType, name, row, sql)?;
    let canonical: Option<&str> = row.get("range_canonical")?;
    if canonical.is_some() {
        base_types::stand_in(out, graph, key, ObjectClass::RangeType, name)?;
        draft = draft.needs(Key::shell_type(key.oid));
    }
    let index = out.add(key, draft)?;
    out.described(index)
        .set(Property::Type, row.deparsed("subtype")?)
        .set_some(Property::OperatorClass, row.get::<Option<&str>>("range_opclass")?)
        .set_some(Property::Collation, row.get::<Option<&str>>("range_collation")?)
        .set_some(Property::DifferenceFunction, row.get::<Option<&str>>("range_diff")?)
        .set_some(Property::CanonicalFunction, canonical)
        .set_some(Property::MultirangeType, row.get::<Option<&str>>("multirange")?);
    out.commentable(key, index, format!("TYPE {quoted}"));
    Ok(())
}
