//! One file: its headers, its manifest, its checksums and its schema.

use super::members::{Checked, Task, check_task, tasks};
use super::{Depth, Report};
use crate::archive::hashing;
use crate::archive::manifest::{Manifest, Member};
use crate::archive::reader::{self, ArchiveReader, Slot, Step};
use crate::archive::tar_layout::MemberHeader;
use crate::archive::writer::{MODE, checksum_line};
use crate::error::{Error, Kind, Result};
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::Observer;
use crate::ops::pool;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Largest `manifest.json` and `SHA256SUMS` that are looked at.
const LARGEST_MANIFEST: u64 = 1 << 30;

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
            report.finding(place, error.in_full());
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
    observer.expect(tasks.iter().map(Task::bytes).sum());
    let results = |(place, result): Checked| {
        report.members += usize::from(slots.contains_key(&place));
        match result {
            Ok(rows) => report.rows += rows,
            Err(error) if error.kind() == Kind::Damaged => report.finding(&place, error.in_full()),
            Err(error) => return Err(error),
        }
        Ok(())
    };
    pool::run(
        jobs,
        tasks,
        interrupt,
        || Ok(()),
        |(), task, emit| check_task(&file, task, depth, observer, emit),
        results,
    )?;
    check_headers(&headers, &manifest, &mut report);
    check_sums(&file, &slots, &manifest, inside.as_deref(), &mut report)?;
    report.manifest = Some(match inside {
        Some(json) if report.findings.is_empty() => {
            let reader = ArchiveReader::of_sound(archive, file, slots, manifest, json);
            check_schema(&reader, &mut report)?;
            reader.into_manifest()
        }
        _ => manifest,
    });
    Ok(report)
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

/// The places of all statements lie in the schema's files, and its descriptions can be read.
fn check_schema(reader: &ArchiveReader, report: &mut Report) -> Result<()> {
    match reader.described_schema().map(drop) {
        Err(error) if error.kind() == Kind::Damaged => {
            report.finding("schema", error.in_full());
            Ok(())
        }
        result => result,
    }
}

/// The bytes of a member, whatever they are.
pub(super) fn read(file: &File, slot: Slot) -> Result<Vec<u8>> {
    let mut content = vec![0; slot.size as usize];
    file.read_exact_at(&mut content, slot.offset).map_err(|error| {
        Error::io(format!("cannot read the archive at byte {}", slot.offset), error)
    })?;
    Ok(content)
}
