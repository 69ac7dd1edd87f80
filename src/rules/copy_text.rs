//! COPY text as fields (PostgreSQL, "COPY", Text Format).

use crate::error::{Error, Result};

/// Puts the fields of rows into another order. A tab always parts fields: COPY TO writes the tabs
/// of values as `\t`.
pub struct Rearranger<'a> {
    order: &'a [usize],
    line: Vec<u8>,
}

impl<'a> Rearranger<'a> {
    /// `order` gives, for each field of the new rows, its position in the old ones.
    pub fn new(order: &'a [usize]) -> Self {
        Self { order, line: Vec::new() }
    }

    /// Takes a piece of COPY text and gives each row that ends in it, with its line end.
    ///
    /// # Errors
    /// A row with another number of fields.
    pub fn update(&mut self, mut piece: &[u8], take: &mut impl FnMut(&[u8])) -> Result<()> {
        while let Some(end) = memchr::memchr(b'\n', piece) {
            self.line.extend_from_slice(&piece[..end]);
            let fields: Vec<&[u8]> = self.line.split(|byte| *byte == b'\t').collect();
            if fields.len() != self.order.len() {
                return Err(Error::damaged(format!(
                    "a row has {} fields instead of {}",
                    fields.len(),
                    self.order.len()
                )));
            }
            let mut row = Vec::with_capacity(self.line.len() + 1);
            for (position, field) in self.order.iter().enumerate() {
                if position > 0 {
                    row.push(b'\t');
                }
                row.extend_from_slice(fields[*field]);
            }
            row.push(b'\n');
            take(&row);
            self.line.clear();
            piece = &piece[end + 1..];
        }
        self.line.extend_from_slice(piece);
        Ok(())
    }
}

/// A row of these texts, as COPY TO writes it.
pub fn row<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let mut row = Vec::new();
    for (position, text) in texts.enumerate() {
        if position > 0 {
            row.push(b'\t');
        }
        for byte in text.bytes() {
            match byte {
                8 => row.extend(b"\\b"),
                11 => row.extend(b"\\v"),
                12 => row.extend(b"\\f"),
                b'\n' => row.extend(b"\\n"),
                b'\r' => row.extend(b"\\r"),
                b'\t' => row.extend(b"\\t"),
                b'\\' => row.extend(b"\\\\"),
                other => row.push(other),
            }
        }
    }
    row.push(b'\n');
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_change_places_across_pieces() {
        let mut rearranger = Rearranger::new(&[2, 0, 1]);
        let mut out = Vec::new();
        for piece in [b"a\tb\\t".as_slice(), b"x\t\\N\n1\t2", b"\t3\n"] {
            rearranger.update(piece, &mut |row| out.extend_from_slice(row)).unwrap();
        }
        assert_eq!(out, b"\\N\ta\tb\\tx\n3\t1\t2\n");
        assert!(rearranger.update(b"1\t2\n", &mut |_| ()).is_err());
    }
    #[test]
    fn texts_are_escaped_as_copy_does() {
        let row = row(["id", "a\tb\\", "", "x\ny\u{b}"].into_iter());
        assert_eq!(row, b"id\ta\\tb\\\\\t\tx\\ny\\v\n");
    }
}
