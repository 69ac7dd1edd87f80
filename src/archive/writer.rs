//! Writes one archive: members in the order in which they come, the manifest last.

use super::manifest::{Manifest, Member};
use super::reader::{CHECKSUMS, MANIFEST};
use super::tar_layout::{END, MemberHeader, padding};
use crate::error::{Error, Result};
use std::io::Write;

/// Permission bits of members that are not files of the user's.
pub const MODE: u32 = 0o600;

/// An archive in the making. It is complete only after [`ArchiveWriter::finish`].
pub struct ArchiveWriter<W: Write> {
    out: W,
    mtime: u64,
    written: u64,
}

impl<W: Write> ArchiveWriter<W> {
    /// Begins an archive; `mtime` (seconds since 1970) is the time of all its members.
    pub fn new(out: W, mtime: u64) -> Self {
        Self { out, mtime, written: 0 }
    }

    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Appends a member.
    pub fn add(&mut self, name: &str, content: &[u8]) -> Result<Member> {
        self.add_with_mode(name, content, MODE)
    }

    /// Appends a member with the permission bits of a file.
    pub fn add_with_mode(&mut self, name: &str, content: &[u8], mode: u32) -> Result<Member> {
        let member = Member::of(name, content);
        self.append(&member, content, mode)?;
        Ok(member)
    }

    /// Appends a member that somebody else has hashed.
    pub fn add_hashed(&mut self, member: &Member, content: &[u8]) -> Result<()> {
        self.append(member, content, MODE)
    }

    /// Seals the archive with its manifest and `SHA256SUMS`, and gives back the writer and the
    /// manifest's bytes. Nothing is synced.
    pub fn finish(mut self, manifest: &Manifest) -> Result<(W, Vec<u8>)> {
        let json = manifest.to_json()?;
        let sealed = self.add(MANIFEST, &json)?;
        let mut sums = String::new();
        for member in manifest.members().chain([&sealed]) {
            sums.push_str(&checksum_line(member));
        }
        self.add(CHECKSUMS, sums.as_bytes())?;
        self.write(&END)?;
        self.out.flush().map_err(|error| Error::io("cannot write the archive", error))?;
        Ok((self.out, json))
    }

    fn append(&mut self, member: &Member, content: &[u8], mode: u32) -> Result<()> {
        let header = MemberHeader {
            name: member.member.clone(),
            size: member.size,
            mode,
            mtime: self.mtime,
        };
        self.write(&header.to_blocks()?)?;
        self.write(content)?;
        self.write(&END[..padding(member.size) as usize])
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|error| Error::io("cannot write the archive", error))?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}

/// One line of `SHA256SUMS`, in the form of `sha256sum`, which marks a line whose name it had to
/// escape with a backslash.
pub fn checksum_line(member: &Member) -> String {
    if member.member.contains('\\') {
        return format!("\\{}  {}\n", member.sha256, member.member.replace('\\', "\\\\"));
    }
    format!("{}  {}\n", member.sha256, member.member)
}
