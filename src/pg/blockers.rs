//! Who stands in the way of a session that waits for a lock.

use super::failure::server;
use super::record::{Record, Unread};
use super::session::{Session, shorten};
use crate::error::Result;
use crate::model::name::{Printable, QualifiedName};
use std::fmt;
use std::time::Duration;

/// The beginning of a blocker's statement that is shown, in characters.
const QUERY: usize = 80;

/// A session that waits, and those whom it waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// What it wants to lock, where that is known.
    pub object: Option<QualifiedName>,
    /// Whom it waits for; never empty.
    pub by: Vec<Blocker>,
}

/// A session, or a prepared transaction, that is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocker {
    /// Its server process; 0 stands for a prepared transaction.
    pub process: i32,
    /// The role, the application, and the state, as far as they may be seen.
    pub facts: Vec<String>,
    /// How long its transaction has been open.
    pub since: Option<Duration>,
    /// Its statement, the last one if it is idle.
    pub query: Option<String>,
}

/// Whom the session with this server process waits for, if it waits.
///
/// # Errors
/// The server's.
pub fn of(session: &mut Session, process: i32) -> Result<Option<Blocked>> {
    let failed = |error| server("cannot ask who holds the locks", error);
    let by = session
        .client
        .query(
            "SELECT DISTINCT blocker, a.usename::text, a.application_name, a.state,
                    pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - a.xact_start),
                    a.query
             FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids($1)) AS blocker
             LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = blocker
             ORDER BY 5 DESC NULLS LAST, 1",
            &[&process],
            |row| Blocker::read(row, row.at(0)?, 1),
        )
        .map_err(failed)?;
    if by.is_empty() {
        return Ok(None);
    }
    let object = session
        .client
        .query_opt(
            "SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_locks AS l
             JOIN pg_catalog.pg_class AS c ON c.oid = l.relation
             JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
             WHERE l.pid = $1 AND NOT l.granted LIMIT 1",
            &[&process],
            |row| row.name_at(0),
        )
        .map_err(failed)?;
    Ok(Some(Blocked { object, by }))
}

impl Blocker {
    /// The session with this server process, whose role, application, state, seconds in its transaction
    /// and statement are at `position` and after it.
    pub(super) fn read(row: &Record, process: i32, position: usize) -> Result<Self, Unread> {
        let said = |at: usize| -> Result<Option<String>, Unread> {
            Ok(row.at::<Option<String>>(position + at)?.filter(|text| !text.is_empty()))
        };
        let seconds: Option<f64> = row.at(position + 3)?;
        Ok(Self {
            process,
            facts: [said(0)?, said(1)?, said(2)?].into_iter().flatten().collect(),
            since: seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            query: said(4)?,
        })
    }
}

impl Blocked {
    /// What ends the waiting.
    pub fn remedy(&self) -> String {
        match self.by.first() {
            Some(Blocker { process: 0, .. }) => String::from(
                "end the prepared transaction (COMMIT PREPARED or ROLLBACK PREPARED, pg_prepared_xacts lists it)",
            ),
            Some(Blocker { process, .. }) => {
                format!("wait for it, or end it with SELECT pg_terminate_backend({process})")
            }
            None => String::from("look into pg_locks"),
        }
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(object) = &self.object {
            write!(out, "{object} is held by ")?;
        } else {
            out.write_str("the lock is held by ")?;
        }
        let by: Vec<String> = self.by.iter().map(ToString::to_string).collect();
        out.write_str(&crate::model::name::enumerate(&by))
    }
}

impl fmt::Display for Blocker {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.process == 0 {
            return out.write_str("a prepared transaction");
        }
        write!(out, "process {}", self.process)?;
        let mut facts = self.facts.clone();
        facts.extend(self.since.map(|since| format!("in a transaction for {} s", since.as_secs())));
        if !facts.is_empty() {
            write!(out, " ({})", Printable(&facts.join(", ")))?;
        }
        if let Some(query) = &self.query {
            let query = shorten(query);
            // A sentence goes on after it.
            let query = query.trim_end_matches([';', ' ']);
            let mut short: String = query.chars().take(QUERY).collect();
            if query.chars().count() > QUERY {
                short.push('…');
            }
            write!(out, ": {}", Printable(&short))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_in_the_way_is_named_on_one_line() {
        let blocker = Blocker {
            process: 4711,
            facts: vec![String::from("app"), String::from("psql"), String::from("active")],
            since: Some(Duration::from_millis(61_500)),
            query: Some(format!("ALTER TABLE t\n  ADD {}", "x".repeat(200))),
        };
        let blocked =
            Blocked { object: Some(QualifiedName::new("public", "t")), by: vec![blocker] };
        let said = blocked.to_string();
        assert!(said.starts_with(
            "public.t is held by process 4711 (app, psql, active, in a transaction for 61 s): ALTER TABLE t ADD xxx"
        ), "{said}");
        assert!(said.ends_with('…') && said.chars().count() < 200, "{said}");
        assert!(blocked.remedy().contains("pg_terminate_backend(4711)"));
        let idle = Blocker {
            process: 1,
            facts: Vec::new(),
            since: None,
            query: Some(String::from("SELECT 1; ")),
        };
        assert_eq!(idle.to_string(), "process 1: SELECT 1", "a sentence goes on after it");
        let prepared = Blocker { process: 0, facts: Vec::new(), since: None, query: None };
        let blocked = Blocked { object: None, by: vec![prepared] };
        assert_eq!(blocked.to_string(), "the lock is held by a prepared transaction");
        assert!(blocked.remedy().contains("ROLLBACK PREPARED"));
    }
}
