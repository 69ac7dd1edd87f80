//! Reads one archive: finds its members, and gives none whose bytes are not as the manifest says.

use super::descriptions;
use super::hashing::sha256;
use super::manifest::{Manifest, Member, ObjectEntry};
use super::tar_layout::{self, BLOCK, MemberHeader};
use crate::error::{Error, Kind, Result};
use crate::model::schema::{Purpose, SchemaObject, Section, Statement};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Largest member that is read whole and is not a chunk: manifests of 10,000 tables have some
/// ten megabytes.
const LARGEST_FILE: u64 = 1 << 30;

/// Where a member's content lies in the tar, and what else its header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Byte offset of the content.
    pub offset: u64,
    /// Bytes of content.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// Seconds since 1970.
    pub mtime: u64,
}

/// The members of an archive by name.
pub type Slots = BTreeMap<String, Slot>;

/// What a walk over the tar's headers found at one place.
#[derive(Debug)]
pub enum Step {
    /// A member, by its name.
    Member(String, Slot),
    /// Something that is not a header of ours, at this byte offset.
    Bad(u64, Error),
    /// The end blocks, and the bytes that follow them.
    End {
        /// Byte offset of the first end block.
        offset: u64,
        /// How many bytes stand after the first end block; 512 is right.
        following: u64,
    },
}

/// Walks over all headers of a tar. After a bad place it goes on at the next block that is a
/// header, so that one damaged header does not hide the members behind it.
pub fn walk(file: &File, mut visit: impl FnMut(Step) -> Result<()>) -> Result<()> {
    let failed = |error| Error::io("cannot read the archive", error);
    let length = file.metadata().map_err(failed)?.len();
    let mut input = BufReader::new(file);
    let mut offset = 0;
    let mut lost = false;
    loop {
        if offset >= length {
            return visit(Step::Bad(offset, Error::damaged("the archive has no end: it is cut")));
        }
        input.seek(SeekFrom::Start(offset)).map_err(failed)?;
        match tar_layout::read_header(&mut input) {
            Ok(Some((header, blocks))) => {
                let MemberHeader { name, size, mode, mtime } = header;
                let slot = Slot { offset: offset + blocks, size, mode, mtime };
                let end = slot.offset.saturating_add(size);
                let next = end.saturating_add(tar_layout::padding(size));
                if next > length {
                    let cut = format!("member {name} is cut");
                    visit(Step::Bad(offset, Error::damaged(cut)))?;
                    offset += BLOCK;
                    lost = true;
                    continue;
                }
                let mut padding = vec![0; (next - end) as usize];
                file.read_exact_at(&mut padding, end).map_err(failed)?;
                if padding.iter().any(|byte| *byte != 0) {
                    let dirty = format!("the padding after member {name} is not empty");
                    visit(Step::Bad(end, Error::damaged(dirty)))?;
                }
                lost = false;
                offset = next;
                visit(Step::Member(name, slot))?;
            }
            Ok(None) if lost && offset + 2 * BLOCK != length => offset += BLOCK,
            Ok(None) => {
                let following = length - offset - BLOCK;
                let mut last = [0; BLOCK as usize];
                let read = following.min(BLOCK) as usize;
                file.read_exact_at(&mut last[..read], offset + BLOCK).map_err(failed)?;
                if last.iter().any(|byte| *byte != 0) {
                    let dirty = Error::damaged("the end of the archive is not empty");
                    visit(Step::Bad(offset + BLOCK, dirty))?;
                }
                return visit(Step::End { offset, following });
            }
            Err(error) if error.kind() == Kind::Damaged => {
                if !lost {
                    visit(Step::Bad(offset, error))?;
                }
                lost = true;
                offset += BLOCK;
            }
            Err(error) => return Err(error),
        }
    }
}

/// An archive that is open for reading. Several threads may read members at once.
pub struct ArchiveReader {
    path: PathBuf,
    file: File,
    slots: Slots,
    manifest: Manifest,
    sealed: Member,
}

impl ArchiveReader {
    /// Opens an archive: every header must be sound, and the members those of the manifest.
    /// Contents are checked when they are read.
    ///
    /// # Errors
    /// [`Kind::NotFound`], [`Kind::Damaged`], or [`Kind::Refused`] for a newer format.
    pub fn open(path: &Path) -> Result<Self> {
        Self::read(path)
            .map_err(|error| error.while_doing(format!("cannot use archive {}", path.display())))
    }

