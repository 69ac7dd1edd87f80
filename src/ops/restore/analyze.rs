//! Statistics for the planner. Nothing that goes wrong here is worth a restored database: the
//! expressions of an index or of extended statistics may fail on rows, and a foreign server may
//! be away.

use super::Options;
use crate::error::Result;
use crate::model::name::QualifiedName;
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::Observer;
use crate::pg::catalog;
use crate::pg::ident::quote_qualified;
use crate::pg::session::Session;

/// Analyzes all tables, and names those that could not be. Tables with foreign tables below them
/// are left to those who know that the foreign server is there.
///
/// # Errors
/// The connection broke, or the run was interrupted.
pub fn all(
    session: &mut Session,
    options: &Options,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<()> {
    options.search_path.during(session, |session| analyze_all(session, observer, interrupt))
}

fn analyze_all(
    session: &mut Session,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<()> {
    let tables = catalog::to_analyze(&mut session.client)?;
    let (far, near): (Vec<_>, Vec<_>) = tables.into_iter().partition(|(_, is_far)| *is_far);
    if far.is_empty() {
        match session.execute("ANALYZE") {
            Ok(()) => return Ok(()),
            Err(error) if session.client.is_closed() => return Err(error),
            // One by one, it shows which table it was.
            Err(_) => interrupt.check()?,
        }
    }
    for (table, _) in near {
        interrupt.check()?;
        analyze(session, &table, observer, interrupt)?;
    }
    for (table, _) in far {
        observer.note(&format!("{table} is not analyzed: there are foreign tables below it"));
    }
    Ok(())
}

fn analyze(
    session: &mut Session,
    table: &QualifiedName,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<()> {
    let sql = format!("ANALYZE {}", quote_qualified(table));
    match session.run_single(&sql, &format!("cannot analyze {table}")) {
        Ok(_) => Ok(()),
        Err(error) if session.client.is_closed() => Err(error),
        Err(error) => {
            interrupt.check()?;
            let cause = error.causes().next().unwrap_or_default();
            observer.warn(&format!("{error}: {cause}"));
            Ok(())
        }
    }
}
