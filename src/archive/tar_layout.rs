//! The tar container, in one canonical form: every byte of a header follows from the member's
//! name, size, mode and time, so that a reader can check all of it.

use crate::error::{Error, Result};
use std::io::{self, Read};
use tar::{EntryType, Header};

/// Size of a tar block.
pub const BLOCK: u64 = 512;

/// Two empty blocks end a tar.
pub const END: [u8; 1024] = [0; 1024];

/// Longest name of a member, in bytes (`PATH_MAX`).
const MAX_NAME: u64 = 4096;

/// What a tar header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberHeader {
    /// Path inside the archive, `/`-separated.
    pub name: String,
    /// Bytes of content.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// Seconds since 1970; the same for all members of an archive.
    pub mtime: u64,
}

impl MemberHeader {
    /// The header's blocks: one, or three and more where GNU tar's long-name form is needed.
    ///
    /// # Errors
    /// The name cannot stand in a tar.
    pub fn to_blocks(&self) -> Result<Vec<u8>> {
        check_name(&self.name)?;
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(self.size);
        header.set_mode(self.mode);
        header.set_mtime(self.mtime);
        header.set_uid(0);
        header.set_gid(0);
        let mut builder = tar::Builder::new(Vec::new());
        builder
            .append_data(&mut header, &self.name, io::empty())
            .map_err(|error| Error::io(format!("cannot name a member {}", self.name), error))?;
        let mut blocks =
            builder.into_inner().map_err(|error| Error::io("cannot write a tar header", error))?;
        blocks.truncate(blocks.len() - END.len());
        Ok(blocks)
    }
}

/// Zero bytes that fill the last block of a member of `size` bytes.
pub fn padding(size: u64) -> u64 {
    (BLOCK - size % BLOCK) % BLOCK
}

/// Reads the next header, or `None` at the end blocks.
///
/// # Errors
/// [`Kind::Damaged`](crate::error::Kind::Damaged) when it is anything but a regular file's header
/// in the canonical form: links, devices, extensions, absolute names and `..` included.
pub fn read_header(input: &mut impl Read) -> Result<Option<(MemberHeader, u64)>> {
    let mut blocks = vec![0; BLOCK as usize];
    read_exactly(input, &mut blocks)?;
    if blocks.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let mut long_name = None;
    if entry_type(&blocks) == EntryType::GNULongName {
        let size = entry_size(&blocks)?;
        if size > MAX_NAME {
            return Err(Error::damaged("a member's name is too long"));
        }
        let mut name = vec![0; (size + padding(size)) as usize];
        read_exactly(input, &mut name)?;
        blocks.extend_from_slice(&name);
        name.truncate(size as usize);
        long_name = Some(name);
        let mut main = vec![0; BLOCK as usize];
        read_exactly(input, &mut main)?;
        blocks.extend_from_slice(&main);
    }
    let main = &blocks[blocks.len() - BLOCK as usize..];
    let header = Header::from_byte_slice(main);
    let name = match long_name {
        Some(name) => name.strip_suffix(b"\0").unwrap_or(&name).to_vec(),
        None => header.path_bytes().into_owned(),
    };
    let number = |field: io::Result<u64>| {
        field.map_err(|error| Error::damaged("a tar header is malformed").caused_by(error))
    };
    let member = MemberHeader {
        name: String::from_utf8(name)
            .map_err(|_| Error::damaged("a member's name is not UTF-8"))?,
        size: entry_size(main)?,
        mode: header
            .mode()
            .map_err(|error| Error::damaged("a tar header is malformed").caused_by(error))?,
        mtime: number(header.mtime())?,
    };
    let canonical = member.to_blocks().map_err(|error| Error::damaged(error.to_string()))?;
    if canonical != blocks {
        return Err(Error::damaged(format!(
            "the tar header of {} is not in the form that pgark writes",
            member.name
        )));
    }
    Ok(Some((member, blocks.len() as u64)))
}

/// A member's name is relative, has no `.` and `..`, and no control characters.
fn check_name(name: &str) -> Result<()> {
    let sound = !name.is_empty()
        && name.len() < MAX_NAME as usize
        && !name.chars().any(char::is_control)
        && name.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if sound { Ok(()) } else { Err(Error::failed(format!("not a member's name: {name:?}"))) }
}

fn entry_type(block: &[u8]) -> EntryType {
    Header::from_byte_slice(&block[..BLOCK as usize]).entry_type()
}

fn entry_size(block: &[u8]) -> Result<u64> {
    Header::from_byte_slice(&block[..BLOCK as usize])
        .entry_size()
        .map_err(|error| Error::damaged("a tar header is malformed").caused_by(error))
}

fn read_exactly(input: &mut impl Read, buffer: &mut [u8]) -> Result<()> {
    input.read_exact(buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::damaged("the archive is cut"),
        _ => Error::io("cannot read the archive", error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str) -> MemberHeader {
        MemberHeader { name: name.to_owned(), size: 777, mode: 0o640, mtime: 1_700_000_000 }
    }

    #[test]
    fn headers_come_back_short_and_long() {
        for name in ["manifest.json", &format!("migrations/{}/ä.py", "versions/".repeat(40))] {
            let name = name.replace("//", "/");
            let blocks = member(&name).to_blocks().unwrap();
            let (read, length) = read_header(&mut &blocks[..]).unwrap().unwrap();
            assert_eq!((read, length), (member(&name), blocks.len() as u64));
        }
    }

    #[test]
    fn every_flipped_bit_of_a_header_is_found_or_is_a_part_of_its_meaning() {
        let blocks = member("data/0001-public.t/000001.copy.zst").to_blocks().unwrap();
        for bit in 0..blocks.len() * 8 {
            let mut damaged = blocks.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(read_header(&mut &damaged[..]).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        for name in ["/etc/passwd", "a/../../b", "a//b", "./a", "", "a\nb", "a/"] {
            assert!(member(name).to_blocks().is_err(), "{name:?}");
        }
    }
}
