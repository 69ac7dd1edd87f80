//! The role that runs the revisions on a throw-away server. Its name is drawn for the run, so wherever
//! it is found, it stands for whoever runs them; a revision that is written must not hold it.

use super::written::Step;
use crate::model::catalog::{Properties, Value};
use crate::rules::schema_diff::Schema;

/// What PostgreSQL calls whoever runs a statement.
const WHOEVER_RUNS_IT: &str = "CURRENT_USER";

/// Lets statements name whoever runs them, where they name the runner as a role or as a whole value.
///
/// # Errors
/// What a statement is about that holds the name within something else.
pub fn generalize(steps: &mut [Step], runner: &str) -> Result<(), String> {
    for step in steps {
        for quote in ['"', '\''] {
            step.sql = step.sql.replace(&format!("{quote}{runner}{quote}"), WHOEVER_RUNS_IT);
        }
        step.about = step.about.replace(runner, WHOEVER_RUNS_IT);
        if step.sql.contains(runner) {
            return Err(step.about.clone());
        }
    }
    Ok(())
}

/// A schema as it would be if another role had run the revisions.
pub fn as_run_by(schema: &Schema, runner: &str, role: &str) -> Schema {
    let mut schema = schema.clone();
    let rename = |text: &mut String| {
        if text.contains(runner) {
            *text = text.replace(runner, role);
        }
    };
    for object in &mut schema.objects {
        rename(&mut object.name);
        object.owner.iter_mut().for_each(rename);
        object.statements.iter_mut().for_each(|statement| rename(&mut statement.sql));
        for description in &mut object.descriptions {
            rename(&mut description.of.name);
            let of_columns = description.columns.iter_mut().map(|column| &mut column.properties);
            for properties in of_columns.chain([&mut description.properties]) {
                values(properties).for_each(rename);
            }
        }
        if let Some(list) = &mut object.access {
            rename(&mut list.owner);
            for grant in &mut list.grants {
                rename(&mut grant.grantor);
                grant.grantee.iter_mut().for_each(rename);
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
        let within = &mut [step("INSERT INTO \"t\" VALUES ('by r7')")];
        assert_eq!(generalize(within, "r7").unwrap_err(), "policy of CURRENT_USER");
    }
}
