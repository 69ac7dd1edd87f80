//! Outgoing rows of COPY as messages of the protocol.

use std::io::{self, Write};

/// The most that one CopyData message takes.
const LARGEST: usize = 1 << 20;

/// Sends rows, cut anywhere, as CopyData messages.
///
/// # Errors
/// The stream's.
pub fn copy_data(stream: &mut impl Write, rows: &[u8]) -> io::Result<()> {
    for piece in rows.chunks(LARGEST) {
        let mut header = [b'd', 0, 0, 0, 0];
        let length = u32::try_from(piece.len() + 4).map_err(io::Error::other)?;
        header[1..].copy_from_slice(&length.to_be_bytes());
        stream.write_all(&header)?;
        stream.write_all(piece)?;
    }
    stream.flush()
}

#[cfg(test)]
mod tests {
    use super::super::inbox::Inbox;
    use super::*;

    #[test]
    fn what_goes_out_reads_as_what_comes_in() {
        for size in [0, 1, LARGEST - 1, LARGEST, 2 * LARGEST + 3] {
            let rows: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            let mut sent = Vec::new();
            copy_data(&mut sent, &rows).unwrap();
            sent.extend_from_slice(b"c\0\0\0\x04");
            let mut taken = Vec::new();
            let take = |piece: &[u8]| {
                taken.extend_from_slice(piece);
                Ok::<(), ()>(())
            };
            Inbox::new().rows(&mut sent.as_slice(), take).unwrap().unwrap();
            assert!(taken == rows, "{size}");
        }
    }
}
