//! After a restore into an empty database, everything is read back and compared with the manifest.

use crate::archive::reader::ArchiveReader;
use crate::error::{Error, Kind, Result};
use crate::model::connection::Connection;
use crate::ops::compare;
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::Observer;

/// How many differences a message lists.
const LISTED: usize = 20;

/// Proves that the database holds exactly what the archive does.
///
/// # Errors
/// [`Kind::Differs`] with what differs.
pub fn equals(
    reader: &ArchiveReader,
    connection: &Connection,
    database: Option<&str>,
    jobs: usize,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<()> {
    let differences =
        compare::with_restored(reader, connection, database, jobs, observer, interrupt)?;
    if differences.is_empty() {
        return Ok(());
    }
    let listed: Vec<String> = differences
        .iter()
        .take(LISTED)
        .map(|difference| format!("{}: {}", difference.object, difference.what))
        .collect();
    Err(Error::new(
        Kind::Differs,
        format!("the restored database is not equal to the archive: {}", listed.join("; ")),
    ))
}
