//! The digest of large objects: independent of how the server cuts them into pages.

use crate::error::{Error, Result};
use crate::model::content::RowDigest;
use std::collections::BTreeSet;
use xxhash_rust::xxh3::Xxh3;

/// How much and what large objects hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LargeObjectContent {
    /// How many there are.
    pub count: u64,
    /// Sum of their sizes in bytes.
    pub bytes: u64,
    /// Sum of the XXH3-128 hashes of each object's OID (four bytes, little endian) and content.
    pub digest: RowDigest,
}

/// PostgreSQL's limit: 4 TiB.
const LARGEST_OBJECT: u64 = 1 << 42;

/// Pieces have at most 256 KiB, and two digits for each byte.
const LONGEST_LINE: usize = 1 << 20;

/// A part of one large object.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece {
    /// The object.
    pub oid: u32,
    /// Where in the object it begins, in bytes.
    pub start: u64,
    /// What is there.
    pub data: Vec<u8>,
}

/// Reads pieces from COPY text of (OID, offset, data).
#[derive(Default)]
pub struct PieceReader {
    line: Vec<u8>,
}

impl PieceReader {
    /// Takes the next bytes of COPY text, and hands on the pieces that end in them.
    ///
    /// # Errors
    /// What is not a piece of a large object, or is longer or further behind than one can be: a
    /// hostile archive costs no more memory and time than an honest one. And whatever `take` returns.
    pub fn update(
        &mut self,
        mut text: &[u8],
        take: &mut impl FnMut(Piece) -> Result<()>,
    ) -> Result<()> {
        while let Some(end) = memchr::memchr(b'\n', text) {
            self.line.extend_from_slice(&text[..end]);
            take(piece(&self.line)?)?;
            self.line.clear();
            text = &text[end + 1..];
        }
        self.line.extend_from_slice(text);
        if self.line.len() > LONGEST_LINE {
            return Err(Error::damaged("a piece of a large object is too long"));
        }
        Ok(())
    }

    /// Fails if the last piece has not ended.
    pub fn finish(self) -> Result<()> {
        match self.line.is_empty() {
            true => Ok(()),
            false => Err(Error::damaged("the last piece of the large objects has no line end")),
        }
    }
}

fn malformed() -> Error {
    Error::damaged("a piece of a large object is malformed")
}

fn piece(line: &[u8]) -> Result<Piece> {
    let mut fields = line.split(|byte| *byte == b'\t');
    let mut number = || -> Option<u64> { std::str::from_utf8(fields.next()?).ok()?.parse().ok() };
    let oid = number().and_then(|oid| u32::try_from(oid).ok()).ok_or_else(malformed)?;
    let start = number().filter(|start| *start <= LARGEST_OBJECT).ok_or_else(malformed)?;
    let data = fields.next().and_then(|text| text.strip_prefix(br"\\x")).ok_or_else(malformed)?;
    Ok(Piece { oid, start, data: hex::decode(data).map_err(|_| malformed())? })
}

/// Takes pieces in order of OID and offset; holes are zeros.
#[derive(Default)]
pub struct LargeObjectDigester {
    pieces: PieceReader,
    found: Found,
}

#[derive(Default)]
struct Found {
    current: Option<Current>,
    seen: BTreeSet<u32>,
    total: LargeObjectContent,
}

struct Current {
    oid: u32,
    size: u64,
    hash: Box<Xxh3>,
}

impl LargeObjectDigester {
    /// Takes the next bytes of COPY text.
    ///
    /// # Errors
    /// As [`PieceReader::update`], and pieces that overlap or come back.
    pub fn update(&mut self, text: &[u8]) -> Result<()> {
        let found = &mut self.found;
        self.pieces.update(text, &mut |piece| found.add(&piece))
    }

    /// The content of all large objects, `oids`, of which those without a piece are empty.
    pub fn finish(self, oids: impl Iterator<Item = u32>) -> Result<LargeObjectContent> {
        self.pieces.finish()?;
        let mut found = self.found;
        found.end_current();
        let mut known = 0;
        for oid in oids {
            if !found.seen.contains(&oid) {
                found.current = Some(Current::new(oid));
                found.end_current();
            }
            known += 1;
        }
        if known != found.total.count {
            return Err(Error::damaged("there are pieces of large objects that do not exist"));
        }
        Ok(found.total)
    }
}

impl Found {
    fn add(&mut self, piece: &Piece) -> Result<()> {
        if self.current.as_ref().is_none_or(|current| current.oid != piece.oid) {
            self.end_current();
            if !self.seen.insert(piece.oid) {
                return Err(malformed());
            }
        }
        let current = self.current.get_or_insert_with(|| Current::new(piece.oid));
        let mut hole = piece.start.checked_sub(current.size).ok_or_else(malformed)?;
        while hole > 0 {
            const ZEROS: [u8; 8192] = [0; 8192];
            let length = hole.min(ZEROS.len() as u64);
            current.hash.update(&ZEROS[..length as usize]);
            hole -= length;
        }
        current.hash.update(&piece.data);
        current.size = piece.start + piece.data.len() as u64;
        Ok(())
    }

    fn end_current(&mut self) {
        if let Some(current) = self.current.take() {
            self.seen.insert(current.oid);
            self.total.count += 1;
            self.total.bytes += current.size;
            self.total.digest.add_row(current.hash.digest128());
        }
    }
}

impl Current {
    fn new(oid: u32) -> Self {
        let mut hash = Box::new(Xxh3::new());
        hash.update(&oid.to_le_bytes());
        Self { oid, size: 0, hash }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(text: &str, oids: &[u32]) -> Result<LargeObjectContent> {
        let mut digester = LargeObjectDigester::default();
        text.as_bytes().chunks(7).try_for_each(|piece| digester.update(piece))?;
        digester.finish(oids.iter().copied())
    }

    #[test]
    fn the_cut_into_pieces_does_not_matter() {
        let paged = content("5\t0\t\\\\x0102\n5\t4\t\\\\x05\n9\t0\t\\\\xff\n", &[5, 7, 9]).unwrap();
        let whole = content("5\t0\t\\\\x0102000005\n9\t0\t\\\\xff\n", &[5, 7, 9]).unwrap();
        assert_eq!(paged, whole);
        assert_eq!((paged.count, paged.bytes), (3, 6));
        assert_ne!(
            content("5\t0\t\\\\x0102\n", &[5]).unwrap(),
            content("6\t0\t\\\\x0102\n", &[6]).unwrap()
        );
    }

    #[test]
    fn pieces_of_unknown_objects_and_overlaps_are_found() {
        assert!(content("5\t0\t\\\\x01\n", &[]).is_err());
        assert!(content("5\t0\t\\\\x0102\n5\t1\t\\\\x01\n", &[5]).is_err());
        assert!(content("5\t0\t\\\\x0", &[5]).is_err());
    }
}
