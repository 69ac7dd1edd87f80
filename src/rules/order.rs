//! stub
use crate::error::Result;
use crate::model::schema::*;
/// stub
pub fn restore_order(objects: Vec<SchemaObject>) -> Result<Vec<SchemaObject>> {
    Ok(objects)
}
