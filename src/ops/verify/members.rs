//! What is in the members: checksums, frames, rows, large objects.

use super::file::read;
use super::{Depth, Report};
use crate::archive::manifest::{Chunk, LargeObjects, Manifest, Member};
use crate::archive::reader::{CHECKSUMS, MANIFEST, Slot, Slots};
use crate::archive::{frame, hashing};
use crate::error::{Error, Result};
use crate::ops::observer::{Item, Observer};
use crate::ops::pool;
use crate::rules::large_object_digest::LargeObjectDigester;
use crate::rules::row_digest::RowDigester;
use std::collections::BTreeMap;
use std::fs::File;

/// One piece of work: a member with what the manifest says of it.
pub(super) enum Task<'a> {
    File(&'a Member, Slot),
    Chunk(&'a Chunk, Slot),
    /// All pieces of large objects, in their order: an object may lie in several.
    LargeObjects(&'a LargeObjects, Vec<(&'a Chunk, Slot)>),
}

/// Every member of the manifest that is there, and a finding for each that is not, and for each
/// that the manifest does not know.
pub(super) fn tasks<'a>(
    manifest: &'a Manifest,
    slots: &Slots,
    report: &mut Report,
) -> Vec<Task<'a>> {
    let mut tasks = Vec::new();
    let mut unknown: BTreeMap<&str, ()> = slots.keys().map(|name| (name.as_str(), ())).collect();
    unknown.remove(MANIFEST);
    let sums = unknown.remove(CHECKSUMS);
    if sums.is_none() {
        report.finding(CHECKSUMS, "it is missing");
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

impl Task<'_> {
    /// Bytes of the archive that it reads.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::File(_, slot) | Self::Chunk(_, slot) => slot.size,
            Self::LargeObjects(_, pieces) => pieces.iter().map(|(_, slot)| slot.size).sum(),
        }
    }
}

/// The place of a check, and the rows it counted.
pub(super) type Checked = (String, Result<u64>);

/// Does one piece of work, and hands on what became of each of its members.
pub(super) fn check_task(
    file: &File,
    task: Task<'_>,
    depth: Depth,
    observer: &dyn Observer,
    emit: pool::Emit<'_, Checked>,
) -> Result<()> {
    let begin = |member: &Member| {
        observer.begin(&Item { name: &member.member, parts: 1, bytes: member.size });
    };
    let mut done = |member: &Member, result: Result<u64>| {
        observer.moved(*result.as_ref().unwrap_or(&0), member.size);
        observer.end();
        emit((member.member.clone(), result))
    };
    match task {
        Task::File(member, slot) => {
            begin(member);
            done(member, hashed(file, member, slot).map(|_| 0))
        }
        Task::Chunk(Chunk { member, .. }, slot) if depth == Depth::Bytes => {
            begin(member);
            done(member, hashed(file, member, slot).map(|_| 0))
        }
        Task::LargeObjects(_, pieces) if depth == Depth::Bytes => {
            pieces.into_iter().try_for_each(|(Chunk { member, .. }, slot)| {
                begin(member);
                done(member, hashed(file, member, slot).map(|_| 0))
            })
        }
        Task::Chunk(chunk, slot) => {
            begin(&chunk.member);
            let result = hashed(file, &chunk.member, slot)
                .and_then(|content| check_chunk(chunk, &content, &mut |_| Ok(())));
            done(&chunk.member, result)
        }
        Task::LargeObjects(objects, pieces) => {
            let mut digester = LargeObjectDigester::default();
            let mut sound = true;
            for (chunk, slot) in pieces {
                begin(&chunk.member);
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

/// Fails unless a chunk's frame, whose SHA-256 was checked, decodes to the rows that the manifest
/// counts; hands on the rows meanwhile.
///
/// # Errors
/// [`Kind::Damaged`](crate::error::Kind::Damaged), and whatever `take` returns.
pub fn check_chunk(
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