    fn read(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| {
            let error = Error::io("cannot open the file", error);
            match error.kind() {
                Kind::NotFound => error.hint("`pgark list` shows which archives have their file"),
                _ => error,
            }
        })?;
        let mut slots = Slots::new();
        walk(&file, |step| match step {
            Step::Member(name, _) if slots.contains_key(&name) => {
                Err(Error::damaged(format!("member {name} is there twice")))
            }
            Step::Member(name, slot) => {
                slots.insert(name, slot);
                Ok(())
            }
            Step::Bad(offset, error) => Err(Error::damaged(format!("at byte {offset}: {error}"))),
            Step::End { following: BLOCK, .. } => Ok(()),
            Step::End { .. } => Err(Error::damaged("there are bytes after the archive's end")),
        })?;
        let json = match slots.get(MANIFEST) {
            Some(slot) => read_slot(&file, *slot, LARGEST_FILE)?,
            None => {
                return Err(Error::damaged("there is no manifest.json in it")
                    .hint("archives of pgark are .tar files under backups/"));
            }
        };
        let (manifest, sealed) = (Manifest::from_json(&json)?, Member::of(MANIFEST, &json));
        drop(json);
        for member in manifest.members() {
            match slots.get(&member.member) {
                Some(slot) if slot.size == member.size => {}
                Some(_) => {
                    return Err(Error::damaged(format!(
                        "member {} has another size",
                        member.member
                    )));
                }
                None => return Err(Error::damaged(format!("member {} is missing", member.member))),
            }
        }
        let expected = manifest.members().count() + 2;
        if slots.len() != expected || !slots.contains_key(CHECKSUMS) {
            return Err(Error::damaged(format!("{} members instead of {expected}", slots.len())));
        }
        Ok(Self { path: path.to_owned(), file, slots, manifest, sealed })
    }

    /// An archive whose members and manifest somebody else has read, and found to be sound;
    /// `sealed` is `manifest.json` itself.
    pub fn of_sound(
        path: &Path,
        file: File,
        slots: Slots,
        manifest: Manifest,
        sealed: Member,
    ) -> Self {
        Self { path: path.to_owned(), file, slots, manifest, sealed }
    }

    /// The manifest alone.
    pub fn into_manifest(self) -> Manifest {
        self.manifest
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Changes the manifest as it is read from here on; the file stays as it is.
    pub fn adapt(&mut self, change: impl FnOnce(&mut Manifest)) {
        change(&mut self.manifest);
    }

    /// The manifest's bytes, which are not kept: those of ten thousand tables are 20 MB.
    pub fn manifest_json(&self) -> Result<Vec<u8>> {
        self.member(&self.sealed)
    }

    /// `manifest.json` as the member that it is.
    pub fn sealed(&self) -> &Member {
        &self.sealed
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the members lie in the file.
    pub fn members(&self) -> (&File, &Slots) {
        (&self.file, &self.slots)
    }

    /// Bytes of the whole file.
    pub fn file_size(&self) -> Result<u64> {
        let metadata =
            self.file.metadata().map_err(|error| Error::io("cannot read the archive", error))?;
        Ok(metadata.len())
    }

    /// The bytes of a member that the manifest lists, if they have its SHA-256.
    pub fn member(&self, member: &Member) -> Result<Vec<u8>> {
        let missing = || Error::damaged(format!("member {} is missing", member.member));
        let slot = self.slots.get(&member.member).ok_or_else(missing)?;
        let content = read_slot(&self.file, *slot, u64::MAX)?;
        if sha256(&content) != member.sha256 {
            return Err(Error::damaged(format!(
                "member {} is not what was written: its SHA-256 differs",
                member.member
            )));
        }
        Ok(content)
    }

    /// The bytes of `SHA256SUMS`.
    pub fn checksums(&self) -> Result<Vec<u8>> {
        match self.slots.get(CHECKSUMS) {
            Some(slot) => read_slot(&self.file, *slot, LARGEST_FILE),
            None => Err(Error::damaged("there is no SHA256SUMS in it")),
        }
    }

    /// The bytes of a file of the archive, by its member name.
    pub fn file(&self, name: &str) -> Result<Vec<u8>> {
        match self.manifest.files.iter().find(|member| member.member == name) {
            Some(member) => self.member(member),
            None => Err(Error::new(Kind::NotFound, format!("the archive has no member {name}"))),
        }
    }

    /// The schema's objects with their statements.
    pub fn schema(&self) -> Result<Vec<SchemaObject>> {
        let text = self.schema_text()?;
        self.manifest.objects.iter().map(|entry| object(entry, text.of(entry))).collect()
    }

    /// Fails unless the schema's statements are where the manifest says, and its descriptions can be
    /// read; none of them is kept.
    ///
    /// # Errors
    /// [`Kind::Damaged`].
    pub fn check_schema(&self) -> Result<()> {
        let text = self.schema_text()?;
        for entry in &self.manifest.objects {
            statements(entry, text.of(entry)).try_for_each(|statement| statement.map(drop))?;
        }
        drop(text);
        let count = self.manifest.objects.len();
        self.descriptions()?.map_or(Ok(()), |member| descriptions::check(&member, count))
    }

    fn schema_text(&self) -> Result<SchemaFiles> {
        Ok(SchemaFiles { pre_data: self.file(PRE_DATA)?, post_data: self.file(POST_DATA)? })
    }

    /// The descriptions' member; archives of old have none.
    fn descriptions(&self) -> Result<Option<Vec<u8>>> {
        let mut files = self.manifest.files.iter();
        let member = files.find(|member| member.member == descriptions::MEMBER);
        member.map(|member| self.member(member)).transpose()
    }

    /// The schema's objects with their statements and with what they are, and the version of that. `None`:
    /// the archive was written before there were descriptions, or by a newer pgark that wrote others.
    pub fn described_schema(&self) -> Result<(Vec<SchemaObject>, Option<u64>)> {
        let mut objects = self.schema()?;
        let Some(member) = self.descriptions()? else { return Ok((objects, None)) };
        let Some((version, lists)) = descriptions::read(&member, objects.len())? else {
            return Ok((objects, None));
        };
        for (object, list) in objects.iter_mut().zip(lists) {
            object.descriptions = list;
        }
        Ok((objects, Some(version)))
    }
}

/// Member with the manifest.
pub const MANIFEST: &str = "manifest.json";
/// Member with the SHA-256 of all others.
pub const CHECKSUMS: &str = "SHA256SUMS";
/// Member with the statements that come before the rows.
pub const PRE_DATA: &str = "schema/pre-data.sql";
/// Member with the statements that come after the rows.
pub const POST_DATA: &str = "schema/post-data.sql";

struct SchemaFiles {
    pre_data: Vec<u8>,
    post_data: Vec<u8>,
}

impl SchemaFiles {
    /// The file in which the statements of an object stand.
    fn of(&self, entry: &ObjectEntry) -> &[u8] {
        match entry.section {
            Section::PreData => &self.pre_data,
            Section::PostData => &self.post_data,
        }
    }
}

/// The statements of an object, whose file is `text`.
fn statements<'a>(
    entry: &'a ObjectEntry,
    text: &'a [u8],
) -> impl Iterator<Item = Result<(Purpose, &'a str)>> {
    entry.statements.iter().map(move |place| {
        let end = place.offset.checked_add(place.length);
        let sql = end
            .and_then(|end| text.get(place.offset..end))
            .and_then(|sql| std::str::from_utf8(sql).ok());
        sql.map(|sql| (place.purpose, sql)).ok_or_else(|| {
            Error::damaged(format!("the statements of {} are not in the schema file", entry.name))
        })
    })
}

fn object(entry: &ObjectEntry, text: &[u8]) -> Result<SchemaObject> {
    let statement = |(purpose, sql): (Purpose, &str)| Statement { purpose, sql: sql.to_owned() };
    let statements = statements(entry, text).map(|read| read.map(statement));
    Ok(SchemaObject {
        class: entry.class,
        schema: entry.schema.clone(),
        name: entry.name.clone(),
        part_of: entry.part_of.clone(),
        owner: entry.owner.clone(),
        tablespace: entry.tablespace.clone(),
        section: entry.section,
        depends_on: entry.depends_on.clone(),
        statements: statements.collect::<Result<_>>()?,
        placeholder: None,
        access: entry.access.clone(),
        descriptions: Vec::new(),
    })
}

fn read_slot(file: &File, slot: Slot, limit: u64) -> Result<Vec<u8>> {
    if slot.size > limit {
        return Err(Error::damaged("a member is larger than anything pgark writes"));
    }
    let mut content = vec![0; slot.size as usize];
    file.read_exact_at(&mut content, slot.offset)
        .map_err(|error| Error::io("cannot read the archive", error))?;
    Ok(content)
}
