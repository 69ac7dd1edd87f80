//! Rows of COPY text in COPY's binary format, for the types that most columns have.
//!
//! A server takes binary rows at half the price of text (docs/performance.md): it looks for no line
//! ends, and parses no dates and numbers. Archives hold text; only the way into the server changes.
//! A value that does not stand in the one form in which the server writes it is [`Odd`], and its
//! rows go as text. What was loaded is read back as text and compared all the same.
//!
//! The forms are those of PostgreSQL 13 to 18: "COPY", Binary Format, and the `…_recv` functions.

use chrono::{Datelike, NaiveDate};

/// What cannot be said in binary here, though it may be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Odd;

/// How values of a column are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric,
    Text,
    Jsonb,
    Bytea,
    Uuid,
    Date,
    Timestamp,
    Timestamptz,
}

impl Kind {
    /// By the name that `format_type` gives under an empty search path, so that a type of the
    /// user's own can have none of these. Names that are no words of SQL's stand in quotes.
    fn of(type_name: &str) -> Option<Self> {
        // `timestamp(3) with time zone`, `numeric(10,2)`: the server applies the modifier itself.
        let plain = match (type_name.find('('), type_name.find(')')) {
            (Some(from), Some(to)) if from < to => {
                format!("{}{}", &type_name[..from], &type_name[to + 1..])
            }
            _ => type_name.to_owned(),
        };
        let bare = plain.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
        Some(match bare.unwrap_or(&plain) {
            "boolean" => Self::Bool,
            "smallint" => Self::Int2,
            "integer" => Self::Int4,
            "bigint" => Self::Int8,
            "real" => Self::Float4,
            "double precision" => Self::Float8,
            "numeric" => Self::Numeric,
            "text" | "character varying" | "character" | "json" => Self::Text,
            "jsonb" => Self::Jsonb,
            "bytea" => Self::Bytea,
            "uuid" => Self::Uuid,
            "date" => Self::Date,
            "timestamp without time zone" => Self::Timestamp,
            "timestamp with time zone" => Self::Timestamptz,
            _ => return None,
        })
    }
}

/// How rows of a table are sent.
#[derive(Clone, Debug)]
pub struct Format(Vec<Kind>);

impl Format {
    /// For columns of these types, by their SQL names; `None` where one of them goes as text only.
    pub fn of<'a>(type_names: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let kinds: Option<Vec<Kind>> = type_names.into_iter().map(Kind::of).collect();
        kinds.filter(|kinds| !kinds.is_empty() && i16::try_from(kinds.len()).is_ok()).map(Self)
    }
}

/// Signature, flags, and the length of an extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What stands for the number of columns after the last row.
const TRAILER: [u8; 2] = (-1i16).to_be_bytes();

/// Turns COPY text, which comes in pieces of any size, into the binary format.
pub struct Encoder<'a> {
    format: &'a Format,
    out: Vec<u8>,
    /// The beginning of a row whose end has not arrived.
    unfinished: Vec<u8>,
    rows: u64,
}

impl<'a> Encoder<'a> {
    /// Begins a COPY.
    pub fn new(format: &'a Format) -> Self {
        Self { format, out: HEADER.to_vec(), unfinished: Vec::new(), rows: 0 }
    }

    /// Takes a piece of text, and appends the rows that end in it to [`Encoder::take`].
    ///
    /// # Errors
    /// A value that must go as text, and a row with another number of fields.
    pub fn update(&mut self, piece: &[u8]) -> Result<(), Odd> {
        let Some(last) = memchr::memrchr(b'\n', piece) else {
            self.unfinished.extend_from_slice(piece);
            return Ok(());
        };
        let (mut rows, rest) = piece.split_at(last + 1);
        if !self.unfinished.is_empty() {
            let end = memchr::memchr(b'\n', rows).map_or(rows.len(), |end| end + 1);
            let mut row = std::mem::take(&mut self.unfinished);
            row.extend_from_slice(&rows[..end]);
            self.encode(&row)?;
            rows = &rows[end..];
        }
        self.encode(rows)?;
        self.unfinished.extend_from_slice(rest);
        Ok(())
    }

