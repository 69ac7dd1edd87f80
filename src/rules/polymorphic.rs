//! What was made for `anyarray` by functions that take `anycompatiblearray` since PostgreSQL 14, whose release
//! notes ask for this change: an aggregate or operator finds its function by the exact types.

use crate::model::lexing::tokens;
use crate::model::schema::{ObjectClass, Purpose, SchemaObject};

/// Those functions of the system.
const CHANGED: [&str; 8] = [
    "array_append",
    "array_cat",
    "array_position",
    "array_positions",
    "array_prepend",
    "array_remove",
    "array_replace",
    "width_bucket",
];

/// The first version in which they take other types.
pub const SINCE: u32 = 14;

/// Makes the aggregates and operators that are built on them of those types, and gives their names.
pub fn widen(objects: &mut [SchemaObject]) -> Vec<String> {
    let mut old = Vec::new();
    let is_to_change = |object: &&mut SchemaObject| {
        is_built_on_changed(object)
            && object.statements.iter().any(|one| widened(&one.sql) != one.sql)
    };
    for object in objects.iter_mut().filter(is_to_change) {
        old.push((object.schema.clone(), object.name.clone(), object.to_string()));
        for statement in &mut object.statements {
            statement.sql = widened(&statement.sql);
        }
        object.name = widened(&object.name);
    }
    for object in objects.iter_mut().filter(|object| object.class == ObjectClass::Privileges) {
        let is_of = |(schema, name, _): &(Option<String>, String, String)| {
            *schema == object.schema && *name == object.name
        };
        if old.iter().any(is_of)
            && let Some(access) = &mut object.access
        {
            access.target = widened(&access.target);
            object.name = widened(&object.name);
        }
    }
    old.into_iter().map(|(_, _, shown)| shown).collect()
}

fn is_built_on_changed(object: &SchemaObject) -> bool {
    if !matches!(object.class, ObjectClass::Aggregate | ObjectClass::Operator) {
        return false;
    }
    let defines = object.statements.iter().filter(|one| one.purpose == Purpose::Define);
    let mut calls = defines.flat_map(|one| {
        one.sql.split("FUNC = ").skip(1).chain(one.sql.split("FUNCTION = ").skip(1))
    });
    calls.any(|call| {
        let name = tokens(call).next().unwrap_or_default();
        let is_whole = !call[name.len()..].starts_with('.');
        is_whole && CHANGED.contains(&name.trim_matches('"'))
    })
}

fn widened(sql: &str) -> String {
    let wide = |token| match token {
        "anyarray" => "anycompatiblearray",
        "anyelement" => "anycompatible",
        "\"anyarray\"" => "\"anycompatiblearray\"",
        "\"anyelement\"" => "\"anycompatible\"",
        other => other,
    };
    tokens(sql).map(wide).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::schema::{Section, Statement};

    fn aggregate(sql: &str) -> SchemaObject {
        SchemaObject {
            class: ObjectClass::Aggregate,
            schema: Some(String::from("public")),
            name: String::from("f(anyarray)"),
            part_of: None,
            owner: None,
            tablespace: None,
            section: Section::PreData,
            depends_on: Vec::new(),
            statements: vec![Statement::define(sql)],
            placeholder: None,
            access: None,
            descriptions: Vec::new(),
        }
    }

    #[test]
    fn only_what_calls_a_changed_function_is_changed() {
        let of = |function: &str| {
            format!(
                r#"CREATE AGGREGATE "public"."f"("anyarray") (SFUNC = {function}, STYPE = anyarray, INITCOND = 'anyarray')"#
            )
        };
        for (function, changes) in [
            (r#""array_cat""#, true),
            ("array_append", true),
            ("array_larger", false),
            (r#""array_cat"."f""#, false),
            (r#""public"."array_cat""#, false),
        ] {
            let mut objects = [aggregate(&of(function))];
            assert_eq!(widen(&mut objects).is_empty(), !changes, "{function}");
            let sql = &objects[0].statements[0].sql;
            assert_eq!(sql.contains(r#""f"("anycompatiblearray")"#), changes, "{sql}");
            assert!(sql.contains("INITCOND = 'anyarray'"), "{sql}");
        }
    }
}
