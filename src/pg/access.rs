//! stub
use crate::error::Result;
use crate::model::schema::AccessList;
/// stub
pub fn reconcile(_c: &mut postgres::Client, _w: &[AccessList]) -> Result<()> {
    Ok(())
}
