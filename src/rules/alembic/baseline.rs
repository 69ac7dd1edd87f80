//! From the objects of a schema to the statements of the revision that makes it.

use super::written::Step;
use crate::model::catalog::Address;
use crate::model::name::QualifiedName;
use crate::model::schema::{ObjectClass, Purpose, SchemaObject, Section};
use crate::rules::schema_diff::Schema;

/// Whose owners and privileges a baseline gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rights {
    /// None: everything belongs to whoever runs the migrations.
    None,
    /// What the revisions themselves give: not what belongs to the role that ran them.
    OfRevisions {
        /// That role.
        runner: String,
    },
    /// All.
    All,
}

/// The statements of a baseline, before and after the rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    /// Types, functions, tables, views.
    pub before_rows: Vec<Step>,
    /// Indexes, constraints, triggers, privileges.
    pub after_rows: Vec<Step>,
    /// What is in the schema, and no statement of the baseline makes.
    pub left_out: Vec<String>,
}

/// What a baseline never holds: the version table is Alembic's own to make; the database's settings
/// and comment, and where things lie, belong to the place.
fn is_of_the_place(object: &SchemaObject, version_tables: &[QualifiedName]) -> bool {
    use ObjectClass::{Privileges, SecurityLabel, Table};
    let is_version_table = version_tables.iter().any(|table| {
        object.part_of.as_ref() == Some(table)
            || matches!(object.class, Table | Privileges | SecurityLabel)
                && object.schema.as_deref() == Some(&table.schema)
                && object.name == table.name
    });
    is_version_table || is_of_database(object)
}

fn is_of_database(object: &SchemaObject) -> bool {
    matches!(object.class, ObjectClass::DatabaseComment | ObjectClass::DatabaseSetting)
        || object.access.as_ref().is_some_and(|access| access.kind == 'd')
        || object.descriptions.iter().any(|description| description.of == Address::database())
}

/// What is in a schema, and in no revision that is written from it, whatever rights that gives.
pub fn left_out(schema: &Schema) -> Vec<String> {
    let named = |object: &SchemaObject| match object.class {
        // It bears the name of a scratch database.
        ObjectClass::DatabaseComment => Some(String::from("the comment of the database")),
        _ if is_secret(object) => Some(format!("{object} (it may hold a password)")),
        ObjectClass::DatabaseSetting => Some(object.to_string()),
        _ if is_of_database(object) => Some(format!("the {} of the database", object.class)),
        _ => None,
    };
    schema.objects.iter().filter_map(named).collect()
}

/// A schema without what belongs to the place, for comparisons. What lives beside the migrations in
/// a live database goes with `with_connections` alone.
pub fn comparable(schema: &Schema, version_tables: &[QualifiedName]) -> Schema {
    let mut schema = schema.clone();
    schema.objects.retain(|object| !is_of_the_place(object, version_tables) && !is_secret(object));
    // Nor does it matter whether the role may see them.
    schema.not_carried.retain(|object| !may_hold_passwords(object.class));
    schema
}

/// What may hold passwords must not stand in a project's files.
fn is_secret(object: &SchemaObject) -> bool {
    may_hold_passwords(object.class)
}

fn may_hold_passwords(class: ObjectClass) -> bool {
    matches!(class, ObjectClass::Subscription | ObjectClass::UserMapping)
}

/// The statements that make the objects, which stand in an order that works.
pub fn statements(
    objects: &[SchemaObject],
    version_tables: &[QualifiedName],
    rights: &Rights,
) -> Baseline {
    let mut baseline = Baseline::default();
    let wanted =
        |object: &&SchemaObject| !is_of_the_place(object, version_tables) && !is_secret(object);
    for object in objects.iter().filter(wanted) {
        let mut left_out = false;
        for statement in &object.statements {
            if !is_wanted(object, statement.purpose, rights) {
                left_out |= *rights == Rights::None && statement.purpose == Purpose::Privilege;
                continue;
            }
            let step =
                Step { about: object.to_string(), sql: adapted(object.class, &statement.sql) };
            match object.section {
                Section::PreData => baseline.before_rows.push(step),
                Section::PostData => baseline.after_rows.push(step),
            }
        }
        if left_out {
            baseline.left_out.push(object.to_string());
        }
    }
    baseline
}

fn is_wanted(object: &SchemaObject, purpose: Purpose, rights: &Rights) -> bool {
    match purpose {
        Purpose::Define => true,
        // CREATE EXTENSION sets it, and only the extension's owner could.
        Purpose::Comment => object.class != ObjectClass::Extension,
        Purpose::Owner => match rights {
            Rights::None => false,
            Rights::OfRevisions { runner } => {
                // `public` belongs to whom initdb gave it.
                let is_public = object.class == ObjectClass::Schema && object.name == "public";
                object.owner.as_ref() != Some(runner) && !is_public
            }
            Rights::All => true,
        },
        Purpose::Privilege | Purpose::SecurityLabel => *rights != Rights::None,
    }
}

/// The schema of the version table is there before the first revision runs, and others may be.
fn adapted(class: ObjectClass, sql: &str) -> String {
    match (class, sql.strip_prefix("CREATE SCHEMA ")) {
        (ObjectClass::Schema, Some(rest)) => format!("CREATE SCHEMA IF NOT EXISTS {rest}"),
        _ => sql.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::schema::Statement;

    fn object(class: ObjectClass, name: &str, statements: Vec<Statement>) -> SchemaObject {
        SchemaObject {
            class,
            schema: (class != ObjectClass::Schema).then(|| String::from("public")),
            name: name.to_owned(),
            part_of: None,
            owner: Some(String::from("app")),
            tablespace: None,
            section: Section::PreData,
            depends_on: Vec::new(),
            statements,
            placeholder: None,
            access: None,
            descriptions: Vec::new(),
        }
    }

    fn owner() -> Statement {
        Statement { purpose: Purpose::Owner, sql: String::from("ALTER … OWNER TO \"app\"") }
    }

    #[test]
    fn owners_are_given_only_where_the_migrations_give_them() {
        let table =
            object(ObjectClass::Table, "t", vec![Statement::define("CREATE TABLE t ()"), owner()]);
        let one = std::slice::from_ref(&table);
        let made = |rights| statements(one, &[], &rights).before_rows.len();
        let run_by = |runner: &str| Rights::OfRevisions { runner: runner.to_owned() };
        assert_eq!(made(Rights::None), 1);
        assert_eq!(made(run_by("app")), 1);
        assert_eq!(made(run_by("scratch")), 2);
        assert_eq!(made(Rights::All), 2);
    }

    #[test]
    fn the_version_table_and_its_key_are_alembics_own_to_make() {
        let version = QualifiedName::new("public", "alembic_version");
        let mut key = object(ObjectClass::PrimaryKey, "k", vec![Statement::define("ALTER TABLE")]);
        key.part_of = Some(version.clone());
        let table = object(ObjectClass::Table, "alembic_version", vec![Statement::define("x")]);
        let schema =
            object(ObjectClass::Schema, "ops", vec![Statement::define("CREATE SCHEMA \"ops\"")]);
        let made = statements(&[table, key, schema], &[version], &Rights::None);
        assert_eq!(made.before_rows[0].sql, "CREATE SCHEMA IF NOT EXISTS \"ops\"");
        assert_eq!(made.before_rows.len() + made.after_rows.len(), 1);
    }
}
