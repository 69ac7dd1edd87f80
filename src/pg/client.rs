//! The driver, blocking: a session on a stream that pgark has opened itself. Whatever else comes
//! over it is seen to while somebody waits for an answer, and at no other time.

use super::failure::Reason;
use super::record::{Record, Unread};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, SinkExt, StreamExt, TryStreamExt};
use std::future::{self, Future};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Runtime;
use tokio_postgres::error::DbError;
use tokio_postgres::types::ToSql;
use tokio_postgres::{
    AsyncMessage, Connection, CopyInSink, CopyOutStream, Error, RowStream, SimpleQueryMessage,
    Statement,
};

type Result<T, E = Error> = std::result::Result<T, E>;

/// How long the end of a session may take: what the server still sends then is read by nobody.
const FAREWELL: Duration = Duration::from_secs(1);

/// An open session.
pub struct Client {
    // Goes before the line does, which then tells the server that this is the end.
    session: tokio_postgres::Client,
    line: Line,
}

/// What a session's messages go over.
struct Line {
    /// None once the connection has ended: the driver must not be asked again then, and what it
    /// holds of answers goes with it.
    messages: Option<BoxStream<'static, Result<AsyncMessage>>>,
    /// Why it has ended, until somebody is told.
    end: Option<Error>,
    notice: Box<dyn Fn(&DbError) + Send>,
    // Goes last: sockets and timers are registered with it.
    runtime: Runtime,
}

impl Line {
    /// Waits for an answer.
    fn wait<T>(&mut self, answer: impl Future<Output = Result<T>>) -> Result<T> {
        let Self { runtime, messages, end, notice } = self;
        let mut answer = pin!(answer);
        let answered = runtime.block_on(future::poll_fn(|context| {
            while let Some(line) = messages {
                match line.poll_next_unpin(context) {
                    Poll::Ready(Some(Ok(AsyncMessage::Notice(said)))) => notice(&said),
                    Poll::Ready(Some(Ok(_))) => {}
                    Poll::Ready(Some(Err(error))) => {
                        *end = Some(error);
                        *messages = None;
                    }
                    Poll::Ready(None) => *messages = None,
                    Poll::Pending => break,
                }
            }
            // What the server said before the connection ended is the answer all the same.
            answer.as_mut().poll(context)
        }));
        self.explained(answered)
    }

    /// An answer; instead of that the connection is closed, why it is.
    fn explained<T>(&mut self, answered: Result<T>) -> Result<T> {
        answered.map_err(|error| match error.is_closed() {
            true => self.end.take().unwrap_or(error),
            false => error,
        })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let Some(mut messages) = self.messages.take() else { return };
        // The server is told of the end once it has answered what it was asked; that may be the
        // rest of a COPY which nobody reads, so the socket is closed on it after a while.
        let end = async { while let Some(Ok(_)) = messages.next().await {} };
        let ended = self.runtime.block_on(async { tokio::time::timeout(FAREWELL, end).await });
        drop(ended);
    }
}

impl Client {
    /// The session that the driver has begun in `runtime`; `notice` hears the server's notices.
    pub fn new<S, T>(
        runtime: Runtime,
        session: tokio_postgres::Client,
        mut connection: Connection<S, T>,
        notice: impl Fn(&DbError) + Send + 'static,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let messages = stream::poll_fn(move |context| connection.poll_message(context)).boxed();
        let line = Line { messages: Some(messages), end: None, notice: Box::new(notice), runtime };
        Self { session, line }
    }

    /// Runs statements, by the simple protocol, that return nothing of interest.
    pub fn batch_execute(&mut self, sql: &str) -> Result<()> {
        self.line.wait(self.session.batch_execute(sql))
    }

    /// The first value that a statement gives by the simple protocol, where it gives one.
    pub fn simple_query(&mut self, sql: &str) -> Result<Option<String>> {
        for message in self.line.wait(self.session.simple_query(sql))? {
            if let SimpleQueryMessage::Row(row) = message {
                return Ok(row.try_get(0)?.map(str::to_owned));
            }
        }
        Ok(None)
    }

    /// Runs one statement and gives the number of rows that it concerned.
    pub fn execute(&mut self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<u64> {
        self.line.wait(self.session.execute(sql, parameters))
    }

    /// What `read` makes of the rows of one statement.
    pub fn query<T>(
        &mut self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
        mut read: impl FnMut(&Record) -> Result<T, Unread>,
    ) -> Result<Vec<T>, Reason> {
        let rows = self.line.wait(self.session.query(sql, parameters))?;
        let read: Result<_, Unread> = rows.into_iter().map(|row| read(&Record::new(row))).collect();
        Ok(read?)
    }

    /// The rows of one statement without parameters, one after the other: for those that may be many
    /// for each table of a database.
    pub fn stream(&mut self, sql: &str) -> Result<Rows<'_>> {
        let none = std::iter::empty::<&(dyn ToSql + Sync)>();
        let rows = Box::pin(self.line.wait(self.session.query_raw(sql, none))?);
        Ok(Rows { line: &mut self.line, rows })
    }

