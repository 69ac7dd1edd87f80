//! A session for rows alone: settings pinned as in [`Session`](super::session::Session), on a
//! connection that is made for COPY.

use super::connect::{self, Canceller};
use super::ident::literal;
use super::session::{
    EMPTY_SEARCH_PATH, Purpose, Statements, encoding_of_rows, pin_sql, pooled, refused, settings,
};
use super::wire::Wire;
use crate::error::{Error, Result};
use crate::model::connection::Connection;
use crate::model::server::ServerFacts;

/// While rows are sent nobody listens: notices must not fill the server's socket.
const QUIET: &[(&str, &str)] = &[("client_min_messages", "error")];

/// An open connection for COPY whose settings are pinned.
pub struct Copier {
    pub(super) wire: Wire,
    facts: ServerFacts,
    process: String,
    client_encoding: String,
}

impl Copier {
    /// Connects to `database`, or to the one that the connection names. `facts` are what another
    /// session has read of the same database.
    ///
    /// # Errors
    /// [`Kind::Server`](crate::error::Kind::Server) when the server cannot be reached or refuses.
    pub fn open(
        connection: &Connection,
        database: Option<&str>,
        purpose: Purpose,
        facts: &ServerFacts,
    ) -> Result<Self> {
        // Another session has settled which of the servers it is.
        let targets = connect::targets(connection, database)?;
        let target = targets.first().ok_or_else(|| Error::failed("there is no server to try"))?;
        let mut wire = Wire::connect(target)?;
        let doing = "cannot set up the session";
        wire.value(EMPTY_SEARCH_PATH, doing)?;
        let mut pins = settings(purpose).map(pin_sql).to_vec();
        pins.push(pin_sql(QUIET));
        wire.execute(&pins.join("; "), doing)?;
        let process = wire.value(PROCESS, doing)?;
        let client_encoding = String::from("UTF8");
        Ok(Self { wire, facts: facts.clone(), process, client_encoding })
    }

    /// Rows travel in `encoding` from here on; see
    /// [`Session::use_encoding`](super::session::Session::use_encoding).
    pub fn use_encoding(&mut self, encoding: &str) -> Result<()> {
        let encoding = encoding_of_rows(encoding, &self.facts);
        self.execute(&format!("SET client_encoding = {}", literal(&encoding)))?;
        self.client_encoding = encoding;
        Ok(())
    }

    /// Fails when a connection pooler has moved the session to another server process.
    pub fn check_not_pooled(&mut self) -> Result<()> {
        let process = self.wire.value(PROCESS, "cannot ask for the server process")?;
        if process == self.process { Ok(()) } else { Err(pooled()) }
    }

    /// Begins a COPY … FROM STDIN whose rows come with [`Copier::put`] and which ends with
    /// [`Copier::put_end`]: what [`CopyIn`](super::copy::CopyIn) does, for rows that another connection
    /// sends meanwhile.
    ///
    /// # Errors
    /// The server's.
    pub fn begin_put(&mut self, sql: &str, doing: &str) -> Result<()> {
        self.wire.begin_put(sql, doing)
    }

    /// Sends a piece of the rows.
    ///
    /// # Errors
    /// The connection's; what the server says of the rows comes at the end.
    pub fn put(&mut self, piece: &[u8], doing: &str) -> Result<()> {
        self.wire.put(piece, doing)
    }

    /// Ends the COPY and gives the number of rows that the server counted.
    ///
    /// # Errors
    /// The server's: it took none of the rows then.
    pub fn put_end(&mut self, doing: &str) -> Result<u64> {
        self.wire.put_end(doing)
    }

    /// Gives the COPY up: the server takes back what it took.
    ///
    /// # Errors
    /// The connection's.
    pub fn put_abort(&mut self, doing: &str) -> Result<()> {
        self.wire.put_abort(doing)
    }

    /// Whether the connection is of no more use.
    pub fn is_broken(&self) -> bool {
        self.wire.is_broken()
    }

    /// What another thread needs to cancel this session's statement.
    pub fn canceller(&self) -> Canceller {
        self.wire.canceller()
    }
}

const PROCESS: &str = "SELECT pg_catalog.pg_backend_pid()";

impl Statements for Copier {
    fn execute(&mut self, sql: &str) -> Result<()> {
        self.wire.execute(sql, &refused(sql))
    }

    fn facts(&self) -> &ServerFacts {
        &self.facts
    }

    fn client_encoding(&self) -> &str {
        &self.client_encoding
    }
}
