//! What pgark does with every byte of every row, over a fixed input.

use pgark::archive::frame::{self, FrameWriter};
use pgark::archive::hashing::sha256;
use pgark::error::{Error, Result};
use pgark::model::content::Content;
use pgark::pg::wire::inbox::Inbox;
use pgark::pg::wire::outbox;
use pgark::rules::copy_binary::{Encoder, Format, Odd};
use pgark::rules::row_digest::RowDigester;
use std::fmt::Write;
use std::hint::black_box;

/// Level of compression: the one that docs/performance.md compares at.
const LEVEL: i32 = 1;

/// One hot path.
pub struct Path {
    pub name: &'static str,
    /// Goes through the input so many times.
    pub run: fn(&Input, usize) -> Result<()>,
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// The three whole ways of a row, and their parts.
pub const ALL: &[Path] = &[
    Path { name: "backup", run: backup },
    Path { name: "load", run: load },
    Path { name: "prove", run: prove },
    Path { name: "decode", run: decode },
    Path { name: "digest", run: digest },
    Path { name: "compress and hash", run: compress },
    Path { name: "hash and decompress", run: decompress },
    Path { name: "to binary", run: to_binary },
    Path { name: "encode", run: encode },
];

/// The same rows in the three forms that they have on their way.
pub struct Input {
    /// COPY text.
    pub text: Vec<u8>,
    /// Messages of the server, a row in each, and the end of the COPY.
    messages: Vec<u8>,
    /// A chunk of an archive, and its checksum.
    chunk: Vec<u8>,
    checksum: String,
}

impl Input {
    /// About `bytes` bytes of rows; always the same.
    pub fn new(bytes: usize) -> Result<Self> {
        let text = ledger(bytes);
        let mut messages = Vec::with_capacity(text.len() * 2);
        for row in text.split_inclusive(|byte| *byte == b'\n') {
            outbox::copy_data(&mut messages, row)
                .map_err(|error| Error::io("cannot frame", error))?;
        }
        messages.extend_from_slice(b"c\0\0\0\x04");
        let chunk = frame::compress(&text, LEVEL)?;
        let checksum = sha256(&chunk);
        Ok(Self { text, messages, chunk, checksum })
    }
}

/// Types of the columns of [`ledger`].
const TYPES: [&str; 12] = [
    "bigint",
    "integer",
    "text",
    "text",
    "numeric",
    "numeric",
    "timestamp with time zone",
    "timestamp with time zone",
    "text",
    "jsonb",
    "boolean",
    "double precision",
];

/// Rows like a ledger's: twelve columns of the usual types, a quarter of the bytes random.
fn ledger(bytes: usize) -> Vec<u8> {
    let mut text = String::with_capacity(bytes + 400);
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = || {
        // Xorshift (Marsaglia, 2003): no seed from outside, no dependency.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let currencies = ["USD", "EUR", "HKD", "CNY", "GBP"];
    for row in 1u64.. {
        if text.len() >= bytes {
            break;
        }
        let (minute, second) = (row / 60 % 60, row % 60);
        let written = writeln!(
            text,
            "{row}\t{}\t{:016x}-{:016x}\t{}\t{}.{:04}\t{}.{:08}\t2022-01-01 00:{minute:02}:{second:02}+00\t\
             2026-01-01 12:00:00.123456+00\tpayment to merchant {} ref {:016x}{:016x}\t\
             {{\"k\": {}, \"note\": \"note {}\", \"tags\": [\"a\", \"b\"]}}\t{}\t{}.{:09}",
            row % 1000,
            random(),
            random(),
            currencies[(row % 5) as usize],
            random() % 100_000,
            random() % 10_000,
            random() % 10,
            random() % 100_000_000,
            row % 5000,
            random(),
            random(),
            row % 100,
            row % 77,
            if row % 3 == 0 { "t" } else { "f" },
            random() % 1_000_000,
            random() % 1_000_000_000,
        );
        debug_assert!(written.is_ok());
    }
    text.into_bytes()
}

/// What the socket gives becomes rows.
fn decode(input: &Input, times: usize) -> Result<()> {
    let mut inbox = Inbox::new();
    for _ in 0..times {
        received(&mut inbox, input, |piece| {
            black_box(piece);
            Ok(())
        })?;
    }
    Ok(())
}

/// Rows are counted and digested.
fn digest(input: &Input, times: usize) -> Result<()> {
    for _ in 0..times {
        let mut rows = RowDigester::default();
        input.text.chunks(PIECE).for_each(|piece| rows.update(piece));
        taken(rows.finish()?, input)?;
    }
    Ok(())
}

/// Rows become a chunk with a checksum.
fn compress(input: &Input, times: usize) -> Result<()> {
    let mut frame = FrameWriter::new(LEVEL)?;
    for _ in 0..times {
        input.text.chunks(PIECE).for_each(|piece| frame.write(piece));
        black_box(sha256(&frame.finish()?));
    }
    Ok(())
}

/// A chunk is checked and becomes rows.
fn decompress(input: &Input, times: usize) -> Result<()> {
    for _ in 0..times {
        checked(input, |piece| {
            black_box(piece);
            Ok(())
        })?;
    }
    Ok(())
}

/// Rows become COPY's binary format.
fn to_binary(input: &Input, times: usize) -> Result<()> {
    let format = format()?;
    for _ in 0..times {
        let mut encoder = Encoder::new(&format);
        input.text.chunks(PIECE).try_for_each(|piece| {
            encoder.update(piece).map_err(odd)?;
            encoder.take(|rows| black_box(rows).len());
            Ok::<_, Error>(())
        })?;
    }
    Ok(())
}

/// Rows become what the socket takes.
fn encode(input: &Input, times: usize) -> Result<()> {
    let mut socket = Vec::new();
    for _ in 0..times {
        socket.clear();
        input.text.chunks(PIECE).try_for_each(|piece| sent(&mut socket, piece))?;
        black_box(&socket);
    }
    Ok(())
}

/// All that a worker of a backup does.
fn backup(input: &Input, times: usize) -> Result<()> {
    let mut inbox = Inbox::new();
    let mut frame = FrameWriter::new(LEVEL)?;
    for _ in 0..times {
        let mut rows = RowDigester::default();
        received(&mut inbox, input, |piece| {
            rows.update(piece);
            frame.write(piece);
            Ok(())
        })?;
        taken(rows.finish()?, input)?;
        black_box(sha256(&frame.finish()?));
    }
    Ok(())
}

/// All that a worker of a restore does to load rows.
fn load(input: &Input, times: usize) -> Result<()> {
    let format = format()?;
    let mut socket = Vec::new();
    for _ in 0..times {
        socket.clear();
        let mut encoder = Encoder::new(&format);
        checked(input, |piece| {
            encoder.update(piece).map_err(odd)?;
            encoder.take(|rows| sent(&mut socket, rows))
        })?;
        encoder.finish().map_err(odd)?;
        encoder.take(|rows| sent(&mut socket, rows))?;
        black_box(&socket);
    }
    Ok(())
}

fn format() -> Result<Format> {
    Format::of(TYPES).ok_or_else(|| Error::failed("there is no binary format"))
}

fn odd(_: Odd) -> Error {
    Error::failed("a value has no binary form")
}

/// All that a worker does to prove restored rows.
fn prove(input: &Input, times: usize) -> Result<()> {
    let mut inbox = Inbox::new();
    for _ in 0..times {
        let mut rows = RowDigester::default();
        received(&mut inbox, input, |piece| {
            rows.update(piece);
            Ok(())
        })?;
        taken(rows.finish()?, input)?;
    }
    Ok(())
}

/// What arrives at once from a socket, and from the decompressor.
const PIECE: usize = 128 << 10;

fn received(inbox: &mut Inbox, input: &Input, take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let lost = |error| Error::io("the messages do not decode", error);
    let mut socket = input.messages.as_slice();
    inbox.rows(&mut socket, take).map_err(lost)??;
    inbox.message(&mut socket).map(drop).map_err(lost)
}

fn sent(socket: &mut Vec<u8>, piece: &[u8]) -> Result<()> {
    outbox::copy_data(socket, piece).map_err(|error| Error::io("cannot frame", error))
}

fn checked(input: &Input, take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    if sha256(&input.chunk) != input.checksum {
        return Err(Error::damaged("the chunk is not what it was"));
    }
    frame::decompress(&input.chunk, input.text.len() as u64, take)
}

fn taken(content: Content, input: &Input) -> Result<()> {
    if content.bytes != input.text.len() as u64 {
        return Err(Error::failed("not all bytes arrived"));
    }
    black_box(content);
    Ok(())
}