    /// What `read` makes of the only row of one statement.
    pub fn query_one<T>(
        &mut self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
        read: impl FnOnce(&Record) -> Result<T, Unread>,
    ) -> Result<T, Reason> {
        let row = self.line.wait(self.session.query_one(sql, parameters))?;
        Ok(read(&Record::new(row))?)
    }

    /// What `read` makes of the row of one statement that gives one at most.
    pub fn query_opt<T>(
        &mut self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
        read: impl FnOnce(&Record) -> Result<T, Unread>,
    ) -> Result<Option<T>, Reason> {
        let row = self.line.wait(self.session.query_opt(sql, parameters))?;
        Ok(row.map(|row| read(&Record::new(row))).transpose()?)
    }

    /// Has the server understand a statement, and runs nothing.
    pub fn prepare(&mut self, sql: &str) -> Result<Statement> {
        self.line.wait(self.session.prepare(sql))
    }

    /// Does `work` in one transaction: all of it, or none. The session must not be in one already.
    pub fn transaction<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.batch_execute("BEGIN")?;
        let done = work(self).and_then(|done| self.batch_execute("COMMIT").map(|()| done));
        if done.is_err() {
            // What failed first is the reason that is told.
            drop(self.batch_execute("ROLLBACK"));
        }
        done
    }

    /// Begins a COPY … TO STDOUT.
    pub fn copy_out(&mut self, sql: &str) -> Result<CopyOut<'_>> {
        let rows = Box::pin(self.line.wait(self.session.copy_out(sql))?);
        Ok(CopyOut { line: &mut self.line, rows })
    }

    /// Begins a COPY … FROM STDIN.
    pub fn copy_in(&mut self, sql: &str) -> Result<CopyIn<'_>> {
        let rows = Box::pin(self.line.wait(self.session.copy_in(sql))?);
        Ok(CopyIn { line: &mut self.line, rows })
    }

    /// Whether the session has ended.
    pub fn is_closed(&self) -> bool {
        self.session.is_closed()
    }
}

/// The rows of a statement that runs.
pub struct Rows<'a> {
    line: &'a mut Line,
    rows: Pin<Box<RowStream>>,
}

impl Iterator for Rows<'_> {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        // Most rows came together with the one before.
        match self.rows.try_next().now_or_never() {
            Some(here) => self.line.explained(here),
            None => self.line.wait(self.rows.try_next()),
        }
        .transpose()
        .map(|row| row.map(Record::new))
    }
}

/// An open COPY … TO STDOUT.
pub struct CopyOut<'a> {
    line: &'a mut Line,
    rows: Pin<Box<CopyOutStream>>,
}

impl CopyOut<'_> {
    /// The next piece; none at the end.
    pub fn piece(&mut self) -> Result<Option<Bytes>> {
        self.line.wait(self.rows.try_next())
    }
}

/// An open COPY … FROM STDIN; dropped, it is aborted.
pub struct CopyIn<'a> {
    line: &'a mut Line,
    rows: Pin<Box<CopyInSink<Bytes>>>,
}

