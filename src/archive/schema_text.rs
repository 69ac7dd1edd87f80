//! The schema as SQL text that people and psql can read, and where in it each statement stands.

use super::manifest::{ObjectEntry, StatementEntry};
use crate::model::schema::{SchemaObject, Section};

/// The two files of a schema and the places of all statements in them.
#[derive(Debug)]
pub struct SchemaText {
    /// `schema/pre-data.sql`.
    pub pre_data: String,
    /// `schema/post-data.sql`.
    pub post_data: String,
    /// The objects, in their order.
    pub objects: Vec<ObjectEntry>,
}

/// Settings under which the statements mean what they say, for those who run them with psql.
const SETTINGS: &str = "\
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SET check_function_bodies = off;
SET client_min_messages = warning;
SET default_tablespace = '';
SET row_security = off;
SELECT pg_catalog.set_config('search_path', '', false);
";

/// Writes out `objects`, which stand in the order in which they are restored.
pub fn write(objects: &[SchemaObject], archive: &str) -> SchemaText {
    let heading = |what: &str| format!("-- {archive}: {what}\n\n{SETTINGS}");
    let mut pre_data = heading("schema, before the rows");
    let mut post_data = heading("schema, after the rows");
    let mut entries = Vec::with_capacity(objects.len());
    for object in objects {
        let text = match object.section {
            Section::PreData => &mut pre_data,
            Section::PostData => &mut post_data,
        };
        text.push_str(&format!("\n-- {object}\n"));
        if let Some(tablespace) = &object.tablespace {
            text.push_str(&set_tablespace(tablespace));
        }
        let mut statements = Vec::with_capacity(object.statements.len());
        for statement in &object.statements {
            statements.push(StatementEntry {
                purpose: statement.purpose,
                offset: text.len(),
                length: statement.sql.len(),
            });
            text.push_str(&statement.sql);
            // A statement may end in a line comment, which would swallow the semicolon.
            text.push_str(if statement.sql.contains("--") { "\n;\n" } else { ";\n" });
        }
        if object.tablespace.is_some() {
            text.push_str(&set_tablespace(""));
        }
        entries.push(ObjectEntry {
            class: object.class,
            section: object.section,
            schema: object.schema.clone(),
            name: object.name.clone(),
            part_of: object.part_of.clone(),
            owner: object.owner.clone(),
            tablespace: object.tablespace.clone(),
            depends_on: object.depends_on.clone(),
            statements,
            access: object.access.clone(),
        });
    }
    SchemaText { pre_data, post_data, objects: entries }
}

/// Where the next relations go. Not a part of any statement, so that a restore can send them
/// elsewhere.
fn set_tablespace(name: &str) -> String {
    format!("SET default_tablespace = '{}';\n", name.replace('\'', "''"))
}
