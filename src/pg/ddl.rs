//! stub
use crate::error::Result;
use crate::model::schema::*;
use crate::model::server::ServerFacts;
/// stub
pub struct DatabaseSchema {
    /// o
    pub objects: Vec<SchemaObject>,
    /// n
    pub not_carried: Vec<NotCarried>,
    /// r
    pub roles: Vec<String>,
}
/// stub
pub fn read(_c: &mut postgres::Client, _f: &ServerFacts) -> Result<DatabaseSchema> {
    Ok(DatabaseSchema { objects: vec![], not_carried: vec![], roles: vec![] })
}
