//! `pgark copy`: one database becomes another, without an archive in between.
//!
//! A look at the target; locks → snapshot → schema of the source; then a restore, whose rows come
//! straight from it.

use super::backup;
use super::interrupt::Interrupt;
use super::observer::Observer;
use super::restore::{self, Summary};
use crate::error::{Error, Result};
use crate::pg::connect;
use crate::pg::database::server_start;
use crate::pg::session::Purpose;
use crate::pg::target;
use live::Live;
use std::time::Instant;

mod live;
mod relay;

/// What to copy, and where to.
pub struct Options {
    /// What to read.
    pub source: backup::Source,
    /// Where to, and how. Rows alone cannot be copied.
    pub target: restore::Options,
}

/// Copies a database.
///
/// # Errors
/// The source is never changed; the target is as after a restore that failed.
pub fn run(options: &Options, observer: &dyn Observer, interrupt: &Interrupt) -> Result<Summary> {
    let begun = Instant::now();
    let target = &options.target;
    let live = look(options, interrupt)
        .and_then(|()| Live::open(&options.source, target, observer, interrupt))
        .map_err(|error| interrupt.leaving(error, "nothing was copied, and nothing was changed"))?;
    let mut summary = interrupt.explain(restore::make(&live, target, observer, interrupt))?;
    summary.elapsed = begun.elapsed();
    summary.left_out.extend(live.not_carried());
    (summary.whole, summary.not_in_archive) = live.coverage();
    Ok(summary)
}

/// What can be known of both sides before anybody has to wait for the source's locks: passwords, and
/// whether the target can take a copy at all.
fn look(options: &Options, interrupt: &Interrupt) -> Result<()> {
    let (from, to) = (&options.source.connection, &options.target.connection);
    let mut source = interrupt.open(from, None, Purpose::Catalog)?;
    target::check_unmarked(&mut source)?;
    let mut place = restore::open(&options.target, interrupt)?;
    let name = connect::database_name(to)?;
    if name == source.facts.database && server_start(&mut source)? == server_start(&mut place)? {
        let text = format!("source and target are the same database, \"{name}\"");
        return Err(Error::refused(text));
    }
    restore::look(&mut place, &options.target, &source.facts)
}
