//! The role that runs the revisions on a throw-away server. Its name is drawn for the run, so wherever
//! it is found, it stands for whoever runs them; a revision that is written must not hold it.

use super::written::Step;
use crate::model::catalog::{Properties, Property, Value, privileges};
use crate::model::lexing;
use crate::model::schema::{ObjectClass, SchemaObject};
use crate::rules::renames::Renames;
use crate::rules::role_names::rename_access;
use crate::rules::schema_diff::Schema;

/// What PostgreSQL calls whoever runs a statement.
const WHOEVER_RUNS_IT: &str = "CURRENT_USER";

/// How statements begin in which roles are named.
const OF_ROLES: [&str; 5] =
    ["ALTER ", "CREATE POLICY ", "CREATE USER MAPPING ", "GRANT ", "REVOKE "];

/// Lets statements name whoever runs them, where they name the runner as a role or as a whole value
/// of a row.
///
/// # Errors
/// What a statement is about that holds the name in any other place.
pub fn generalize(steps: &mut [Step], runner: &str) -> Result<(), String> {
    for step in steps.iter_mut().filter(|step| step.sql.contains(runner)) {
        if OF_ROLES.iter().any(|beginning| step.sql.starts_with(beginning)) {
            step.sql = with_roles(&step.sql, &format!("\"{runner}\""));
        } else if step.sql.starts_with("INSERT ") {
            step.sql = with_values(&step.sql, &format!("'{runner}'"));
        }
        step.about = step.about.replace(runner, WHOEVER_RUNS_IT);
        if step.sql.contains(runner) {
            return Err(step.about.clone());
        }
    }
    Ok(())
}

/// Whether a role may stand in a place of a statement.
enum Place {
    Role,
    AfterRole,
    Other,
}

fn with_roles(sql: &str, runner: &str) -> String {
    let mut place = Place::Other;
    let mut tokens = lexing::tokens(sql).peekable();
    let mut out = String::with_capacity(sql.len());
    while let Some(token) = tokens.next() {
        let is_role = matches!(place, Place::Role) && tokens.peek() != Some(&".");
        out.push_str(if is_role && token == runner { WHOEVER_RUNS_IT } else { token });
        place = match token {
            _ if token.trim().is_empty() => continue,
            "TO" | "FROM" | "FOR" | "ROLE" => Place::Role,
            "," if matches!(place, Place::AfterRole) => Place::Role,
            _ if is_role => Place::AfterRole,
            _ => Place::Other,
        };
    }
    out
}

fn with_values(sql: &str, runner: &str) -> String {
    let tokens: Vec<&str> = lexing::tokens(sql).collect();
    let is_blank = |token: &&&str| token.trim().is_empty();
    let is_whole = |at: usize| {
        let before = tokens[..at].iter().rev().find(|token| !is_blank(token));
        let after = tokens[at + 1..].iter().find(|token| !is_blank(token));
        matches!((before, after), (Some(&("(" | ",")), Some(&("," | ")"))))
    };
    let of_all = tokens.iter().enumerate().map(|(at, token)| match *token {
        value if value == runner && is_whole(at) => WHOEVER_RUNS_IT,
        other => other,
    });
    of_all.collect()
}

/// Fails where a schema is called like the runner, or something is in one that is: no other role makes
/// that one.
///
/// # Errors
/// What bears the name.
pub fn check_schemas(schema: &Schema, runner: &str) -> Result<(), String> {
    let bears = |object: &&SchemaObject| {
        let schema = object.schema.as_ref();
        schema
            .or((object.class == ObjectClass::Schema).then_some(&object.name))
            .is_some_and(|name| name.contains(runner))
    };
    let found = schema.objects.iter().find(bears);
    found.map_or(Ok(()), |object| Err(object.to_string().replace(runner, WHOEVER_RUNS_IT)))
}

/// A schema as it would be if another role had run the revisions.
pub fn as_run_by(schema: &Schema, runner: &str, role: &str) -> Schema {
    let mut schema = schema.clone();
    let renames = Renames::one(runner, role);
    let rename = |text: &mut String| {
        if text.contains(runner) {
            *text = text.replace(runner, role);
        }
    };
    for object in &mut schema.objects {
        rename(&mut object.name);
        object.owner.iter_mut().for_each(rename);
        object.statements.iter_mut().for_each(|statement| rename(&mut statement.sql));
        if let Some(list) = &mut object.access {
            rename_access(list, &renames);
        }
        let granted = object.access.as_deref().map(privileges);
        for description in &mut object.descriptions {
            rename(&mut description.of.name);
            let of_columns = description.columns.iter_mut().map(|column| &mut column.properties);
            for properties in of_columns.chain([&mut description.properties]) {
                values(properties).for_each(rename);
                // Grants of two roles may have become one.
                if let (Some(value), Some(granted)) =
                    (properties.get_mut(&Property::Privileges), &granted)
                {
                    *value = Value::List(granted.clone());
                }
            }
        }
    }
    schema
}

