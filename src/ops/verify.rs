//! `pgark verify`: every byte of an archive against its manifest, offline. All findings are
//! collected; the first does not stop the search for others.

use super::interrupt::Interrupt;
use super::locate;
use super::observer::Observer;
use super::pool;
use crate::archive::manifest::{Chunk, LargeObjects, Manifest, Member};
use crate::archive::reader::{self, ArchiveReader, Slot, Step};
use crate::archive::tar_layout::MemberHeader;
use crate::archive::writer::{MODE, checksum_line};
use crate::archive::{frame, hashing};
use crate::error::{Error, Kind, Result};
use crate::model::name::Printable;
use crate::rules::large_object_digest::LargeObjectDigester;
use crate::rules::row_digest::RowDigester;
use crate::store::repository::Repository;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Largest `manifest.json` and `SHA256SUMS` that are looked at.
const LARGEST_MANIFEST: u64 = 1 << 30;

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
        let located = locate::archive(wanted, folder);
        let path = located.as_ref().map_or_else(|_| PathBuf::from(wanted), PathBuf::clone);
        let checked = located.and_then(|archive| check(&archive, jobs, observer, interrupt));
        match checked {
            Err(error) if matches!(error.kind(), Kind::Interrupted(_)) => Err(error),
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
    let repository = repository_of(archive);
    let name = archive.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    let listed = match &repository {
        Some(repository) => repository.manifest(name)?,
        None => None,
    };
    if listed.is_some() && !archive.exists() {
        return Err(Error::damaged("its manifest is in manifests/, and its file is gone"));
    }
    let mut report = check_file(archive, listed.as_deref(), jobs, observer, interrupt)?;
    if listed.is_none() {
        report.notes.push(String::from(
            "it has no manifest in manifests/, so only the one inside was used",
        ));
    }
    check_chain(&mut report, name, repository.as_ref())?;
    Ok(report)
}

