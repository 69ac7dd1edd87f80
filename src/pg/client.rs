//! The driver, blocking: a session on a stream that pgark has opened itself. Whatever else comes
//! over it is seen to while somebody waits for an answer, and at no other time.

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{SinkExt, StreamExt, TryStreamExt};
use std::future::{self, Future};
use std::pin::{Pin, pin};
use std::task::Poll;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Runtime;
use tokio_postgres::error::DbError;
use tokio_postgres::types::ToSql;
use tokio_postgres::{
    AsyncMessage, Connection, CopyInSink, CopyOutStream, Error, Row, SimpleQueryMessage, Statement,
};

type Result<T> = std::result::Result<T, Error>;

/// An open session.
pub struct Client {
    // Goes before the line does, which then tells the server that this is the end.
    session: tokio_postgres::Client,
    line: Line,
}

/// What a session's messages go over.
struct Line {
    runtime: Runtime,
    messages: BoxStream<'static, Result<AsyncMessage>>,
    notice: Box<dyn Fn(&DbError) + Send>,
}

impl Line {
    /// Waits for an answer.
    fn wait<T>(&mut self, answer: impl Future<Output = Result<T>>) -> Result<T> {
        let Self { runtime, messages, notice } = self;
        let mut answer = pin!(answer);
        runtime.block_on(future::poll_fn(|context| {
            while let Poll::Ready(Some(message)) = messages.poll_next_unpin(context) {
                match message {
                    Ok(AsyncMessage::Notice(said)) => notice(&said),
                    Ok(_) => {}
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            answer.as_mut().poll(context)
        }))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let messages = &mut self.messages;
        // Whatever the server says to the end of the session is of no interest.
        self.runtime.block_on(async { while let Some(Ok(_)) = messages.next().await {} });
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
        Self { session, line: Line { runtime, messages, notice: Box::new(notice) } }
    }

    /// Runs statements, by the simple protocol, that return nothing of interest.
    pub fn batch_execute(&mut self, sql: &str) -> Result<()> {
        self.line.wait(self.session.batch_execute(sql))
    }

    /// Runs statements by the simple protocol.
    pub fn simple_query(&mut self, sql: &str) -> Result<Vec<SimpleQueryMessage>> {
        self.line.wait(self.session.simple_query(sql))
    }

    /// Runs one statement and gives the number of rows that it concerned.
    pub fn execute(&mut self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<u64> {
        self.line.wait(self.session.execute(sql, parameters))
    }

    /// The rows of one statement.
    pub fn query(&mut self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        self.line.wait(self.session.query(sql, parameters))
    }

    /// The only row of one statement.
    pub fn query_one(&mut self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Row> {
        self.line.wait(self.session.query_one(sql, parameters))
    }

    /// The row of one statement that gives one at most.
    pub fn query_opt(
        &mut self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>> {
        self.line.wait(self.session.query_opt(sql, parameters))
    }

    /// Has the server understand a statement, and runs nothing.
    pub fn prepare(&mut self, sql: &str) -> Result<Statement> {
        self.line.wait(self.session.prepare(sql))
    }

    /// Does `work` in one transaction: all of it, or none.
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
