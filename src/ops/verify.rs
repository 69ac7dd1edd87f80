//! `pgark verify`: every byte of an archive against its manifest, offline. All findings are
//! collected; the first does not stop the search for others.

use super::interrupt::Interrupt;
use super::locate;
use super::observer::Observer;
use crate::archive::hashing;
use crate::archive::manifest::Manifest;
use crate::error::{Error, Kind, Result};
use crate::model::name::Printable;
use crate::store::repository::Repository;
use std::fmt;
use std::path::{Path, PathBuf};

mod file;
mod members;

pub use file::{check_file, check_open};
pub use members::check_chunk;

/// How far a check looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Every byte is what the manifest says: headers, checksums, the manifest, the schema.
    Bytes,
    /// And the bytes of every chunk decode to the rows that the manifest counts and digests.
    Rows,
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The member, or `archive` for the file as a whole.
    pub place: String,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", Printable(&self.place), Printable(&self.problem))
    }
}

/// What verification found in one archive.
#[derive(Debug)]
pub struct Report {
    /// The file.
    pub archive: PathBuf,
    /// Its manifest, where it can be read.
    pub manifest: Option<Manifest>,
    /// Bytes of the file.
    pub bytes: u64,
    /// Members that were read.
    pub members: usize,
    /// Rows that were counted.
    pub rows: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Why it could not be verified at all, where that is not damage.
    pub unusable: Option<Kind>,
    /// What could not be checked, and is not wrong by itself.
    pub notes: Vec<String>,
}

/// Verifies the archives that `wanted` names, one after the other. One that cannot be found or read
/// has a report that says so, and the others are verified all the same.
///
/// # Errors
/// [`Kind::Interrupted`] alone.
pub fn run(
    wanted: &[String],
    folder: &Path,
    jobs: usize,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Vec<Report>> {
    let report = |wanted: &String| {
        let located = locate::archive(wanted, folder, observer);
        let path = located.as_ref().map_or_else(|_| PathBuf::from(wanted), PathBuf::clone);
        let checked = located.and_then(|archive| check(&archive, jobs, observer, interrupt));
        match checked {
            Err(error) if matches!(error.kind(), Kind::Interrupted(_)) => Err(interrupt.leaving(
                error,
                "nothing was changed, and nothing is known of the archives: verify them again",
            )),
            Err(error) => Ok(Report::unusable(&path, &error)),
            Ok(report) => Ok(report),
        }
    };
    wanted.iter().map(report).collect()
}

fn check(
    archive: &Path,
    jobs: usize,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Report> {
    observer.phase(&format!("verifying {}", archive.display()), None);
    let repository = locate::place(archive).map(|(repository, _)| repository);
    let name = archive.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    let listed = match &repository {
        Some(repository) => repository.manifest(name)?,
        None => None,
    };
    if listed.is_some() && !archive.exists() {
        return Err(Error::damaged("its manifest is in manifests/, and its file is gone"));
    }
    let mut report =
        check_file(archive, listed.as_deref(), Depth::Rows, jobs, observer, interrupt)?;
    if listed.is_none() {
        report.notes.push(String::from(
            "it has no manifest in manifests/, so only the one inside was used",
        ));
    }
    check_chain(&mut report, name, repository.as_ref())?;
    Ok(report)
}

/// The manifest names the archive, and the manifest before it by its hash.
fn check_chain(report: &mut Report, name: &str, repository: Option<&Repository>) -> Result<()> {
    let Some(manifest) = &report.manifest else { return Ok(()) };
    if manifest.name != name {
        report.notes.push(format!("it was written under the name {}", manifest.name));
    }
    let (Some(previous), Some(repository)) = (&manifest.previous, repository) else {
        return Ok(());
    };
    match repository.manifest(&previous.name)? {
        None => report.notes.push(format!("the previous manifest, {}, is not here", previous.name)),
        Some(json) if hashing::sha256(&json) == previous.sha256 => {}
        Some(_) => report.findings.push(Finding {
            place: format!("manifests/{}.json", previous.name),
            problem: String::from("it is not the manifest that this archive followed"),
        }),
    }
    Ok(())
}

impl Report {
    fn of(archive: &Path) -> Self {
        Self {
            archive: archive.to_owned(),
            manifest: None,
            bytes: 0,
            members: 0,
            rows: 0,
            findings: Vec::new(),
            unusable: None,
            notes: Vec::new(),
        }
    }

    /// Of an archive that could not be found or read.
    fn unusable(archive: &Path, error: &Error) -> Self {
        let mut report = Self::of(archive);
        let hint = error.next_step().map(|hint| format!("; {hint}")).unwrap_or_default();
        report.finding("archive", format!("{}{hint}", error.in_full()));
        report.unusable = (error.kind() != Kind::Damaged).then(|| error.kind());
        report
    }

    /// Fails where something was found.
    ///
    /// # Errors
    /// [`Kind::Damaged`], with the first finding and how many more there are.
    pub fn check_sound(&self) -> Result<()> {
        let Some((first, others)) = self.findings.split_first() else { return Ok(()) };
        let more = match others.len() {
            0 => String::new(),
            more => format!("; and {more} more findings"),
        };
        let archive = self.archive.display();
        Err(Error::damaged(format!("{archive} is damaged: {first}{more}")))
    }

    fn finding(&mut self, place: impl Into<String>, problem: impl Into<String>) {
        self.findings.push(Finding { place: place.into(), problem: problem.into() });
    }
}
