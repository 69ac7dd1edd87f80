//! What a rollback does in the database: the version row, and rows when that is asked for.

use super::{Options, Version};
use crate::archive::manifest::Manifest;
use crate::archive::reader::ArchiveReader;
use crate::error::{Error, Kind, Result};
use crate::model::connection::Connection;
use crate::model::name::{enumerate, shown};
use crate::model::server::ServerFacts;
use crate::ops::described;
use crate::ops::interrupt::Interrupt;
use crate::ops::migrations::gate::Held;
use crate::ops::migrations::project::{Place, Sought};
use crate::ops::migrations::{archived, proof};
use crate::ops::observer::Observer;
use crate::ops::restore::preview::{self, Replacement};
use crate::ops::restore::{self, OnExisting};
use crate::pg::version_table::Hold;
use crate::rules::alembic::graph::Graph;
use crate::rules::schema_diff::{self, Aspect};
use std::collections::BTreeSet;

/// Fails where an archive's rows must not take the place of all that are there.
///
/// # Errors
/// [`Kind::Refused`], with what it was made without.
pub fn check_rows(archive: &Manifest) -> Result<()> {
    let why = match (archive.is_whole(), archive.options.masked) {
        (true, false) => return Ok(()),
        (false, _) if archive.left_out.is_empty() => String::from("holds a part of its database"),
        (false, _) => format!(
            "holds a part of its database; it was made without {}",
            enumerate(&archive.left_out)
        ),
        (true, true) => String::from("holds masked values"),
    };
    Err(Error::refused(format!("{} {why}: its rows are not brought back with the files", archive.name))
        .hint("name an archive of everything, or leave out --with-data and load these rows with pgark restore --data-only --on-existing truncate"))
}

/// What is to become of the version table, when `graph` is what the files say.
pub fn decide(
    options: &Options,
    connection: &Connection,
    reader: &ArchiveReader,
    graph: &Graph,
    held: &mut Held,
    interrupt: &Interrupt,
) -> Result<Version> {
    let database = held.session.facts.database.clone();
    check_named(&database, options)?;
    let rows = held.rows()?;
    let unknown: Vec<String> =
        rows.iter().filter(|row| graph.get(row).is_none()).cloned().collect();
    if !options.with_data && unknown.is_empty() && !rows.is_empty() {
        return Ok(Version::Kept(rows));
    }
    check_origin(&reader.manifest().source, &held.session.facts, options)?;
    let before = archived::ledger(reader, &held.table);
    let before = before.map(|ledger| ledger.revisions.as_slice()).unwrap_or_default();
    let strangers: Vec<String> =
        before.iter().filter(|row| graph.get(row).is_none()).cloned().collect();
    if !strangers.is_empty() {
        return Err(Error::refused(format!(
            "the version table in the archive says {}, and that is in none of its files",
            enumerate(&strangers)
        ))
        .hint("nothing was changed; --files-only brings the files back alone"));
    }
    if options.with_data {
        let same = rows.iter().collect::<BTreeSet<_>>() == before.iter().collect();
        return match (same, rows.is_empty()) {
            (true, _) => Ok(Version::Kept(rows)),
            (false, true) => Ok(Version::Filled(before.to_vec())),
            (false, false) => Err(Error::refused(format!(
                "the version table of \"{database}\" says {}, and {} in the archive, whose rows fit only that",
                shown(&rows),
                shown(before)
            ))
            .hint(match unknown.is_empty() {
                true => "bring the schema to the archive's revision with `alembic downgrade` first, or leave out --with-data",
                false => "roll back without --with-data first, which mends the version table where the schema is the archive's",
            })),
        };
    }
    let ([from], [to]) = (rows.as_slice(), before) else {
        return Err(Error::refused(format!(
            "the version table of \"{database}\" says {}, and {} in the archive: exactly one row is expected on both sides",
            shown(&rows),
            shown(before)
        ))
        .hint("mend the version table with `alembic stamp`, or bring the files back alone with --files-only"));
    };
    // A row must never say what the schema is not.
    let live = described::database(connection, None, options.lock_timeout, interrupt)?;
    let ignore = BTreeSet::from([Aspect::Owners, Aspect::Privileges, Aspect::Populated]);
    let found = schema_diff::compare(described::archive(reader)?, live, &ignore);
    if !found.differences.is_empty() {
        let lines: Vec<String> = found.differences.iter().map(proof::headline).collect();
        return Err(Error::new(
            Kind::Refused,
            format!("\"{database}\" is at {from}, which the archive's files do not know, and its schema is not the archive's: {}", enumerate(&lines)),
        )
        .hint("bring the schema back first, or the files alone with --files-only"));
    }
    Ok(Version::Changed { from: from.clone(), to: to.clone() })
}

