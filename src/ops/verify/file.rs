//! One file: its headers, its manifest, its checksums and its schema.

use super::members::{Checked, Task, check_task, tasks};
use super::{Depth, Report};
use crate::archive::manifest::{Manifest, Member};
use crate::archive::reader::{self, ArchiveReader, CHECKSUMS, MANIFEST, Slot, Slots, Step};
use crate::archive::writer::{MODE, checksum_line};
use crate::error::{Error, Kind, Result};
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::Observer;
use crate::ops::pool;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Largest `manifest.json` and `SHA256SUMS` that are looked at.
const LARGEST_MANIFEST: u64 = 1 << 30;

/// How much of a member is compared at a time.
const PIECE: usize = 1 << 20;

/// Verifies one file. `listed` is the manifest as `manifests/` has it.
pub fn check_file(
    archive: &Path,
    listed: Option<&[u8]>,
    depth: Depth,
    jobs: usize,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Report> {
    let failed = |error| Error::io(format!("cannot open {}", archive.display()), error);
    let file = File::open(archive).map_err(failed)?;
    let mut report = Report::of(archive);
    report.bytes = file.metadata().map_err(failed)?.len();
    let slots = walk(&file, &mut report)?;
    let inside = manifest_inside(&file, &slots, listed, &mut report)?;
    let parsed = |json: &[u8], place: &str, report: &mut Report| match Manifest::from_json(json) {
        Ok(manifest) => Ok(Some(manifest)),
        Err(error) if error.kind() == Kind::Refused => Err(error),
        Err(error) => {
            report.finding(place, error.in_full());
            Ok(None)
        }
    };
    let mut manifest = match &inside {
        Some(json) => parsed(json, MANIFEST, &mut report)?,
        None => None,
    };
    let sealed = inside.map(|json| Member::of(MANIFEST, &json));
    if manifest.is_none()
        && let Some(json) = listed
    {
        manifest = parsed(json, "the manifest in manifests/", &mut report)?;
    }
    let Some(manifest) = manifest else {
        report.finding("archive", "without a manifest nothing else can be checked");
        return Ok(report);
    };
    let contents =
        Contents { file: &file, slots: &slots, manifest: &manifest, sealed: sealed.as_ref() };
    contents.check(depth, jobs, observer, interrupt, &mut report)?;
    report.manifest = Some(match sealed {
        Some(sealed) if report.findings.is_empty() => {
            let reader = ArchiveReader::of_sound(archive, file, slots, manifest, sealed);
            check_schema(&reader, &mut report)?;
            reader.into_manifest()
        }
        _ => manifest,
    });
    Ok(report)
}

/// Verifies an archive that is open already, and whose headers and manifest are sound. Whoever has
/// it open has its manifest: the report holds no second one.
pub fn check_open(
    reader: &ArchiveReader,
    depth: Depth,
    jobs: usize,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Report> {
    let mut report = Report::of(reader.path());
    report.bytes = reader.file_size()?;
    let (file, slots) = reader.members();
    let (manifest, sealed) = (reader.manifest(), Some(reader.sealed()));
    let contents = Contents { file, slots, manifest, sealed };
    contents.check(depth, jobs, observer, interrupt, &mut report)?;
    if report.findings.is_empty() {
        check_schema(reader, &mut report)?;
    }
    Ok(report)
}

/// An open file, where its members lie, and what is known of them.
struct Contents<'a> {
    file: &'a File,
    slots: &'a Slots,
    manifest: &'a Manifest,
    /// The manifest as a member, where it is one.
    sealed: Option<&'a Member>,
}

impl Contents<'_> {
    fn check(
        &self,
        depth: Depth,
        jobs: usize,
        observer: &dyn Observer,
        interrupt: &Interrupt,
        report: &mut Report,
    ) -> Result<()> {
        let tasks = tasks(self.manifest, self.slots, report);
        observer.expect(tasks.iter().map(Task::bytes).sum());
        let results = |(place, result): Checked| {
            report.members += usize::from(self.slots.contains_key(&place));
            match result {
                Ok(rows) => report.rows += rows,
                Err(error) if error.kind() == Kind::Damaged => {
                    report.finding(&place, error.in_full());
                }
                Err(error) => return Err(error),
            }
            Ok(())
        };
        pool::run(
            jobs,
            tasks,
            interrupt,
            || Ok(()),
            |(), task, emit| check_task(self.file, task, depth, observer, emit),
            results,
        )?;
        self.check_headers(report);
        self.check_sums(report)
    }

    /// Times and permissions follow from the manifest, and the manifest stands where it was written
    /// last: not a bit of a header is free.
    fn check_headers(&self, report: &mut Report) {
        let begun = u64::try_from(self.manifest.started.timestamp()).unwrap_or_default();
        let bundle = self.manifest.migrations.iter().flat_map(|bundle| &bundle.files);
        let modes: BTreeMap<String, u32> =
            bundle.map(|file| (format!("migrations/{}", file.path), file.mode)).collect();
        for (name, slot) in self.slots {
            if slot.mtime != begun {
                report.finding(name, "its time is not that of the backup");
            }
            if slot.mode != *modes.get(name).unwrap_or(&MODE) {
                report.finding(name, format!("its permissions are {:o}", slot.mode));
            }
        }
        let mut places: Vec<(u64, &str)> =
            self.slots.iter().map(|(name, slot)| (slot.offset, name.as_str())).collect();
        places.sort_unstable();
        if !places.iter().map(|(_, name)| *name).rev().take(2).eq([CHECKSUMS, MANIFEST]) {
            report.finding("archive", "it does not end with manifest.json and SHA256SUMS");
        }
    }

    fn check_sums(&self, report: &mut Report) -> Result<()> {
        let (Some(slot), Some(sealed)) = (self.slots.get(CHECKSUMS), self.sealed) else {
            return Ok(());
        };
        let expected: String = self.manifest.members().chain([sealed]).map(checksum_line).collect();
        if slot.size > LARGEST_MANIFEST || read(self.file, *slot)? != expected.as_bytes() {
            report.finding(CHECKSUMS, "it does not list what the manifest lists");
        }
        Ok(())
    }
}

