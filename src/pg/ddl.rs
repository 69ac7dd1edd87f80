//! The schema of a database, read from its catalogs as statements that make it again.
//!
//! To be called on a session for [`Purpose::Catalog`](super::session::Purpose::Catalog), within a
//! REPEATABLE READ READ ONLY transaction whose tables are locked: `search_path` is empty (so an
//! unqualified name in a query here can only mean `pg_catalog`, and deparsed text is qualified)
//! and all identifiers come out quoted. The number of queries is constant.

mod aggregates;
mod base_types;
mod casts;
mod collations;
mod collection;
mod columns;
mod comments;
mod completeness;
mod constraint;
mod constraints;
mod database;
mod default_privileges;
mod deparsed;
mod dependencies;
mod domain_checks;
mod event_triggers;
mod exclusions;
mod extensions;
pub(crate) mod foreign;
mod foreign_keys;
pub(crate) mod functions;
mod indexes;
mod inherited_not_nulls;
mod internal_triggers;
mod keys;
mod languages;
mod late_checks;
mod late_columns;
mod late_storage;
mod members;
mod merged_columns;
mod newer;
mod operator_classes;
mod operators;
mod partitions;
mod privileges;
mod publications;
mod relations;
mod routines;
mod row_security;
mod rows;
mod rules;
mod security_labels;
mod sequences;
mod statistics;
mod subscriptions;
mod tables;
mod text_search;
mod triggers;
mod types;
mod validation;
mod views;

use crate::error::Result;
use crate::model::schema::{NotCarried, SchemaObject};
use crate::model::server::ServerFacts;
use crate::pg::client::Client;
use collection::Collection;
use constraints::Constraints;
use dependencies::Graph;
pub use members::read as extension_members;
use relations::Relations;
use sequences::Sequences;

/// The schema of one database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseSchema {
    /// What is carried, in the order of section, class and name; `depends_on` are positions here.
    pub objects: Vec<SchemaObject>,
    /// What is not, in order.
    pub not_carried: Vec<NotCarried>,
    /// What no archive can hold, and nobody has to allow, in order: invalid indexes, the rows of
    /// foreign tables. `name` is the whole text.
    pub notes: Vec<NotCarried>,
}

/// Reads the schema of the database that `client` is connected to.
///
/// # Errors
/// [`Kind::Failed`](crate::error::Kind::Failed) when the catalogs cannot be read, or an object was
/// dropped meanwhile.
pub fn read(client: &mut Client, facts: &ServerFacts) -> Result<DatabaseSchema> {
    let (collection, graph) = collect(client, facts.major())?;
    let collection::Finished { mut objects, not_carried, notes } = collection.finish(&graph);
    for statement in objects.iter_mut().flat_map(|object| &mut object.statements) {
        deparsed::keep(&mut statement.sql);
    }
    Ok(DatabaseSchema { objects, not_carried, notes })
}

/// Everything that the catalogs show, with what hangs on what.
fn collect(client: &mut Client, major: u32) -> Result<(Collection, Graph)> {
    let mut collection = Collection::default();
    let dependencies = Graph::read(client, major)?;
    let (out, graph) = (&mut collection, &dependencies);
    let relations = &Relations::read(client, major, graph, out)?;
    let constraints = &Constraints::read(client, major, relations)?;
    let sequences = &Sequences::read(client, major, relations)?;
    extensions::collect(client, out, graph)?;
    types::collect(client, major, out, graph, relations, constraints)?;
    collations::collect(client, major, out, graph)?;
    functions::collect(client, major, out, graph)?;
    routines::describe(client, major, out)?;
    aggregates::collect(client, out, graph)?;
    languages::collect(client, out, graph)?;
    casts::collect(client, out, graph)?;
    operators::collect(client, out, graph)?;
    operator_classes::collect(client, out, graph)?;
    text_search::collect(client, out, graph)?;
    foreign::collect(client, out, graph)?;
    sequences::collect(out, relations, sequences)?;
    tables::collect(out, graph, relations, constraints, sequences)?;
    views::collect(client, out, graph, relations, constraints)?;
    constraints::collect(out, graph, relations, constraints)?;
    partitions::collect(out, relations, constraints)?;
    indexes::collect(client, out, graph, relations)?;
    statistics::collect(client, out, graph)?;
    rules::collect(client, out, relations)?;
    triggers::collect(client, out, graph, relations)?;
    internal_triggers::collect(client, out, relations, constraints)?;
    row_security::collect(client, out, relations)?;
    publications::collect(client, major, out, graph)?;
    subscriptions::collect(client, major, out)?;
    event_triggers::collect(client, out, graph)?;
    views::collect_data(out, graph, relations)?;
    comments::collect(client, out, graph)?;
    security_labels::collect(client, out, graph)?;
    database::collect(client, out)?;
    privileges::collect(client, major, out, graph)?;
    default_privileges::collect(client, out, graph)?;
    completeness::check(client, major, out, graph)?;
    Ok((collection, dependencies))
}
