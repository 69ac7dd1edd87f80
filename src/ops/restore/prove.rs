//! After a restore into an empty database, everything is read back and compared with the manifest.

use crate::error::{Error, Kind, Result};
use crate::ops::compare::{self, Restored};
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::Observer;
use crate::ops::plan::Plan;

/// How many differences a message lists.
const LISTED: usize = 20;

/// Proves that the database holds exactly what the manifest says, whose digests are of rows in the
/// formats that `read_back` chooses.
///
/// # Errors
/// [`Kind::Differs`] with what differs.
pub fn equals(
    restored: &Restored<'_>,
    read_back: impl FnOnce(Plan) -> Plan,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<()> {
    let differences = compare::with_restored(restored, read_back, observer, interrupt)?;
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
        format!("the new database is not equal to {}: {}", restored.from, listed.join("; ")),
    ))
}
