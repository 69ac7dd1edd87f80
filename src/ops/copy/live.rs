//! The database that is copied: its schema under a snapshot, and its rows when they are asked for.

use super::relay;
use crate::archive::manifest::{Format, LargeObjects, Manifest, Snapshot};
use crate::error::{Error, Result};
use crate::model::provenance::Provenance;
use crate::model::schema::SchemaObject;
use crate::ops::backup::{self, Source, migrations, read, schema};
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::Observer;
use crate::ops::plan::{self, Plan};
use crate::ops::restore::origin::{Loading, Origin};
use crate::ops::restore::{Options, adapt, through_roots};
use crate::pg::session::Session;
use crate::pg::{large_objects, roles};
use chrono::Utc;
use std::borrow::Cow;
use std::sync::Mutex;

/// A database of which a snapshot is held until its rows have moved.
pub struct Live<'a> {
    source: &'a Source,
    taken: schema::Taken,
    /// What a restore goes by; nobody writes it down.
    manifest: Manifest,
    objects: Vec<SchemaObject>,
    plan: Plan,
    /// Holds the snapshot, and a lock on every table, until the rows have moved.
    leader: Mutex<Option<Session>>,
}

impl<'a> Live<'a> {
    /// Takes locks, snapshot and schema.
    ///
    /// # Errors
    /// Those of a backup; a role of `target`'s map that is not there.
    pub fn open(
        source: &'a Source,
        target: &Options,
        observer: &dyn Observer,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let started = Utc::now();
        let (mut leader, mut taken) = schema::open(source, observer, interrupt)?;
        let plan = plan::make(&taken.tables, &taken.choices, leader.facts.major()).in_binary();
        let facts = match taken.with_large_objects {
            true => large_objects::list(&mut leader.client)?,
            false => Vec::new(),
        };
        let objects = facts.into_iter().map(read::archived).collect();
        let large_objects = LargeObjects { objects, ..LargeObjects::default() };
        let named = taken.all_roles(&large_objects.objects);
        let mut manifest = Manifest {
            format: Format::current(backup::features(&source.selection)),
            name: leader.facts.database.clone(),
            program: concat!("pgark ", env!("CARGO_PKG_VERSION")).to_owned(),
            started,
            finished: started,
            source: leader.facts.clone(),
            database: Some(taken.database.clone()),
            snapshot: Snapshot { taken: taken.snapshot.taken, lsn: taken.snapshot.lsn.clone() },
            options: backup::recorded(source, target.jobs, 0),
            previous: None,
            role_definitions: roles::definitions(&mut leader.client, &named)?,
            roles: named,
            objects: Vec::new(),
            not_carried: std::mem::take(&mut taken.not_carried),
            left_out: std::mem::take(&mut taken.left_out),
            whole: source.is_whole(),
            tables: plan.tables.iter().map(read::entry).collect(),
            sequences: std::mem::take(&mut taken.sequences),
            large_objects,
            migrations: None,
            ledgers: migrations::ledgers(&mut leader, &taken.tables)?,
            files: Vec::new(),
        };
        adapt::check_roles(&manifest, Provenance::Database, &target.role_map)?;
        adapt::rename_roles(&mut manifest, &target.role_map);
        let objects = std::mem::take(&mut taken.objects);
        Ok(Self { source, taken, manifest, objects, plan, leader: Mutex::new(Some(leader)) })
    }

    /// What the operator allowed to be missing.
    pub fn not_carried(&self) -> impl Iterator<Item = String> {
        self.manifest.not_carried.iter().map(|object| format!("{} {}", object.class, object.name))
    }

    /// Whether everything of the database is copied, and what is not.
    pub fn coverage(&self) -> (bool, Vec<String>) {
        (self.manifest.is_whole(), self.manifest.left_out.clone())
    }
}

impl Origin for Live<'_> {
    fn provenance(&self) -> Provenance {
        Provenance::Database
    }

    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn schema(&self) -> Result<Vec<SchemaObject>> {
        Ok(self.objects.clone())
    }

    fn load(&self, target: &mut Loading<'_>) -> Result<Cow<'_, Manifest>> {
        let leader = self.leader.lock().ok().and_then(|mut leader| leader.take());
        let mut leader = leader
            .ok_or_else(|| Error::failed("the rows have moved; this is a defect of pgark"))?;
        let chosen = through_roots::chosen(target.session, &self.manifest, target.options)?;
        let mut manifest = chosen.into_owned();
        let planned = relay::Planned { plan: &self.plan, entries: &manifest.tables };
        let contents = relay::rows(self.source, &self.taken, &mut leader, planned, target)?;
        for (table, content) in manifest.tables.iter_mut().zip(contents) {
            table.content = content;
        }
        let large_objects = &mut manifest.large_objects;
        let there = relay::large_objects(&large_objects.objects, &mut leader, target)?;
        large_objects.count = there.count;
        large_objects.bytes = there.bytes;
        large_objects.digest = there.digest;
        self.taken.end(&mut leader)?;
        Ok(Cow::Owned(manifest))
    }

    fn read_back(&self, plan: Plan) -> Plan {
        plan.in_binary()
    }
}
