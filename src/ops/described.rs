//! The schema of an archive or of a live database, ready to be compared.

use super::interrupt::Interrupt;
use super::steady::{self, Limits};
use crate::archive::descriptions;
use crate::archive::reader::ArchiveReader;
use crate::error::Result;
use crate::model::connection::Connection;
use crate::pg::session::{Purpose, Session};
use crate::pg::{ddl, names, snapshot, target};
use crate::rules::schema_diff::Schema;
use std::time::Duration;

/// The schema of an archive.
///
/// # Errors
/// [`Kind::Damaged`] when it is not what the manifest says.
pub fn archive(reader: &ArchiveReader) -> Result<Schema> {
    let manifest = reader.manifest();
    let (objects, described) = reader.described_schema()?;
    Ok(Schema {
        major: manifest.source.major(),
        objects,
        described,
        not_carried: manifest.not_carried.clone(),
        whole: manifest.whole,
    })
}

/// The schema of `database`, or of the database that the connection names, at one moment. Tables
/// are not locked: what changes while it is read is noticed, and it is read again.
///
/// # Errors
/// [`Kind::Locked`] when definitions do not stop changing or are locked for `patience`;
/// [`Kind::Refused`] for a database with a restore that has not ended.
pub fn database(
    connection: &Connection,
    database: Option<&str>,
    patience: Duration,
    interrupt: &Interrupt,
) -> Result<Schema> {
    interrupt.explain(read_database(connection, database, patience, interrupt))
}

/// The schema of the session's database, read in the transaction that is open: it waits for no lock
/// that this transaction holds. What changes while it is read may be read in part.
///
/// # Errors
/// What the server says.
pub fn through(session: &mut Session) -> Result<Schema> {
    // As a session for the catalogs has it from its beginning.
    session.execute("SET LOCAL quote_all_identifiers = on")?;
    let read = ddl::read(&mut session.client, &session.facts)?;
    session.execute("SET LOCAL quote_all_identifiers = off")?;
    Ok(schema(session, read))
}

fn schema(session: &Session, read: ddl::DatabaseSchema) -> Schema {
    Schema {
        major: session.facts.major(),
        objects: read.objects,
        described: Some(descriptions::VERSION),
        not_carried: read.not_carried,
        whole: true,
    }
}

fn read_database(
    connection: &Connection,
    database: Option<&str>,
    patience: Duration,
    interrupt: &Interrupt,
) -> Result<Schema> {
    let mut session = interrupt.open(connection, database, Purpose::Catalog)?;
    session.check_not_pooled()?;
    target::check_unmarked(&mut session)?;
    names::check_readable(&mut session)?;
    let mut watcher = interrupt.open(connection, database, Purpose::Catalog)?;
    steady::read(patience, interrupt, |limits| {
        let read = read_still(&mut session, &mut watcher, limits);
        steady::let_go(&mut session, read)
    })
}

/// `None`: definitions changed while they were read.
fn read_still(
    session: &mut Session,
    watcher: &mut Session,
    limits: Limits,
) -> Result<Option<Schema>> {
    session.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
    snapshot::limit_lock_waits(session, limits.lock_wait)?;
    let before = snapshot::catalog_fingerprint(session)?;
    let read = ddl::read(&mut session.client, &session.facts);
    if before != snapshot::catalog_fingerprint(watcher)? {
        return Ok(None);
    }
    let read = read?;
    session.execute("COMMIT")?;
    Ok(Some(schema(session, read)))
}
