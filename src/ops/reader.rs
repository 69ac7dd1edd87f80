//! Who reads the rows that are planned: workers under the leader's snapshot, and the leader itself
//! where a worker cannot have a lock.

use super::interrupt::Interrupt;
use super::plan::{Piece, Plan};
use crate::error::{Kind, Result};
use crate::model::connection::Connection;
use crate::model::server::ServerFacts;
use crate::pg::copier::Copier;
use crate::pg::copy::{self, RowSource};
use crate::pg::session::{Purpose, Session};
use crate::pg::snapshot;
use crate::pg::wire::Sink;
use std::collections::BTreeSet;

/// A connection that shares a snapshot, and the tables of the plan that it has locked.
pub struct Reader {
    copier: Copier,
    locked: BTreeSet<usize>,
}

impl Reader {
    /// Connects; rows come in `encoding`.
    ///
    /// # Errors
    /// The server's, and the interruption.
    pub fn open(
        connection: &Connection,
        database: Option<&str>,
        snapshot: &str,
        encoding: &str,
        facts: &ServerFacts,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let mut copier = interrupt.open_copier(connection, database, Purpose::Read, facts)?;
        snapshot::join(&mut copier, snapshot)?;
        copier.check_not_pooled()?;
        copier.use_encoding(encoding)?;
        Ok(Self { copier, locked: BTreeSet::new() })
    }

    /// Reads pieces one after the other. `false`: a lock was not to be had at once.
    ///
    /// # Errors
    /// The server's, and those of `sink`, with which the connection is of no more use.
    pub fn read(&mut self, plan: &Plan, pieces: &[Piece], sink: &mut dyn Sink) -> Result<bool> {
        let tables = &plan.tables;
        let new: BTreeSet<usize> = pieces.iter().map(|piece| piece.table).collect();
        let new: Vec<usize> = new.difference(&self.locked).copied().collect();
        let to_lock: Vec<_> = new.iter().map(|table| &tables[*table].name).collect();
        let sources: Vec<RowSource<'_>> =
            pieces.iter().map(|piece| tables[piece.table].rows(piece.pages)).collect();
        let mut watched = Watched { sink, is_begun: false };
        match copy::copy_out_all(&mut self.copier, &to_lock, &sources, &mut watched) {
            Ok(()) => {
                self.locked.extend(new);
                Ok(true)
            }
            // Rows that have gone to the sink must not go there again.
            Err(error) if error.kind() == Kind::Locked && !watched.is_begun => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// A sink of which is known whether any rows have begun to go there.
struct Watched<'a> {
    sink: &'a mut dyn Sink,
    is_begun: bool,
}

impl Sink for Watched<'_> {
    fn begin(&mut self) -> Result<()> {
        self.is_begun = true;
        self.sink.begin()
    }

    fn rows(&mut self, piece: &[u8]) -> Result<()> {
        self.sink.rows(piece)
    }

    fn end(&mut self, count: u64) -> Result<()> {
        self.sink.end(count)
    }
}

/// Lets the leader, which otherwise reads the catalogs, read rows in `encoding`. It holds every lock,
/// so it never queues behind whoever waits for the leader.
///
/// # Errors
/// The server's, and those of `read`.
pub fn by_leader<T>(
    leader: &mut Session,
    encoding: &str,
    read: impl FnOnce(&mut Session) -> Result<T>,
) -> Result<T> {
    leader.use_encoding(encoding)?;
    leader.execute("SET quote_all_identifiers = off")?;
    let result = read(leader)?;
    leader.use_encoding("UTF8")?;
    leader.execute("SET quote_all_identifiers = on")?;
    Ok(result)
}
