//! Rows of partitions that the server itself puts where they belong there.

use super::Options;
use crate::archive::manifest::Manifest;
use crate::error::{Error, Result};
use crate::model::name::QualifiedName;
use crate::ops::observer::Observer;
use crate::pg::session::Session;
use crate::pg::{failure, partitions};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Partitions, with the tables at the top of their trees.
pub type Roots = BTreeMap<QualifiedName, QualifiedName>;

/// What is loaded through what: as the manifest says, or, where that was asked for, all partitions through
/// the partitioned tables that are there.
///
/// # Errors
/// The server's.
pub fn chosen<'a>(
    session: &mut Session,
    manifest: &'a Manifest,
    options: &Options,
) -> Result<Cow<'a, Manifest>> {
    if !options.through_roots {
        return Ok(Cow::Borrowed(manifest));
    }
    let roots = partitions::roots(&mut session.client)?;
    Ok(through(Cow::Borrowed(manifest), &roots))
}

/// The manifest with partitions that are loaded through these tables.
pub fn through<'a>(mut manifest: Cow<'a, Manifest>, roots: &Roots) -> Cow<'a, Manifest> {
    if roots.is_empty() {
        return manifest;
    }
    for table in manifest.to_mut().tables.iter_mut().filter(|table| table.extension.is_none()) {
        if let Some(root) = roots.get(&table.name) {
            table.load_through = Some(root.clone());
        }
    }
    manifest
}

/// Trees of which a partition has refused rows, as its key hashes or sorts otherwise here. A COPY takes all
/// of its rows or none, so these can be sent to the top of the tree instead.
pub struct Astray<'a> {
    roots: Roots,
    observer: &'a dyn Observer,
    found: Mutex<BTreeSet<QualifiedName>>,
}

impl<'a> Astray<'a> {
    /// None so far.
    ///
    /// # Errors
    /// The server's.
    pub fn none(session: &mut Session, observer: &'a dyn Observer) -> Result<Self> {
        let roots = partitions::roots(&mut session.client)?;
        Ok(Self { roots, observer, found: Mutex::default() })
    }

    /// Where rows of a partition go, if its tree is one of those.
    pub fn root(&self, partition: &QualifiedName) -> Option<&QualifiedName> {
        self.roots.get(partition).filter(|root| self.found().contains(*root))
    }

    /// Where rows can go which a partition has refused.
    pub fn refused(&self, partition: &QualifiedName, error: &Error) -> Option<&QualifiedName> {
        let root = self.roots.get(partition).filter(|_| failure::is_of_partition(error))?;
        if self.found().insert(root.clone()) {
            self.observer.note(&format!(
                "the key of {root} hashes or sorts otherwise on this server: loading through it"
            ));
        }
        Some(root)
    }

    /// The partitions of those trees.
    pub fn into_roots(self) -> Roots {
        let found = self.found().clone();
        self.roots.into_iter().filter(|(_, root)| found.contains(root)).collect()
    }

    fn found(&self) -> MutexGuard<'_, BTreeSet<QualifiedName>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
