//! Incoming messages of the protocol in one buffer.
//!
//! Every message is a tag, a length of four bytes that counts itself, and the body (PostgreSQL,
//! "Message Formats"). Rows of COPY come as one CopyData message each; they are moved together
//! within the buffer, so that whoever takes them gets many at once and nothing is allocated.

use bytes::BytesMut;
use postgres_protocol::message::backend::Message;
use std::io::{self, ErrorKind, Read};
use std::time::Duration;

/// As much as a unix socket holds is read at once: fewer system calls, and it stays in the cache.
const CAPACITY: usize = 256 << 10;

/// In a COPY that has brought this many bytes, who has just read less than `LITTLE` waits a moment
/// for more. A server sends 8 KiB at a time, and would wake its reader for each: there are five times
/// as many switches between the two then, and 5 % more seconds of processors
/// (docs/performance.md). A socket holds more than arrives in that moment.
const LONG_COPY: usize = 1 << 20;
const LITTLE: usize = 64 << 10;
const MOMENT: Duration = Duration::from_micros(300);

/// Tag and length.
const HEADER: usize = 5;

/// The largest message beside CopyData: errors, parameters, a row of a catalog.
const LARGEST: usize = 64 << 20;

const COPY_DATA: u8 = b'd';

/// A buffer of incoming bytes; those from `from` up to `to` have not been taken.
pub struct Inbox {
    buffer: Vec<u8>,
    from: usize,
    to: usize,
}

impl Default for Inbox {
    fn default() -> Self {
        Self { buffer: vec![0; CAPACITY], from: 0, to: 0 }
    }
}

impl Inbox {
    /// An empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads until `count` bytes are there; `count` must fit into the buffer.
    fn want(&mut self, stream: &mut impl Read, count: usize) -> io::Result<()> {
        if self.to - self.from >= count {
            return Ok(());
        }
        self.buffer.copy_within(self.from..self.to, 0);
        (self.from, self.to) = (0, self.to - self.from);
        while self.to < count {
            self.to += read(stream, &mut self.buffer[self.to..])?;
        }
        Ok(())
    }

    /// Tag and length of the body of the next message, which is not taken.
    fn header(&mut self, stream: &mut impl Read) -> io::Result<(u8, usize)> {
        self.want(stream, HEADER)?;
        header(&self.buffer[self.from..])
    }

    /// Takes the next message, which must not be CopyData.
    pub fn message(&mut self, stream: &mut impl Read) -> io::Result<Message> {
        let (tag, body) = self.header(stream)?;
        if tag == COPY_DATA || body > LARGEST {
            return Err(malformed());
        }
        let length = HEADER + body;
        let mut message = BytesMut::with_capacity(length);
        let at_hand = length.min(self.to - self.from);
        message.extend_from_slice(&self.buffer[self.from..self.from + at_hand]);
        self.from += at_hand;
        if at_hand < length {
            message.resize(length, 0);
            stream.read_exact(&mut message[at_hand..])?;
        }
        Message::parse(&mut message)?.ok_or_else(malformed)
    }

