//! The schema of a database, read from its catalogs as statements that make it again.
//!
//! To be called on a session for [`Purpose::Catalog`](super::session::Purpose::Catalog), within a
//! REPEATABLE READ READ ONLY transaction whose tables are locked: `search_path` is empty (so an
//! unqualified name in a query here can only mean `pg_catalog`, and deparsed text is qualified)
//! and all identifiers come out quoted. The number of queries is constant.

mod array_casts;
mod collection;
mod columns;
mod comments;
mod constraints;
mod dependencies;
mod extensions;
pub(crate) mod functions;
mod indexes;
mod not_carried;
mod partitions;
mod privileges;
mod relations;
mod rows;
mod sequences;
mod tables;
mod triggers;
mod types;
mod views;

use crate::error::Result;
use crate::model::schema::{NotCarried, SchemaObject};
use crate::model::server::ServerFacts;
use collection::Collection;
use constraints::Constraints;
use dependencies::Graph;
use postgres::Client;
use relations::Relations;
use sequences::Sequences;
use std::collections::BTreeSet;

/// The schema of one database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseSchema {
    /// What is carried, in the order of section, class and name; `depends_on` are positions here.
    pub objects: Vec<SchemaObject>,
    /// What is not, in order.
    pub not_carried: Vec<NotCarried>,
    /// Every role that owns, gives or has something here, in order.
    pub roles: Vec<String>,
}

/// Reads the schema of the database that `client` is connected to.
///
/// # Errors
/// [`Kind::Failed`](crate::error::Kind::Failed) when the catalogs cannot be read, or an object was
/// dropped meanwhile.
pub fn read(client: &mut Client, facts: &ServerFacts) -> Result<DatabaseSchema> {
    let major = facts.major();
    let out = &mut Collection::default();
    let graph = &Graph::read(client, major)?;
    let relations = &Relations::read(client, major, graph, out)?;
    let constraints = &Constraints::read(client, major)?;
    let sequences = &Sequences::read(client, major, relations)?;
    extensions::collect(client, out, graph)?;
    types::collect(client, major, out, graph, relations, constraints)?;
    functions::collect(client, out, graph)?;
    sequences::collect(out, relations, sequences)?;
    tables::collect(out, graph, relations, constraints, sequences)?;
    views::collect(client, out, graph, relations)?;
    constraints::collect(out, graph, relations, constraints)?;
    partitions::collect(out, relations, constraints)?;
    indexes::collect(client, out, graph, relations)?;
    triggers::collect(client, out, graph, relations)?;
    not_carried::collect(client, out, graph, relations)?;
    views::collect_data(out, graph, relations)?;
    comments::collect(client, out, graph)?;
    privileges::collect(client, major, out, graph)?;
    not_carried::guard(client, out, graph)?;
    let (mut objects, not_carried) = std::mem::take(out).finish(graph);
    for statement in objects.iter_mut().flat_map(|object| &mut object.statements) {
        statement.sql = array_casts::keep(&statement.sql);
    }
    let roles = roles(&objects);
    Ok(DatabaseSchema { objects, not_carried, roles })
}

fn roles(objects: &[SchemaObject]) -> Vec<String> {
    let mut roles = BTreeSet::new();
    for object in objects {
        roles.extend(object.owner.clone());
        for grant in object.access.iter().flat_map(|access| &access.grants) {
            roles.insert(grant.grantor.clone());
            roles.extend(grant.grantee.clone());
        }
        roles.extend(object.access.as_ref().map(|access| access.owner.clone()));
    }
    roles.into_iter().collect()
}