    /// Ends the COPY; what is left for [`Encoder::take`] ends with the trailer.
    ///
    /// # Errors
    /// The last row has no line end.
    pub fn finish(&mut self) -> Result<(), Odd> {
        self.out.extend_from_slice(&TRAILER);
        if self.unfinished.is_empty() { Ok(()) } else { Err(Odd) }
    }

    /// Rows that have ended so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Hands over what is ready to be sent.
    pub fn take<T>(&mut self, send: impl FnOnce(&[u8]) -> T) -> T {
        let sent = send(&self.out);
        self.out.clear();
        sent
    }

    /// Whole rows, each with its line end.
    fn encode(&mut self, text: &[u8]) -> Result<(), Odd> {
        let kinds = &self.format.0;
        let columns = i16::try_from(kinds.len()).map_err(|_| Odd)?.to_be_bytes();
        let (mut start, mut column) = (0, 0);
        // A tab always parts fields, and a newline rows: those of values are escaped.
        for end in memchr::memchr2_iter(b'\t', b'\n', text) {
            if column == 0 {
                self.out.extend_from_slice(&columns);
            }
            field(*kinds.get(column).ok_or(Odd)?, &text[start..end], &mut self.out)?;
            start = end + 1;
            column += 1;
            if text[end] == b'\n' {
                if column != kinds.len() {
                    return Err(Odd);
                }
                column = 0;
                self.rows += 1;
            }
        }
        Ok(())
    }
}

/// A length of four bytes and the value; NULL has the length -1 and no value.
fn field(kind: Kind, text: &[u8], out: &mut Vec<u8>) -> Result<(), Odd> {
    if text == b"\\N" {
        out.extend_from_slice(&(-1i32).to_be_bytes());
        return Ok(());
    }
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    match kind {
        Kind::Bool => out.push(match text {
            b"t" => 1,
            b"f" => 0,
            _ => return Err(Odd),
        }),
        Kind::Int2 => out.extend_from_slice(&narrow::<i16>(integer(text)?)?.to_be_bytes()),
        Kind::Int4 => out.extend_from_slice(&narrow::<i32>(integer(text)?)?.to_be_bytes()),
        Kind::Int8 => out.extend_from_slice(&integer(text)?.to_be_bytes()),
        Kind::Float4 => out.extend_from_slice(&float::<f32>(text)?.to_be_bytes()),
        Kind::Float8 => out.extend_from_slice(&float::<f64>(text)?.to_be_bytes()),
        Kind::Numeric => numeric(text, out)?,
        Kind::Text => unescape(text, out)?,
        Kind::Jsonb => {
            out.push(1);
            unescape(text, out)?;
        }
        Kind::Bytea => hexadecimal(text.strip_prefix(b"\\\\x").ok_or(Odd)?, out)?,
        Kind::Uuid => uuid(text, out)?,
        Kind::Date => out.extend_from_slice(&date_value(text)?.to_be_bytes()),
        Kind::Timestamp => out.extend_from_slice(&timestamp(text, b"")?.to_be_bytes()),
        // Sessions that read rows have the time zone UTC.
        Kind::Timestamptz => out.extend_from_slice(&timestamp(text, b"+00")?.to_be_bytes()),
    }
    let length = i32::try_from(out.len() - at - 4).map_err(|_| Odd)?;
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// The escapes that COPY TO writes, and no others.
fn unescape(text: &[u8], out: &mut Vec<u8>) -> Result<(), Odd> {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        out.push(match rest.get(at + 1).ok_or(Odd)? {
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'v' => 11,
            b'f' => 12,
            b'r' => b'\r',
            b'\\' => b'\\',
            _ => return Err(Odd),
        });
        rest = &rest[at + 2..];
    }
    out.extend_from_slice(rest);
    Ok(())
}