/// The repository whose `backups/` an archive lies in.
fn repository_of(archive: &Path) -> Option<Repository> {
    let folder = archive.parent()?;
    let root = match folder.file_name()?.to_str()? {
        "backups" => folder.parent()?,
        _ => return None,
    };
    let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
    Repository::at(root).ok()
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

/// One piece of work: a member with what the manifest says of it.
enum Task<'a> {
    File(&'a Member, Slot),
    Chunk(&'a Chunk, Slot),
    /// All pieces of large objects, in their order: an object may lie in several.
    LargeObjects(&'a LargeObjects, Vec<(&'a Chunk, Slot)>),
}

/// Verifies one file. `listed` is the manifest as `manifests/` has it.
pub fn check_file(
    archive: &Path,
    listed: Option<&[u8]>,
    jobs: usize,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Report> {
    let failed = |error| Error::io(format!("cannot open {}", archive.display()), error);
    let file = File::open(archive).map_err(failed)?;
    let mut report = Report::of(archive);
    report.bytes = file.metadata().map_err(failed)?.len();
    let (slots, headers) = walk(&file, &mut report)?;
    let inside = manifest_inside(&file, &slots, &mut report)?;
    if let (Some(inside), Some(listed)) = (&inside, listed)
        && inside != listed
    {
        report.finding("manifest.json", "it differs from the manifest in manifests/");
    }
    let parsed = |json: &[u8], place: &str, report: &mut Report| match Manifest::from_json(json) {
        Ok(manifest) => Ok(Some(manifest)),
        Err(error) if error.kind() == Kind::Refused => Err(error),
        Err(error) => {
            report.finding(place, full(&error));
            Ok(None)
        }
    };
    let mut manifest = match &inside {
        Some(json) => parsed(json, "manifest.json", &mut report)?,
        None => None,
    };
    if manifest.is_none()
        && let Some(json) = listed
    {
        manifest = parsed(json, "the manifest in manifests/", &mut report)?;
    }
    let Some(manifest) = manifest else {
        report.finding("archive", "without a manifest nothing else can be checked");
        return Ok(report);
    };
    let tasks = tasks(&manifest, &slots, &mut report);
    let results = |(place, result): Checked| {
        report.members += usize::from(slots.contains_key(&place));
        match result {
            Ok(rows) => report.rows += rows,
            Err(error) if error.kind() == Kind::Damaged => report.finding(&place, full(&error)),
            Err(error) => return Err(error),
        }
        Ok(())
    };
    pool::run(
        jobs,
        tasks,
        interrupt,
        || Ok(()),
        |(), task, emit| check_task(&file, task, observer, emit),
        results,
    )?;
    check_headers(&headers, &manifest, &mut report);
    check_sums(&file, &slots, &manifest, inside.as_deref(), &mut report)?;
    if report.findings.is_empty() {
        check_schema(archive, &mut report)?;
    }
    report.manifest = Some(manifest);
    Ok(report)
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
        report.finding("archive", format!("{}{hint}", full(error)));
        report.unusable = (error.kind() != Kind::Damaged).then(|| error.kind());
        report
    }

    fn finding(&mut self, place: impl Into<String>, problem: impl Into<String>) {
        self.findings.push(Finding { place: place.into(), problem: problem.into() });
    }
}

type Members = (BTreeMap<String, Slot>, Vec<MemberHeader>);

fn walk(file: &File, report: &mut Report) -> Result<Members> {
    let mut slots = BTreeMap::new();
    let mut headers = Vec::new();
    reader::walk(file, |step| {
        match step {
            Step::Member(header, slot) => {
                if slots.insert(header.name.clone(), slot).is_some() {
                    report.finding(&header.name, "it is there twice");
                }
                headers.push(header);
            }
            Step::Bad(offset, error) => {
                report.finding("archive", format!("at byte {offset}: {}", full(&error)));
            }
            Step::End { offset, following } => {
                if following != 512 {
                    report.finding(
                        "archive",
                        format!(
                            "{following} bytes follow its end at byte {offset}, instead of 512"
                        ),
                    );
                }
            }
        }
        Ok(())
    })?;
    Ok((slots, headers))
}

/// Times and permissions follow from the manifest, and the manifest stands where it was written
/// last: not a bit of a header is free.
fn check_headers(headers: &[MemberHeader], manifest: &Manifest, report: &mut Report) {
    let begun = u64::try_from(manifest.started.timestamp()).unwrap_or_default();
    let bundle = manifest.migrations.iter().flat_map(|bundle| &bundle.files);
    let modes: BTreeMap<String, u32> =
        bundle.map(|file| (format!("migrations/{}", file.path), file.mode)).collect();
    for header in headers {
        if header.mtime != begun {
            report.finding(&header.name, "its time is not that of the backup");
        }
        if header.mode != *modes.get(&header.name).unwrap_or(&MODE) {
            report.finding(&header.name, format!("its permissions are {:o}", header.mode));
        }
    }
    let last: Vec<&str> = headers.iter().rev().take(2).map(|header| header.name.as_str()).collect();
    if last != ["SHA256SUMS", "manifest.json"] {
        report.finding("archive", "it does not end with manifest.json and SHA256SUMS");
    }
}

fn manifest_inside(
    file: &File,
    slots: &BTreeMap<String, Slot>,
    report: &mut Report,
) -> Result<Option<Vec<u8>>> {
    match slots.get("manifest.json") {
        Some(slot) if slot.size <= LARGEST_MANIFEST => read(file, *slot).map(Some),
        Some(_) => {
            report.finding("manifest.json", "it is too large to be one");
            Ok(None)
        }
        None => {
            report.finding("manifest.json", "it is missing");
            Ok(None)
        }
    }
}

/// Every member of the manifest that is there, and a finding for each that is not, and for each
/// that the manifest does not know.
fn tasks<'a>(
    manifest: &'a Manifest,
    slots: &BTreeMap<String, Slot>,
    report: &mut Report,
) -> Vec<Task<'a>> {
    let mut tasks = Vec::new();
    let mut unknown: BTreeMap<&str, ()> = slots.keys().map(|name| (name.as_str(), ())).collect();
    unknown.remove("manifest.json");
    let sums = unknown.remove("SHA256SUMS");
    if sums.is_none() {
        report.finding("SHA256SUMS", "it is missing");
    }
    let mut find = |member: &Member, report: &mut Report| {
        unknown.remove(member.member.as_str());
        match slots.get(&member.member) {
            None => report.finding(&member.member, "it is missing"),
            Some(slot) if slot.size != member.size => report.finding(
                &member.member,
                format!("it has {} bytes instead of {}", slot.size, member.size),
            ),
            Some(slot) => return Some(*slot),
        }
        None
    };
    for member in &manifest.files {
        tasks.extend(find(member, report).map(|slot| Task::File(member, slot)));
    }
    for chunk in manifest.tables.iter().flat_map(|table| &table.chunks) {
        tasks.extend(find(&chunk.member, report).map(|slot| Task::Chunk(chunk, slot)));
    }
    let objects = &manifest.large_objects;
    let pieces: Vec<(&Chunk, Slot)> = objects
        .chunks
        .iter()
        .filter_map(|chunk| Some((chunk, find(&chunk.member, report)?)))
        .collect();
    // With a piece missing the sum means nothing, and the missing piece is a finding already.
    if pieces.len() == objects.chunks.len() {
        tasks.push(Task::LargeObjects(objects, pieces));
    } else {
        tasks.extend(pieces.into_iter().map(|(chunk, slot)| Task::Chunk(chunk, slot)));
    }
    for name in unknown.keys() {
        report.finding(*name, "the manifest does not know it");
    }
    tasks
}

