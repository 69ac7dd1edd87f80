//! The same for COPY's binary format (PostgreSQL, "COPY", Binary Format).

use crate::error::{Error, Kind, Result};
use crate::model::content::Content;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// Every stream begins with it.
const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";

/// Signature, flags, and length of an extension, which no version has.
const HEADER: usize = SIGNATURE.len() + 8;

/// Counts and digests rows in the binary format that arrive in pieces of any size.
///
/// A row is its number of fields in two bytes, and for each field its length in four and its value; NULL
/// has the length -1. The number -1 ends the stream.
#[derive(Default)]
pub struct BinaryRowDigester {
    /// Its bytes are those of rows: how many streams a table comes in makes no difference.
    content: Content,
    /// Bytes taken so far.
    taken: u64,
    /// Bytes of the header that have arrived.
    header: usize,
    /// The row whose end has not arrived.
    unfinished: Option<Unfinished>,
    ended: bool,
}

/// The beginning of a row.
#[derive(Default)]
struct Unfinished {
    hash: Box<Xxh3>,
    /// Bytes of it in earlier pieces.
    length: usize,
    /// The number that is being read: of fields at first, then of a value's bytes.
    number: Vec<u8>,
    /// Fields whose lengths have not arrived; `None` before their number has.
    fields: Option<u16>,
    /// Bytes of the value that are still to come.
    value: usize,
}

impl BinaryRowDigester {
    /// Takes the next piece of the stream.
    ///
    /// # Errors
    /// [`Kind::Server`] for what is no such stream.
    pub fn update(&mut self, piece: &[u8]) -> Result<()> {
        self.taken += piece.len() as u64;
        let mut rest = self.skip_header(piece)?;
        while !rest.is_empty() {
            if self.ended {
                return Err(malformed());
            }
            let taken = match self.unfinished.take() {
                None => match whole_row(rest)? {
                    Some(0) => {
                        self.ended = true;
                        2
                    }
                    Some(length) => {
                        self.add(xxh3_128(&rest[..length]), length);
                        length
                    }
                    None => self.go_on(Unfinished::default(), rest)?,
                },
                Some(row) => self.go_on(row, rest)?,
            };
            rest = &rest[taken..];
        }
        Ok(())
    }

    /// What comes after the header.
    fn skip_header<'a>(&mut self, piece: &'a [u8]) -> Result<&'a [u8]> {
        if self.header == HEADER {
            return Ok(piece);
        }
        let taken = piece.len().min(HEADER - self.header);
        let (header, rest) = piece.split_at(taken);
        for byte in header {
            if *byte != SIGNATURE.get(self.header).copied().unwrap_or_default() {
                return Err(malformed());
            }
            self.header += 1;
        }
        Ok(rest)
    }

    /// Takes bytes of a row of which not all are there, and gives their number.
    fn go_on(&mut self, mut row: Unfinished, piece: &[u8]) -> Result<usize> {
        let mut at = 0;
        loop {
            let skipped = row.value.min(piece.len() - at);
            row.value -= skipped;
            at += skipped;
            if row.value == 0 && row.fields == Some(0) {
                row.hash.update(&piece[..at]);
                self.add(row.hash.digest128(), row.length + at);
                return Ok(at);
            }
            if at == piece.len() {
                row.hash.update(piece);
                row.length += piece.len();
                self.unfinished = Some(row);
                return Ok(at);
            }
            row.number.push(piece[at]);
            at += 1;
            match (row.fields, row.number.as_slice()) {
                (None, [first, second]) => {
                    let fields = i16::from_be_bytes([*first, *second]);
                    if fields == -1 {
                        self.ended = true;
                        return Ok(at);
                    }
                    row.fields = Some(u16::try_from(fields).map_err(|_| malformed())?);
                    row.number.clear();
                }
                (Some(fields), [a, b, c, d]) => {
                    row.value = length([*a, *b, *c, *d])?;
                    row.fields = Some(fields - 1);
                    row.number.clear();
                }
                _ => {}
            }
        }
    }

    fn add(&mut self, hash: u128, length: usize) {
        self.content.digest.add_row(hash);
        self.content.rows += 1;
        self.content.bytes += length as u64;
    }

    /// Rows that have ended so far.
    pub fn rows(&self) -> u64 {
        self.content.rows
    }

    /// Bytes taken so far.
    pub fn bytes(&self) -> u64 {
        self.taken
    }

    /// The rows, if the stream has come to its end.
    ///
    /// # Errors
    /// [`Kind::Server`]: the stream was cut.
    pub fn finish(self) -> Result<Content> {
        if self.ended { Ok(self.content) } else { Err(malformed()) }
    }
}

