//! COPY text as CSV (PostgreSQL, "COPY", Text Format and CSV Format).

use crate::error::{Error, Result};

/// Turns rows of COPY text into CSV as the server writes it: commas, double quotes where a value
/// needs them, nothing for NULL, and `""` for an empty text. It holds one value at a time.
#[derive(Default)]
pub struct CsvWriter {
    value: Vec<u8>,
    /// A backslash was read, and what it means follows.
    escaped: bool,
    /// Values of the row that are written.
    written: usize,
    null: bool,
}

impl CsvWriter {
    /// Takes a piece of COPY text, which may end anywhere, and appends CSV to `out`.
    ///
    /// # Errors
    /// [`Kind::Damaged`](crate::error::Kind::Damaged) for what COPY TO does not write.
    pub fn update(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<()> {
        for byte in piece {
            match (self.escaped, *byte) {
                (true, b'N') if self.value.is_empty() && !self.null => self.null = true,
                (true, b'\n' | b'\t') => {
                    return Err(Error::damaged("a row has an escape that COPY does not write"));
                }
                (true, letter) => self.value.push(unescaped(letter)),
                (false, b'\\') => {}
                (false, b'\t') => {
                    self.end_value(out, false)?;
                    out.push(b',');
                }
                (false, b'\n') => {
                    self.end_value(out, self.written == 0)?;
                    out.push(b'\n');
                    self.written = 0;
                }
                (false, other) => self.value.push(other),
            }
            self.escaped = !self.escaped && *byte == b'\\';
        }
        Ok(())
    }

    /// Whether the last row has ended.
    pub fn at_row_end(&self) -> bool {
        self.value.is_empty() && self.written == 0 && !self.escaped && !self.null
    }

    /// `alone`: the value is its row's only one.
    fn end_value(&mut self, out: &mut Vec<u8>, alone: bool) -> Result<()> {
        match (self.null, self.value.is_empty()) {
            (true, true) => {}
            (true, false) => return Err(Error::damaged("a row has more than a NULL in its place")),
            (false, _) => write_value(&self.value, alone, out),
        }
        self.value.clear();
        self.null = false;
        self.written += 1;
        Ok(())
    }
}

/// The line with the names of the columns.
pub fn header<'a>(columns: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let mut line = Vec::new();
    for (position, column) in columns.enumerate() {
        if position > 0 {
            line.push(b',');
        }
        write_value(column.as_bytes(), false, &mut line);
    }
    line.push(b'\n');
    line
}

fn write_value(value: &[u8], alone: bool, out: &mut Vec<u8>) {
    // The end-of-data mark of older servers stands alone on its line.
    let quoted = value.is_empty()
        || (alone && value == b"\\.")
        || value.iter().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r'));
    if !quoted {
        return out.extend_from_slice(value);
    }
    out.push(b'"');
    for byte in value {
        if *byte == b'"' {
            out.push(b'"');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

fn unescaped(letter: u8) -> u8 {
    match letter {
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(text: &[u8]) -> Result<String> {
        let mut writer = CsvWriter::default();
        let mut out = Vec::new();
        for byte in text {
            writer.update(&[*byte], &mut out)?;
        }
        assert!(writer.at_row_end());
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn values_are_quoted_where_csv_needs_it() {
        let text =
            b"1\t\\N\t\ta,b\tsay \"x\"\tline\\nline\t\\\\N\ttab\\tx\r\n\\N\n\\\\.\nx\t\\\\.\n";
        let expected =
            "1,,\"\",\"a,b\",\"say \"\"x\"\"\",\"line\nline\",\\N,\"tab\tx\r\"\n\n\"\\.\"\nx,\\.\n";
        assert_eq!(csv(text).unwrap(), expected);
        assert_eq!(header(["id", "a,b", ""].into_iter()), b"id,\"a,b\",\"\"\n");
    }

    #[test]
    fn what_copy_does_not_write_is_found() {
        assert!(csv(b"\\Nx\n").is_err());
        assert!(csv(b"x\\\n").is_err());
    }
}
