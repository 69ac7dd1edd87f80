//! What a restore makes a database from: an archive, or another database.

use super::{Options, load, through_roots};
use crate::archive::manifest::Manifest;
use crate::archive::reader::ArchiveReader;
use crate::error::Result;
use crate::model::provenance::Provenance;
use crate::model::schema::SchemaObject;
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::Observer;
use crate::ops::plan::Plan;
use crate::pg::session::Session;
use std::borrow::Cow;

/// Where schema and rows come from.
pub trait Origin {
    /// What it is.
    fn provenance(&self) -> Provenance;

    /// What there is to know before rows have moved.
    fn manifest(&self) -> &Manifest;

    /// The objects of the schema, with the roles' own names.
    fn schema(&self) -> Result<Vec<SchemaObject>>;

    /// Moves all rows and large objects, and says how many they are, and their digests.
    fn load(&self, target: &mut Loading<'_>) -> Result<Cow<'_, Manifest>>;

    /// How the rows are to be read back, so that their digests are those that [`Origin::load`] gives.
    fn read_back(&self, plan: Plan) -> Plan;
}

/// A database whose tables are there and empty.
pub struct Loading<'a> {
    /// The session that has made the tables.
    pub session: &'a mut Session,
    /// What was asked for.
    pub options: &'a Options,
    /// The database, if not the one that the connection names.
    pub database: Option<&'a str>,
    /// Who hears of progress.
    pub observer: &'a dyn Observer,
    /// What ends it early.
    pub interrupt: &'a Interrupt,
}

impl Origin for ArchiveReader {
    fn provenance(&self) -> Provenance {
        Provenance::Archive
    }

    fn manifest(&self) -> &Manifest {
        self.manifest()
    }

    fn schema(&self) -> Result<Vec<SchemaObject>> {
        self.described_schema().map(|(objects, _)| objects)
    }

    fn load(&self, target: &mut Loading<'_>) -> Result<Cow<'_, Manifest>> {
        let manifest = through_roots::chosen(target.session, self.manifest(), target.options)?;
        let astray = load::load_all(self, &manifest, target)?;
        load::large_objects(
            self,
            target.session,
            target.options,
            &[],
            target.observer,
            target.interrupt,
        )?;
        Ok(through_roots::through(manifest, &astray))
    }

    fn read_back(&self, plan: Plan) -> Plan {
        plan
    }
}
