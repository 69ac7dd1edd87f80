//! What COPY sends, cut into rows, becomes a row count and a digest.

use crate::error::{Error, Result};
use crate::model::content::Content;
use crate::model::copy_format::CopyFormat;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

mod binary;

pub use binary::BinaryRowDigester;

/// Counts and digests rows in either format.
pub enum Digester {
    /// COPY text.
    Text(RowDigester),
    /// The binary format.
    Binary(BinaryRowDigester),
}

impl Digester {
    /// For rows in this format.
    pub fn of(format: CopyFormat) -> Self {
        match format {
            CopyFormat::Text => Self::Text(RowDigester::default()),
            CopyFormat::Binary => Self::Binary(BinaryRowDigester::default()),
        }
    }

    /// Takes the next piece of the stream.
    ///
    /// # Errors
    /// Those of the binary format.
    pub fn update(&mut self, piece: &[u8]) -> Result<()> {
        match self {
            Self::Text(rows) => {
                rows.update(piece);
                Ok(())
            }
            Self::Binary(rows) => rows.update(piece),
        }
    }

    /// Rows that have ended so far.
    pub fn rows(&self) -> u64 {
        match self {
            Self::Text(rows) => rows.rows(),
            Self::Binary(rows) => rows.rows(),
        }
    }

    /// Bytes taken so far.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Text(rows) => rows.bytes(),
            Self::Binary(rows) => rows.bytes(),
        }
    }

    /// The rows, if the stream was not cut.
    ///
    /// # Errors
    /// It was.
    pub fn finish(self) -> Result<Content> {
        match self {
            Self::Text(rows) => rows.finish(),
            Self::Binary(rows) => rows.finish(),
        }
    }
}

/// Counts and digests rows of COPY text that arrive in pieces of any size.
///
/// A raw newline always ends a row: COPY TO writes the newlines of values as `\n`
/// (PostgreSQL, "COPY", Text Format).
#[derive(Default)]
pub struct RowDigester {
    content: Content,
    /// The beginning of a row whose end has not arrived.
    unfinished: Option<Box<Xxh3>>,
}

impl RowDigester {
    /// Takes the next piece of the stream.
    pub fn update(&mut self, piece: &[u8]) {
        self.content.bytes += piece.len() as u64;
        let mut start = 0;
        for newline in memchr::memchr_iter(b'\n', piece) {
            let row = &piece[start..newline];
            let hash = match self.unfinished.take() {
                None => xxh3_128(row),
                Some(mut beginning) => {
                    beginning.update(row);
                    beginning.digest128()
                }
            };
            self.content.digest.add_row(hash);
            self.content.rows += 1;
            start = newline + 1;
        }
        if start < piece.len() {
            self.unfinished.get_or_insert_default().update(&piece[start..]);
        }
    }

    /// Whether the last piece ended with the end of a row.
    pub fn at_row_end(&self) -> bool {
        self.unfinished.is_none()
    }

    /// Rows that have ended so far.
    pub fn rows(&self) -> u64 {
        self.content.rows
    }

    /// Bytes taken so far.
    pub fn bytes(&self) -> u64 {
        self.content.bytes
    }

    /// The rows so far, if the stream ended with the end of a row.
    ///
    /// # Errors
    /// The last row has no line end: the stream was cut.
    pub fn finish(self) -> Result<Content> {
        if self.unfinished.is_some() {
            return Err(Error::damaged("the last row has no line end"));
        }
        Ok(self.content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn digest(pieces: &[&[u8]]) -> Content {
        let mut digester = RowDigester::default();
        pieces.iter().for_each(|piece| digester.update(piece));
        digester.finish().unwrap()
    }

    #[test]
    fn equal_rows_do_not_cancel() {
        assert_ne!(digest(&[b"a\n"]).digest, digest(&[b"a\na\na\n"]).digest);
        assert_ne!(digest(&[]).digest, digest(&[b"a\na\n"]).digest);
        assert_ne!(digest(&[]).digest, digest(&[b"\n"]).digest, "a row of no columns counts");
    }

    #[test]
    fn a_cut_row_is_an_error() {
        let mut digester = RowDigester::default();
        digester.update(b"a\nb");
        assert!(!digester.at_row_end());
        assert!(digester.finish().is_err());
    }

    proptest! {
        #[test]
        fn the_digest_depends_neither_on_the_pieces_nor_on_the_order(
            mut rows in prop::collection::vec("[a-z\\\\\t]{0,300}", 0..20),
            cut in 1usize..50,
        ) {
            let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
            let whole = digest(&[text.as_bytes()]);
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(cut).collect();
            prop_assert_eq!(digest(&pieces), whole);
            rows.reverse();
            let reversed: String = rows.iter().map(|row| format!("{row}\n")).collect();
            prop_assert_eq!(digest(&[reversed.as_bytes()]), whole);
        }
    }
}