fn digit(byte: u8) -> Result<u8, Odd> {
    if byte.is_ascii_digit() { Ok(byte - b'0') } else { Err(Odd) }
}

/// A number of digits alone, at least one.
fn natural(digits: &[u8]) -> Result<i64, Odd> {
    if digits.is_empty() || digits.len() > 19 {
        return Err(Odd);
    }
    digits.iter().try_fold(0i64, |number, byte| {
        number
            .checked_mul(10)
            .and_then(|tens| tens.checked_sub(digit(*byte).ok()?.into()))
            .ok_or(Odd)
    })
}

/// Counted downwards, because the least number has no positive counterpart.
fn integer(text: &[u8]) -> Result<i64, Odd> {
    match text.strip_prefix(b"-") {
        Some(digits) => natural(digits),
        None => natural(text)?.checked_neg().ok_or(Odd),
    }
}

fn narrow<T: TryFrom<i64>>(number: i64) -> Result<T, Odd> {
    T::try_from(number).map_err(|_| Odd)
}

/// The nearest number, as the server would find it; it writes `Infinity` and `NaN` so.
fn float<T: std::str::FromStr>(text: &[u8]) -> Result<T, Odd> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(Odd)
}

/// Digits to the base of 10,000 without zeros at either end, the power of the first, the sign, and
/// the number of decimal digits behind the point.
fn numeric(text: &[u8], out: &mut Vec<u8>) -> Result<(), Odd> {
    const NEGATIVE: u16 = 0x4000;
    const MOST_DECIMALS: usize = 0x3fff;
    let (sign, number) = match text.strip_prefix(b"-") {
        Some(number) => (NEGATIVE, number),
        None => (0, text),
    };
    let (whole, decimals) = match memchr::memchr(b'.', number) {
        Some(point) => (&number[..point], &number[point + 1..]),
        None => (number, &[][..]),
    };
    if whole.is_empty() || decimals.len() > MOST_DECIMALS {
        return Err(Odd);
    }
    let head = out.len();
    out.extend_from_slice(&[0; 8]);
    let (first, others) = whole.split_at((whole.len() - 1) % 4 + 1);
    let mut weight = i32::try_from(others.len() / 4).map_err(|_| Odd)?;
    let groups = std::iter::once(first).chain(others.chunks(4)).map(|group| (group, 0));
    let behind = decimals.chunks(4).map(|group| (group, 4 - group.len()));
    for (group, zeros) in groups.chain(behind) {
        let value =
            group.iter().try_fold(0u16, |value, byte| Ok(value * 10 + u16::from(digit(*byte)?)))?;
        let value = (0..zeros).fold(value, |value, _| value * 10);
        if value == 0 && out.len() == head + 8 {
            weight -= 1;
        } else {
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
    while out.len() > head + 8 && out.ends_with(&[0, 0]) {
        out.truncate(out.len() - 2);
    }
    let groups = u16::try_from((out.len() - head - 8) / 2).map_err(|_| Odd)?;
    let (weight, sign) = if groups == 0 { (0, 0) } else { (weight, sign) };
    out[head..head + 2].copy_from_slice(&groups.to_be_bytes());
    out[head + 2..head + 4].copy_from_slice(&narrow::<i16>(weight.into())?.to_be_bytes());
    out[head + 4..head + 6].copy_from_slice(&sign.to_be_bytes());
    let decimals = u16::try_from(decimals.len()).map_err(|_| Odd)?;
    out[head + 6..head + 8].copy_from_slice(&decimals.to_be_bytes());
    Ok(())
}

/// What each byte is as a hexadecimal digit; 255 is none.
const HEXADECIMAL: [u8; 256] = {
    let mut values = [255; 256];
    let mut digit = 0;
    while digit < 16 {
        values[b"0123456789abcdef"[digit] as usize] = digit as u8;
        digit += 1;
    }
    values
};

fn hexadecimal(text: &[u8], out: &mut Vec<u8>) -> Result<(), Odd> {
    let (pairs, []) = text.as_chunks::<2>() else { return Err(Odd) };
    let mut wrong = 0;
    out.extend(pairs.iter().map(|[high, low]| {
        let (high, low) = (HEXADECIMAL[usize::from(*high)], HEXADECIMAL[usize::from(*low)]);
        wrong |= high | low;
        high << 4 | low
    }));
    if wrong < 16 { Ok(()) } else { Err(Odd) }
}

/// Eight, four, four, four and twelve digits.
fn uuid(text: &[u8], out: &mut Vec<u8>) -> Result<(), Odd> {
    if text.len() != 36 || [8, 13, 18, 23].iter().any(|dash| text[*dash] != b'-') {
        return Err(Odd);
    }
    for group in [&text[..8], &text[9..13], &text[14..18], &text[19..23], &text[24..]] {
        hexadecimal(group, out)?;
    }
    Ok(())
}

/// Days since 2000-01-01 of `YYYY-MM-DD`: the first year with five digits goes as text.
fn date(text: &[u8]) -> Result<i32, Odd> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *text else { return Err(Odd) };
    let two = |tens, ones| Ok(u32::from(digit(tens)?) * 10 + u32::from(digit(ones)?));
    let (year, month, day) = (two(y1, y2)? * 100 + two(y3, y4)?, two(m1, m2)?, two(d1, d2)?);
    let year = i32::try_from(year).map_err(|_| Odd)?;
    let days = NaiveDate::from_ymd_opt(year, month, day).ok_or(Odd)?.num_days_from_ce();
    // There is no year 0, which is the year before 1 for whoever counts so.
    if year == 0 { Err(Odd) } else { Ok(days - DAYS_TO_2000) }
}

/// Days from the first of January of the year 1, which is 1, to 2000-01-01.
const DAYS_TO_2000: i32 = 730_120;

fn date_value(text: &[u8]) -> Result<i32, Odd> {
    match text {
        b"infinity" => Ok(i32::MAX),
        b"-infinity" => Ok(i32::MIN),
        _ => date(text),
    }
}

/// Microseconds since 2000-01-01 of `YYYY-MM-DD HH:MM:SS.ffffff` with `zone` behind it.
fn timestamp(text: &[u8], zone: &[u8]) -> Result<i64, Odd> {
    const MICROSECONDS: i64 = 1_000_000;
    match text {
        b"infinity" => return Ok(i64::MAX),
        b"-infinity" => return Ok(i64::MIN),
        _ => {}
    }
    let text = text.strip_suffix(zone).ok_or(Odd)?;
    let (day, time) = text.split_at_checked(10).ok_or(Odd)?;
    let (time, fraction) = time.split_at_checked(9).ok_or(Odd)?;
    let [b' ', h1, h2, b':', m1, m2, b':', s1, s2] = *time else { return Err(Odd) };
    let two = |tens, ones| Ok(i64::from(digit(tens)?) * 10 + i64::from(digit(ones)?));
    let (hours, minutes, seconds) = (two(h1, h2)?, two(m1, m2)?, two(s1, s2)?);
    if hours > 23 || minutes > 59 || seconds > 59 {
        return Err(Odd);
    }
    let fraction = match fraction {
        [] => 0,
        [b'.', digits @ ..] if (1..=6).contains(&digits.len()) => {
            let padded = digits.iter().chain(std::iter::repeat(&b'0')).take(6);
            padded.into_iter().try_fold(0, |sum, byte| Ok(sum * 10 + i64::from(digit(*byte)?)))?
        }
        _ => return Err(Odd),
    };
    let seconds = i64::from(date(day)?) * 86_400 + hours * 3600 + minutes * 60 + seconds;
    Ok(seconds * MICROSECONDS + fraction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(type_name: &str, text: &str) -> Result<Vec<u8>, Odd> {
        let format = Format::of([type_name]).unwrap();
        let mut encoder = Encoder::new(&format);
        encoder.take(|_| ());
        encoder.update(text.as_bytes())?;
        encoder.update(b"\n")?;
        Ok(encoder.take(|out| out[6..].to_vec()))
    }

    #[test]
    fn values_are_what_the_server_sends() {
        for (type_name, text, hex) in [
            ("boolean", "t", "01"),
            ("smallint", "-32768", "8000"),
            ("integer", "2147483647", "7fffffff"),
            ("bigint", "-9223372036854775808", "8000000000000000"),
            ("double precision", "0.1", "3fb999999999999a"),
            ("numeric(10,2)", "12345.67", "0003000100000002000109291a2c"),
            ("numeric", "0.00", "0000000000000002"),
            ("numeric", "-0.0001", "0001ffff400000040001"),
            ("numeric", "10000", "00010001000000000001"),
            ("character varying(9)", r"a\tb\\", "6109625c"),
            ("\"jsonb\"", "{}", "017b7d"),
            ("bytea", r"\\x00ff", "00ff"),
            ("date", "1999-12-31", "ffffffff"),
            ("timestamp without time zone", "2000-01-01 00:00:00.5", "000000000007a120"),
            ("timestamp(3) with time zone", "1999-12-31 23:59:59+00", "fffffffffff0bdc0"),
        ] {
            assert_eq!(hex::encode(value(type_name, text).unwrap()), hex, "{type_name} {text}");
        }
    }

    #[test]
    fn what_is_written_otherwise_is_odd() {
        for (type_name, text) in [
            ("boolean", "true"),
            ("smallint", "32768"),
            ("bigint", "9223372036854775808"),
            ("bigint", "1_000"),
            ("numeric", "NaN"),
            ("numeric", "1e5"),
            ("text", r"\101"),
            ("date", "0044-03-15 BC"),
            ("date", "10000-01-01"),
            ("date", "2001-02-29"),
            ("timestamp with time zone", "2000-01-01 00:00:00+01"),
            ("timestamp without time zone", "2000-01-01 24:00:00"),
            ("uuid", "00000000-0000-0000-0000-00000000000g"),
            ("integer", ""),
            ("integer", "1\t2"),
        ] {
            assert_eq!(value(type_name, text), Err(Odd), "{type_name} {text}");
        }
        assert!(Format::of(["integer", "\"public\".\"text\""]).is_none());
        assert!(Format::of(["\"char\""]).is_none(), "a type of one byte");
        assert!(Format::of(["integer[]"]).is_none() && Format::of(["numeric(3,1)[]"]).is_none());
        assert!(Format::of([]).is_none(), "rows of no columns are line ends");
    }

    proptest! {
        #[test]
        fn rows_do_not_depend_on_the_pieces(
            rows in prop::collection::vec("(-?[0-9]{1,9}|\\\\N)\t[a-z]{0,300}", 0..20),
            cut in 1usize..50,
        ) {
            let format = Format::of(["integer", "text"]).unwrap();
            let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
            let encoded = |pieces: &mut dyn Iterator<Item = &[u8]>| {
                let mut encoder = Encoder::new(&format);
                let mut out = Vec::new();
                for piece in pieces {
                    encoder.update(piece).unwrap();
                    encoder.take(|sent| out.extend_from_slice(sent));
                }
                encoder.finish().unwrap();
                encoder.take(|sent| out.extend_from_slice(sent));
                out
            };
            let whole = encoded(&mut std::iter::once(text.as_bytes()));
            prop_assert_eq!(encoded(&mut text.as_bytes().chunks(cut)), whole);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[-0-9.:+ \\\\xNT\t\n]{0,80}") {
            for name in ["numeric", "bigint", "date", "timestamp with time zone", "uuid", "bytea", "text"] {
                drop(value(name, &text));
            }
        }
    }
}