fn values(properties: &mut Properties) -> impl Iterator<Item = &mut String> {
    properties.values_mut().flat_map(|value| match value {
        Value::Text(text) => std::slice::from_mut(text).iter_mut(),
        Value::List(list) => list.iter_mut(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::catalog::{Address, Description};
    use crate::model::schema::{AccessList, Grant, Section};

    #[test]
    fn whoever_runs_it_is_named_in_the_place_of_the_runner() {
        let step = |sql: &str| Step { about: String::from("policy of r7"), sql: sql.to_owned() };
        let mut steps = [
            step("CREATE POLICY \"p\" ON \"r\" TO \"r7\", \"other\""),
            step("INSERT INTO \"t\" VALUES\n('1', 'r7'),\n('2', 'r')"),
        ];
        generalize(&mut steps, "r7").unwrap();
        assert_eq!(steps[0].sql, "CREATE POLICY \"p\" ON \"r\" TO CURRENT_USER, \"other\"");
        assert_eq!(steps[1].sql, "INSERT INTO \"t\" VALUES\n('1', CURRENT_USER),\n('2', 'r')");
        assert_eq!(steps[0].about, "policy of CURRENT_USER");
    }

    #[test]
    fn in_no_other_place() {
        for sql in [
            "INSERT INTO \"t\" VALUES ('by r7')",
            "INSERT INTO \"t\" VALUES ('{\"by\": \"r7\"}', E'\\'r7\\'', 'say ''r7'', too')",
            "CREATE TABLE \"t\" (\"x\" text DEFAULT 'r7')",
            "ALTER TABLE \"t\" ADD CHECK (\"x\" <> 'r7'::text)",
            "ALTER TABLE \"r7\".\"t\" ADD FOREIGN KEY (x) REFERENCES \"r7\".\"u\"",
            "GRANT USAGE ON SCHEMA \"r7\" TO \"other\"",
            "COMMENT ON TABLE \"t\" IS 'r7'",
            "CREATE SCHEMA IF NOT EXISTS \"r7\"",
            "CREATE VIEW \"v\" AS SELECT 'r7' FROM \"r7\"",
            "CREATE FUNCTION f() AS $$ GRANT a TO \"r7\" $$",
            "SET ROLE \"r7\"",
            "GRANT SELECT ON \"t\" TO \"a\"\"b\", \"r7\"\"\"",
        ] {
            let mut steps = [Step { about: String::from("t of r7"), sql: sql.to_owned() }];
            let error = generalize(&mut steps, "r7").unwrap_err();
            assert_eq!((steps[0].sql.as_str(), error.as_str()), (sql, "t of CURRENT_USER"));
        }
        let mut steps = [Step {
            about: String::new(),
            sql: String::from("REVOKE ALL ON \"t\" FROM PUBLIC, \"r7\""),
        }];
        generalize(&mut steps, "r7").unwrap();
        assert_eq!(steps[0].sql, "REVOKE ALL ON \"t\" FROM PUBLIC, CURRENT_USER");
    }
    #[test]
    fn what_the_runner_and_the_role_have_is_one_roles() {
        let grant = |grantee: &str, grantable| Grant {
            grantee: Some(grantee.to_owned()),
            grantor: String::from("r7"),
            privilege: String::from("SELECT"),
            grantable,
        };
        let access = AccessList {
            target: String::from("TABLE \"t\""),
            in_schema: None,
            column: None,
            kind: 'r',
            owner: String::from("r7"),
            grants: vec![grant("r7", true), grant("app", false), grant("reader", false)],
        };
        let of =
            Address { schema: None, class: ObjectClass::Table, on: None, name: String::from("t") };
        let mut description = Description::new(of);
        description.set(Property::Privileges, privileges(&access));
        let object = SchemaObject {
            class: ObjectClass::Privileges,
            schema: None,
            name: String::from("t"),
            part_of: None,
            owner: None,
            tablespace: None,
            section: Section::PostData,
            statements: Vec::new(),
            depends_on: Vec::new(),
            placeholder: None,
            access: Some(Box::new(access)),
            descriptions: vec![description],
        };
        let schema = Schema {
            major: 15,
            objects: vec![object],
            described: Some(1),
            not_carried: Vec::new(),
            whole: true,
        };
        let object = &as_run_by(&schema, "r7", "app").objects[0];
        let list = object.access.as_ref().unwrap();
        let found: Vec<_> =
            list.grants.iter().map(|grant| (grant.grantee.as_deref(), grant.grantable)).collect();
        assert_eq!(
            (list.owner.as_str(), found),
            ("app", vec![(Some("app"), true), (Some("reader"), false)])
        );
        let told = ["(owner): SELECT with grant option", "reader: SELECT"].map(String::from);
        let told = Value::List(told.to_vec());
        assert_eq!(object.descriptions[0].properties.get(&Property::Privileges), Some(&told));
    }
}