/// Fails where another database was named than this one, whether or not a name is needed.
fn check_named(database: &str, options: &Options) -> Result<()> {
    match options.other_database.as_deref() {
        Some(named) if named != database => Err(Error::new(
            Kind::Usage,
            format!("--allow-other-database names \"{named}\", and this is \"{database}\""),
        )),
        _ => Ok(()),
    }
}

/// Fails unless the archive was made of this very database, or it was named as another one.
fn check_origin(source: &ServerFacts, here: &ServerFacts, options: &Options) -> Result<()> {
    let database = &here.database;
    if options.other_database.is_some() {
        return Ok(());
    }
    let why = match (&source.system_identifier, &here.system_identifier) {
        _ if source.database != *database => {
            format!("is of database \"{}\", and this is \"{database}\"", source.database)
        }
        (Some(then), Some(now)) if then == now => return Ok(()),
        (Some(then), Some(now)) => format!(
            "is of a \"{database}\" on another server (system identifier {then}, and here {now})"
        ),
        (None, _) => format!(
            "does not say of which server's \"{database}\" it is: the role could not read pg_control_system()"
        ),
        (_, None) => {
            return Err(Error::refused(format!(
                "whether this \"{database}\" is the archive's cannot be told: the role {} may not read pg_control_system()",
                here.role
            ))
            .hint(format!(
                "GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system() TO {}; or say that it is the archive's, or was restored from it, with --allow-other-database {database}",
                here.role
            )));
        }
    };
    Err(Error::refused(format!("the archive {why}; nothing was changed"))
        .hint(format!(
            "name the archive's database with --url; if this one was restored from it, say so with --allow-other-database {database}; --files-only looks at no database"
        )))
}

/// Holds the version table again after rows have been loaded.
///
/// # Errors
/// [`Kind::Refused`] where it no longer says what was `expected`.
pub fn hold_again(held: &mut Held, expected: &[String]) -> Result<()> {
    held.session.execute("BEGIN")?;
    held.hold(Hold::AgainstWriters)?;
    let rows = held.rows()?;
    match rows.iter().collect::<BTreeSet<_>>() == expected.iter().collect() {
        true => Ok(()),
        false => Err(Error::refused(format!(
            "the version table says {}, and said {} when the rows had been loaded",
            shown(&rows),
            shown(expected)
        ))),
    }
}

/// What the archive's rows would replace.
///
/// # Errors
/// What would keep them from coming back.
pub fn would_replace(
    options: &Options,
    connection: &Connection,
    reader: &ArchiveReader,
    held: &mut Held,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Replacement> {
    let options = rows_alone(options, connection);
    preview::replaced(&mut held.session, reader, &options, observer, interrupt)
}

/// The rows of all tables, in one transaction, proved. The restore looks at the version table itself,
/// so it cannot be held meanwhile.
pub fn load(
    options: &Options,
    held: Option<&mut Held>,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<restore::Summary> {
    let (Some(connection), Some(held)) = (&options.connection, held) else {
        return Err(Error::new(Kind::Usage, "rows come back into a database: give its --url"));
    };
    held.session.execute("ROLLBACK")?;
    let rows_alone = rows_alone(options, connection);
    restore::run(&options.archive, &rows_alone, observer, interrupt).map_err(|error| {
        error.while_doing("the rows did not come back; the files are as they were")
    })
}

/// The ordinary restore of all rows in the place of those that are there.
fn rows_alone(options: &Options, connection: &Connection) -> restore::Options {
    let mode = restore::Mode::DataOnly(OnExisting::Truncate);
    restore::Options {
        jobs: options.jobs,
        // The files come back, too: those at hand say nothing.
        migrations: Sought { place: Place::None, ..options.sought.clone() },
        lock_timeout: options.lock_timeout,
        ..restore::Options::new(connection.clone(), mode)
    }
}