/// The place of a check, and the rows it counted.
type Checked = (String, Result<u64>);

fn check_task(
    file: &File,
    task: Task<'_>,
    observer: &dyn Observer,
    emit: pool::Emit<'_, Checked>,
) -> Result<()> {
    let mut done = |member: &Member, result: Result<u64>| {
        observer.moved(*result.as_ref().unwrap_or(&0), member.size);
        emit((member.member.clone(), result))
    };
    match task {
        Task::File(member, slot) => done(member, hashed(file, member, slot).map(|_| 0)),
        Task::Chunk(chunk, slot) => {
            let result = hashed(file, &chunk.member, slot)
                .and_then(|content| check_chunk(chunk, &content, &mut |_| Ok(())));
            done(&chunk.member, result)
        }
        Task::LargeObjects(objects, pieces) => {
            let mut digester = LargeObjectDigester::default();
            let mut sound = true;
            for (chunk, slot) in pieces {
                let result = hashed(file, &chunk.member, slot).and_then(|content| {
                    check_chunk(chunk, &content, &mut |piece| digester.update(piece))
                });
                sound &= result.is_ok();
                done(&chunk.member, result)?;
            }
            if sound {
                let result = check_large_objects(objects, digester).map(|()| 0);
                emit((String::from("large-objects"), result))?;
            }
            Ok(())
        }
    }
}

/// The bytes of a member, if they are the manifest's.
fn hashed(file: &File, member: &Member, slot: Slot) -> Result<Vec<u8>> {
    let content = read(file, slot)?;
    if hashing::sha256(&content) != member.sha256 {
        return Err(Error::damaged("its SHA-256 is not the manifest's"));
    }
    Ok(content)
}

fn check_large_objects(objects: &LargeObjects, digester: LargeObjectDigester) -> Result<()> {
    let found = digester.finish(objects.objects.iter().map(|object| object.oid))?;
    if (found.count, found.bytes, found.digest) == (objects.count, objects.bytes, objects.digest) {
        return Ok(());
    }
    Err(Error::damaged(format!(
        "they are {} of {} bytes with digest {} instead of {} of {} with {}",
        found.count, found.bytes, found.digest, objects.count, objects.bytes, objects.digest
    )))
}

/// The frame decodes to the rows that the manifest counts.
fn check_chunk(
    chunk: &Chunk,
    content: &[u8],
    take: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<u64> {
    let mut rows = RowDigester::default();
    frame::decompress(content, chunk.content.bytes, |piece| {
        rows.update(piece);
        take(piece)
    })?;
    let content = rows.finish()?;
    if content != chunk.content {
        return Err(Error::damaged(format!(
            "it holds {} rows with digest {} instead of {} with {}",
            content.rows, content.digest, chunk.content.rows, chunk.content.digest
        )));
    }
    Ok(content.rows)
}

fn check_sums(
    file: &File,
    slots: &BTreeMap<String, Slot>,
    manifest: &Manifest,
    inside: Option<&[u8]>,
    report: &mut Report,
) -> Result<()> {
    let (Some(slot), Some(json)) = (slots.get("SHA256SUMS"), inside) else { return Ok(()) };
    let sealed = Member {
        member: String::from("manifest.json"),
        size: json.len() as u64,
        sha256: hashing::sha256(json),
    };
    let expected: String = manifest.members().chain([&sealed]).map(checksum_line).collect();
    if slot.size > LARGEST_MANIFEST || read(file, *slot)? != expected.as_bytes() {
        report.finding("SHA256SUMS", "it does not list what the manifest lists");
    }
    Ok(())
}

/// The places of all statements lie in the schema's files.
fn check_schema(archive: &Path, report: &mut Report) -> Result<()> {
    match ArchiveReader::open(archive).and_then(|reader| reader.schema().map(drop)) {
        Err(error) if error.kind() == Kind::Damaged => {
            report.finding("schema", full(&error));
            Ok(())
        }
        result => result,
    }
}

fn read(file: &File, slot: Slot) -> Result<Vec<u8>> {
    let mut content = vec![0; slot.size as usize];
    file.read_exact_at(&mut content, slot.offset).map_err(|error| {
        Error::io(format!("cannot read the archive at byte {}", slot.offset), error)
    })?;
    Ok(content)
}

/// An error with its causes, on one line.
fn full(error: &Error) -> String {
    let words: Vec<String> = std::iter::once(error.to_string()).chain(error.causes()).collect();
    words.join(": ")
}