impl CopyIn<'_> {
    /// Sends a piece, cut anywhere.
    pub fn write(&mut self, piece: &[u8]) -> Result<()> {
        self.line.wait(self.rows.feed(Bytes::copy_from_slice(piece)))
    }

    /// Ends it and gives the number of rows that the server took.
    pub fn finish(mut self) -> Result<u64> {
        self.line.wait(self.rows.as_mut().finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::failure::server;
    use std::collections::VecDeque;
    use std::io::{self, Read, Write};
    use std::task::{Context, Waker};
    use std::time::Instant;
    use tokio::io::ReadBuf;
    use tokio_postgres::{Config, NoTls};

    /// Authenticated, and ready.
    const WELCOME: &[u8] = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";

    /// A statement is prepared, which gives one integer, x.
    const PREPARED: &[u8] = b"1\0\0\0\x04t\0\0\0\x06\0\0T\0\0\0\x1a\0\x01x\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0Z\0\0\0\x05I";

    /// A server that answers each message at once; after the last answer the connection is closed, or
    /// reset.
    struct Fake {
        answers: VecDeque<&'static [u8]>,
        said: &'static [u8],
        reader: Option<Waker>,
        resets: bool,
    }

    impl AsyncRead for Fake {
        fn poll_read(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if self.said.is_empty() && !self.answers.is_empty() {
                self.reader = Some(context.waker().clone());
                return Poll::Pending;
            }
            if self.said.is_empty() && self.resets {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            buffer.put_slice(std::mem::take(&mut self.said));
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Fake {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.said = self.answers.pop_front().unwrap_or_default();
            if let Some(reader) = self.reader.take() {
                reader.wake();
            }
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn begin<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        socket: impl FnOnce() -> S,
    ) -> Client {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let begun =
            runtime.block_on(async { Config::new().user("u").connect_raw(socket(), NoTls).await });
        let (session, connection) = begun.unwrap();
        Client::new(runtime, session, connection, |_| {})
    }

    fn with_last_answer(answer: &'static [u8]) -> Client {
        let answers = VecDeque::from([WELCOME, answer]);
        begin(|| Fake { answers, said: b"", reader: None, resets: false })
    }

    #[test]
    fn what_the_server_said_counts_although_the_connection_ends_in_the_same_breath() {
        let mut confirmed = with_last_answer(b"C\0\0\0\x0bCOMMIT\0Z\0\0\0\x05I");
        confirmed.batch_execute("COMMIT").unwrap();
        assert!(confirmed.batch_execute("SELECT").unwrap_err().is_closed());
        assert!(confirmed.is_closed());

        let mut ended = with_last_answer(b"E\0\0\0\x1cSFATAL\0C57P01\0Mthe end\0\0");
        let error = ended.batch_execute("SELECT pg_sleep(9)").unwrap_err();
        assert_eq!(error.as_db_error().unwrap().code().code(), "57P01");

        let mut silent = with_last_answer(b"");
        assert!(silent.batch_execute("COMMIT").unwrap_err().is_closed());
    }

    #[test]
    fn rows_that_end_too_early_say_why() {
        let rows = b"2\0\0\0\x04D\0\0\0\x0e\0\x01\0\0\0\x04\0\0\0\x07";
        let answers = VecDeque::from([WELCOME, PREPARED, &rows[..]]);
        let mut client = begin(|| Fake { answers, said: b"", reader: None, resets: true });
        let mut rows = client.stream("SELECT 7 AS x").unwrap();
        assert_eq!(rows.next().unwrap().unwrap().at::<i32>(0).unwrap(), 7);
        let error = rows.next().unwrap().unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().downcast_ref::<io::Error>().unwrap();
        assert_eq!(cause.kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn what_cannot_be_read_is_a_failure_and_no_panic() {
        let null = b"2\0\0\0\x04D\0\0\0\x0a\0\x01\xff\xff\xff\xffC\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I";
        let answers = VecDeque::from([WELCOME, PREPARED, &null[..]]);
        let mut client = begin(|| Fake { answers, said: b"", reader: None, resets: false });
        let rows: Vec<Record> = client.stream("SELECT").unwrap().collect::<Result<_>>().unwrap();
        let row = &rows[0];
        assert_eq!(row.at::<Option<i32>>(0).unwrap(), None);
        let said = |unread| server("cannot look", unread);
        let dropped = said(row.at::<i32>(0).unwrap_err());
        assert_eq!(
            dropped.in_full(),
            "cannot look: x is null, as it is of an object that was dropped meanwhile"
        );
        assert_eq!(dropped.next_step(), said(row.get::<i32>("x").unwrap_err()).next_step());
        assert!(dropped.next_step().is_some());
        let wrong = said(row.at::<Option<bool>>(0).unwrap_err()).in_full();
        assert!(
            wrong.starts_with("cannot look: cannot read x of the server's answer: "),
            "{wrong}"
        );
        assert!(said(row.at::<i32>(1).unwrap_err()).in_full().contains("column 1"));
        assert!(said(row.get::<i32>("y").unwrap_err()).in_full().contains("cannot read y"));
    }

    #[test]
    fn a_copy_that_is_given_up_is_not_read_to_its_end() {
        let (here, mut there) = std::os::unix::net::UnixStream::pair().unwrap();
        std::thread::spawn(move || {
            let mut asked = [0; 1024];
            assert!(there.read(&mut asked).unwrap() > 0);
            there.write_all(WELCOME).unwrap();
            assert!(there.read(&mut asked).unwrap() > 0);
            let prepared = b"1\0\0\0\x04t\0\0\0\x06\0\0n\0\0\0\x04Z\0\0\0\x05I";
            there.write_all(prepared).unwrap();
            assert!(there.read(&mut asked).unwrap() > 0);
            there.write_all(b"2\0\0\0\x04H\0\0\0\x07\0\0\0").unwrap();
            // Until the client has gone.
            while there.write_all(b"d\0\0\0\x08row\n").is_ok() {}
        });
        here.set_nonblocking(true).unwrap();
        let mut client = begin(|| tokio::net::UnixStream::from_std(here).unwrap());
        let mut rows = client.copy_out("COPY t TO STDOUT").unwrap();
        assert_eq!(rows.piece().unwrap().unwrap(), "row\n");
        let begun = Instant::now();
        drop(client);
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }
}
