//! Zstandard frames: one per member, each with its content size and a checksum.

use crate::error::{Error, Result};
use std::io::{self, Read};
use zstd::zstd_safe::{self, CCtx, CParameter, ErrorCode};

/// Largest window that a reader allocates (2^27 bytes, `zstd -d`'s own default limit).
const MAX_WINDOW_LOG: u32 = 27;

/// How much room for a frame's content is kept for the next one.
const KEPT: usize = 32 << 20;

/// Compresses frames piece by piece, one after the other, with one set of tables.
///
/// The pieces of a frame are held together until it ends. Fed piece by piece, zstd goes through a
/// buffer of its own, round and round, and looks for matches on both sides of the seam: the same
/// bytes, for 40 % more instructions (docs/performance.md). Who cuts chunks bounds the memory.
pub struct FrameWriter {
    context: CCtx<'static>,
    content: Vec<u8>,
}

impl FrameWriter {
    /// Makes ready for frames at a compression level of 1 to 19.
    ///
    /// # Errors
    /// The level is unknown, or there is no memory for it.
    pub fn new(level: i32) -> Result<Self> {
        let mut context = CCtx::try_create()
            .ok_or_else(|| Error::failed("there is no memory to compress with"))?;
        for parameter in [
            CParameter::CompressionLevel(level),
            CParameter::ChecksumFlag(true),
            CParameter::ContentSizeFlag(true),
        ] {
            context.set_parameter(parameter).map_err(failed)?;
        }
        if level == 1 {
            // Rows of COPY text repeat short words: 1 % smaller in the same time than with the
            // level's own 7 bytes, and a table of matches that fits into the nearest cache
            // (docs/performance.md).
            context.set_parameter(CParameter::MinMatch(6)).map_err(failed)?;
            context.set_parameter(CParameter::HashLog(13)).map_err(failed)?;
        }
        Ok(Self { context, content: Vec::new() })
    }

    /// Takes the next piece.
    pub fn write(&mut self, piece: &[u8]) {
        self.content.extend_from_slice(piece);
    }

    /// Ends the frame and gives it whole; the next piece begins another.
    ///
    /// # Errors
    /// The compressor's.
    pub fn finish(&mut self) -> Result<Vec<u8>> {
        let mut frame = Vec::with_capacity(zstd_safe::compress_bound(self.content.len()));
        self.context.compress2(&mut frame, &self.content).map_err(failed)?;
        self.content.clear();
        // One very long row does not keep its room.
        self.content.shrink_to(KEPT);
        Ok(frame)
    }
}

/// For what writes itself out in pieces of its own.
impl io::Write for FrameWriter {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        Self::write(self, piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn failed(code: ErrorCode) -> Error {
    Error::failed(format!("cannot compress: {}", zstd_safe::get_error_name(code)))
}

/// Compresses `content` into one frame.
///
/// # Errors
/// The compressor's.
pub fn compress(content: &[u8], level: i32) -> Result<Vec<u8>> {
    let mut frame = FrameWriter::new(level)?;
    frame.write(content);
    frame.finish()
}

/// The content size that a frame's header declares.
///
/// # Errors
/// Not a zstd frame, or a frame without content size.
pub fn declared_size(frame: &[u8]) -> Result<u64> {
    zstd_safe::get_frame_content_size(frame)
        .ok()
        .flatten()
        .ok_or_else(|| Error::damaged("not a zstd frame with a content size"))
}

/// Decompresses exactly one frame whose header declares exactly `content_size` bytes, and hands
/// the content to `take` piece by piece.
///
/// # Errors
/// [`Kind::Damaged`](crate::error::Kind::Damaged) for a bad checksum, another size, bytes after
/// the frame, or a window larger than `zstd -d` would allocate; and whatever `take` returns.
pub fn decompress(
    frame: &[u8],
    content_size: u64,
    mut take: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let declared = declared_size(frame)?;
    if declared != content_size {
        return Err(Error::damaged(format!(
            "the frame declares {declared} bytes, the manifest {content_size}"
        )));
    }
    let whole = zstd_safe::find_frame_compressed_size(frame)
        .map_err(|_| Error::damaged("the zstd frame is cut or malformed"))?;
    if whole != frame.len() {
        return Err(Error::damaged("there are bytes after the zstd frame"));
    }
    let damaged =
        |error: io::Error| Error::damaged("the zstd frame does not decode").caused_by(error);
    let mut decoder =
        zstd::stream::read::Decoder::with_buffer(frame).map_err(damaged)?.single_frame();
    decoder.window_log_max(MAX_WINDOW_LOG).map_err(damaged)?;
    let mut buffer = vec![0; 128 * 1024];
    let mut produced = 0;
    loop {
        let length = decoder.read(&mut buffer).map_err(damaged)?;
        if length == 0 {
            break;
        }
        produced += length as u64;
        if produced > content_size {
            return Err(Error::damaged("the zstd frame holds more than it declares"));
        }
        take(&buffer[..length])?;
    }
    if produced != content_size {
        return Err(Error::damaged("the zstd frame holds less than it declares"));
    }
    Ok(())
}

/// Decompresses a small member whole; `content_size` bounds what is allocated.
pub fn decompress_whole(frame: &[u8], content_size: u64) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    decompress(frame, content_size, |piece| {
        content.extend_from_slice(piece);
        Ok(())
    })?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_any_size_come_back() {
        let mut writer = FrameWriter::new(1).unwrap();
        for size in [0, 1, 255, 256, 65_791, 65_792, 3_000_000] {
            let content: Vec<u8> = (0..size).map(|i: u32| (i % 251) as u8).collect();
            content.chunks(10_000).for_each(|piece| writer.write(piece));
            let frame = writer.finish().unwrap();
            assert_eq!(declared_size(&frame).unwrap(), u64::from(size));
            assert_eq!(decompress_whole(&frame, u64::from(size)).unwrap(), content);
        }
    }

    #[test]
    fn a_flipped_bit_never_gives_other_content() {
        let content = b"what was read is what was written, what was read";
        let frame = compress(content, 1).unwrap();
        let mut found = 0;
        for bit in 0..frame.len() * 8 {
            let mut damaged = frame.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            match decompress_whole(&damaged, 48) {
                Ok(same) => assert_eq!(same, content, "bit {bit}"),
                Err(_) => found += 1,
            }
        }
        // RFC 8878 has an unused bit and a window size that may be larger than needed; the
        // member's SHA-256 finds those.
        assert!(found > frame.len() * 8 - 10);
    }

    #[test]
    fn a_second_frame_and_a_cut_frame_are_found() {
        let frame = compress(b"abc", 1).unwrap();
        assert!(decompress_whole(&[frame.clone(), frame.clone()].concat(), 3).is_err());
        assert!(decompress_whole(&frame[..frame.len() - 1], 3).is_err());
        assert!(decompress_whole(&frame, 4).is_err());
    }
}