/// Length of the row at the beginning of `piece`, if all of it is there; 0 is the end of the stream.
fn whole_row(piece: &[u8]) -> Result<Option<usize>> {
    let Some((fields, _)) = piece.split_first_chunk::<2>() else { return Ok(None) };
    let fields = match i16::from_be_bytes(*fields) {
        -1 => return Ok(Some(0)),
        fields => u16::try_from(fields).map_err(|_| malformed())?,
    };
    let mut at = 2;
    for _ in 0..fields {
        let Some(number) = piece.get(at..).and_then(|rest| rest.first_chunk::<4>()) else {
            return Ok(None);
        };
        at += 4 + length(*number)?;
    }
    Ok((at <= piece.len()).then_some(at))
}

/// Bytes of a value.
fn length(number: [u8; 4]) -> Result<usize> {
    match i32::from_be_bytes(number) {
        -1 => Ok(0),
        length => usize::try_from(length).map_err(|_| malformed()),
    }
}

fn malformed() -> Error {
    Error::new(Kind::Server, "what the server sent is no COPY in the binary format")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Row = Vec<Option<Vec<u8>>>;

    fn stream(rows: &[Row]) -> Vec<u8> {
        let mut stream = SIGNATURE.to_vec();
        stream.extend([0; 8]);
        for row in rows {
            stream.extend((row.len() as i16).to_be_bytes());
            for value in row {
                stream.extend(value.as_ref().map_or(-1, |value| value.len() as i32).to_be_bytes());
                stream.extend(value.iter().flatten());
            }
        }
        stream.extend((-1i16).to_be_bytes());
        stream
    }

    fn digest<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Content> {
        let mut digester = BinaryRowDigester::default();
        pieces.into_iter().try_for_each(|piece| digester.update(piece))?;
        digester.finish()
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_the_stream_is_cut(
            rows in prop::collection::vec(
                prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..9)), 0..4),
                0..6,
            ),
            size in 1..40_usize,
        ) {
            let stream = stream(&rows);
            let whole = digest([stream.as_slice()]).unwrap();
            prop_assert_eq!(whole.rows, rows.len() as u64);
            prop_assert_eq!(digest(stream.chunks(size)).unwrap(), whole);
            // Nor in how many streams the rows come.
            let (one, other) = rows.split_at(rows.len() / 2);
            let (mut sum, streams) = (Content::default(), [super::tests::stream(one), super::tests::stream(other)]);
            streams.iter().for_each(|stream| sum += digest(stream.chunks(size)).unwrap());
            prop_assert_eq!(sum, whole);
            // One value that differs is seen.
            let mut other = rows;
            if let Some(Some(value)) = other.iter_mut().flatten().next() {
                value.push(1);
                let stream = super::tests::stream(&other);
                prop_assert_ne!(digest([stream.as_slice()]).unwrap().digest, whole.digest);
            }
        }

        #[test]
        fn a_cut_or_hostile_stream_is_an_error(
            garbage in prop::collection::vec(any::<u8>(), 0..60),
            size in 1..40_usize,
        ) {
            let mut hostile = stream(&[vec![Some(vec![1, 2, 3])]]);
            hostile.truncate(hostile.len() - 2);
            prop_assert!(digest(hostile.chunks(size)).is_err());
            hostile.extend(&garbage);
            let (pieces, whole) = (digest(hostile.chunks(size)), digest([hostile.as_slice()]));
            prop_assert_eq!(pieces.ok(), whole.ok());
        }
    }
}