    /// Takes CopyData messages up to the first other message, and hands their bodies to `take`,
    /// many at once. The outer result is the stream's, the inner one that of `take`.
    pub fn rows<E>(
        &mut self,
        stream: &mut impl Read,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> io::Result<Result<(), E>> {
        let mut taken = 0;
        loop {
            if taken > LONG_COPY && self.to < LITTLE {
                std::thread::sleep(MOMENT);
            }
            let (tag, body) = self.header(stream)?;
            if tag != COPY_DATA {
                return Ok(Ok(()));
            }
            if HEADER + body > self.buffer.len() {
                if let Err(error) = self.long_row(stream, body, &mut take)? {
                    return Ok(Err(error));
                }
                continue;
            }
            self.want(stream, HEADER + body)?;
            let start = self.from;
            let end = self.join()?;
            taken += end - start;
            if let Err(error) = take(&self.buffer[start..end]) {
                return Ok(Err(error));
            }
        }
    }

    /// Moves the bodies of all CopyData messages that are there as a whole together; gives where
    /// they end. They begin where the first message began.
    fn join(&mut self) -> io::Result<usize> {
        let mut end = self.from;
        while self.to - self.from >= HEADER {
            let (tag, body) = header(&self.buffer[self.from..])?;
            if tag != COPY_DATA || self.to - self.from - HEADER < body {
                break;
            }
            let start = self.from + HEADER;
            self.buffer.copy_within(start..start + body, end);
            end += body;
            self.from = start + body;
        }
        Ok(end)
    }

    /// Hands over a row that is larger than the buffer in pieces.
    fn long_row<E>(
        &mut self,
        stream: &mut impl Read,
        body: usize,
        take: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> io::Result<Result<(), E>> {
        self.from += HEADER;
        let mut open = body;
        while open > 0 {
            if self.from == self.to {
                (self.from, self.to) = (0, read(stream, &mut self.buffer)?);
            }
            let length = open.min(self.to - self.from);
            if let Err(error) = take(&self.buffer[self.from..self.from + length]) {
                return Ok(Err(error));
            }
            self.from += length;
            open -= length;
        }
        Ok(Ok(()))
    }
}

fn header(bytes: &[u8]) -> io::Result<(u8, usize)> {
    let length = [bytes[1], bytes[2], bytes[3], bytes[4]];
    let length = usize::try_from(i32::from_be_bytes(length)).map_err(|_| malformed())?;
    Ok((bytes[0], length.checked_sub(4).ok_or_else(malformed)?))
}

fn read(stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Ok(0) => {
                return Err(io::Error::new(
                    ErrorKind::UnexpectedEof,
                    "the server closed the connection",
                ));
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn malformed() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "what came is not a message of PostgreSQL's protocol")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Gives its bytes in pieces of at most `step`.
    struct Slow<'a> {
        bytes: &'a [u8],
        step: usize,
    }

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = self.step.min(self.bytes.len()).min(buffer.len());
            buffer[..length].copy_from_slice(&self.bytes[..length]);
            self.bytes = &self.bytes[length..];
            Ok(length)
        }
    }

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[tag], length.to_be_bytes().as_slice(), body].concat()
    }

    fn taken(bytes: &[u8], step: usize) -> io::Result<Vec<u8>> {
        let mut rows = Vec::new();
        let mut stream = Slow { bytes, step };
        let mut inbox = Inbox::new();
        inbox
            .rows(&mut stream, |piece| {
                rows.extend_from_slice(piece);
                Ok::<(), ()>(())
            })?
            .unwrap();
        assert!(matches!(inbox.message(&mut stream)?, Message::CopyDone));
        Ok(rows)
    }

    proptest! {
        #[test]
        fn rows_come_whole_whatever_the_pieces(
            rows in prop::collection::vec("[a-z]{0,600}", 0..40),
            step in 1usize..5000,
        ) {
            let mut bytes: Vec<u8> =
                rows.iter().flat_map(|row| message(COPY_DATA, row.as_bytes())).collect();
            bytes.extend(message(b'c', b""));
            prop_assert_eq!(taken(&bytes, step).unwrap(), rows.concat().into_bytes());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut stream = Slow { bytes: &bytes, step: 7 };
            let mut inbox = Inbox::new();
            while inbox.rows(&mut stream, |_| Ok::<(), ()>(())).is_ok()
                && inbox.message(&mut stream).is_ok() {}
        }
    }

    #[test]
    fn rows_longer_than_the_buffer_come_in_pieces() {
        let long = vec![b'x'; CAPACITY * 2 + 17];
        let bytes = [
            message(COPY_DATA, b"a\n"),
            message(COPY_DATA, &long),
            message(COPY_DATA, b"b\n"),
            message(b'c', b""),
        ]
        .concat();
        for step in [1000, CAPACITY, usize::MAX] {
            assert!(taken(&bytes, step).unwrap() == [b"a\n", long.as_slice(), b"b\n"].concat());
        }
    }

    #[test]
    fn a_cut_stream_is_an_error() {
        let bytes = message(COPY_DATA, b"abc");
        assert_eq!(taken(&bytes[..6], 3).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(taken(&bytes, 3).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}