fn walk(file: &File, report: &mut Report) -> Result<Slots> {
    let mut slots = Slots::new();
    reader::walk(file, |step| {
        match step {
            Step::Member(name, slot) => {
                if slots.contains_key(&name) {
                    report.finding(&name, "it is there twice");
                }
                slots.insert(name, slot);
            }
            Step::Bad(offset, error) => {
                report.finding("archive", format!("at byte {offset}: {}", error.in_full()));
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
    Ok(slots)
}

/// The manifest in the archive; the listed one where both are equal, since one of them is enough.
fn manifest_inside<'a>(
    file: &File,
    slots: &Slots,
    listed: Option<&'a [u8]>,
    report: &mut Report,
) -> Result<Option<Cow<'a, [u8]>>> {
    match slots.get(MANIFEST) {
        Some(slot) if slot.size <= LARGEST_MANIFEST => {
            if let Some(listed) = listed {
                if holds(file, *slot, listed)? {
                    return Ok(Some(Cow::Borrowed(listed)));
                }
                report.finding(MANIFEST, "it differs from the manifest in manifests/");
            }
            Ok(Some(Cow::Owned(read(file, *slot)?)))
        }
        Some(_) => {
            report.finding(MANIFEST, "it is too large to be one");
            Ok(None)
        }
        None => {
            report.finding(MANIFEST, "it is missing");
            Ok(None)
        }
    }
}

/// The places of all statements lie in the schema's files, and its descriptions can be read.
fn check_schema(reader: &ArchiveReader, report: &mut Report) -> Result<()> {
    match reader.check_schema() {
        Err(error) if error.kind() == Kind::Damaged => {
            report.finding("schema", error.in_full());
            Ok(())
        }
        result => result,
    }
}

/// Whether the bytes of a member are `content`; they are read piece by piece.
fn holds(file: &File, slot: Slot, content: &[u8]) -> Result<bool> {
    if slot.size != content.len() as u64 {
        return Ok(false);
    }
    let mut offset = slot.offset;
    for piece in content.chunks(PIECE) {
        let size = piece.len() as u64;
        if read(file, Slot { offset, size, ..slot })? != piece {
            return Ok(false);
        }
        offset += size;
    }
    Ok(true)
}

/// The bytes of a member, whatever they are.
pub(super) fn read(file: &File, slot: Slot) -> Result<Vec<u8>> {
    let mut content = vec![0; slot.size as usize];
    file.read_exact_at(&mut content, slot.offset).map_err(|error| {
        Error::io(format!("cannot read the archive at byte {}", slot.offset), error)
    })?;
    Ok(content)
}
