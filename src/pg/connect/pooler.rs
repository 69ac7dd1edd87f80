//! Whether a session keeps its server process.
//!
//! Behind a pooler in transaction mode, one session's transactions run in several processes, and
//! several sessions' transactions in one: settings, locks and snapshots would get lost, or would
//! stay in somebody else's session. So this is asked before anything is set.

use super::search::Search;
use super::settings::Wish;
use super::{Address, Opened, Target};
use crate::error::{Error, Kind, Result};
use crate::model::connection::Connection;
use crate::pg::client::Client;
use crate::pg::failure::server;
use std::sync::mpsc;
use std::time::Duration;

/// How long a second session may take to get a process; a pool whose sessions keep theirs may have
/// none left.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often the two sessions are compared.
const ROUNDS: usize = 3;

/// Fails for a session that does not keep its process.
///
/// PostgreSQL itself tells a new session the process that it has; what a pooler tells is made up.
/// Where the two differ, a second session begins a transaction: it has the first one's process, or
/// sends the first one to another, only where processes are shared.
///
/// # Errors
/// [`Kind::Server`], with what to use instead.
pub fn check(connection: &Connection, opened: &mut Opened) -> Result<()> {
    let target = &opened.target;
    let failed = |error| server("cannot ask for the server process", error);
    let own = process(&mut opened.client, "").map_err(failed)?;
    let known = |settled: &std::collections::BTreeSet<String>| settled.contains(&target.database);
    if own == Some(opened.key.process) || connection.settled.steady.lock().is_ok_and(|s| known(&s))
    {
        return Ok(());
    }
    let (say, hear) = mpsc::channel();
    let (done, wait) = mpsc::channel::<()>();
    let second = target.clone();
    // It may hang in a full pool, and is left to itself then.
    std::thread::spawn(move || beside(&second, &say, &wait));
    for _ in 0..ROUNDS {
        let Ok(other) = hear.recv_timeout(PATIENCE) else { break };
        // A pool of one process would let the first session wait for the second one's end.
        let shared = other.is_none() || other == own;
        if shared || process(&mut opened.client, "").map_err(failed)? != own {
            return Err(moves(target));
        }
        if done.send(()).is_err() {
            break;
        }
        if process(&mut opened.client, "").map_err(failed)? != own {
            return Err(moves(target));
        }
    }
    if let Ok(mut steady) = connection.settled.steady.lock() {
        steady.insert(target.database.clone());
    }
    Ok(())
}

/// A second session: says the process of each of its transactions, and ends each when told to. None
/// stands for a pooler that allows no transactions at all.
fn beside(target: &Target, say: &mpsc::Sender<Option<i32>>, wait: &mpsc::Receiver<()>) {
    let search = Search { wish: Wish::Any };
    // Where there is no second session to be had, nothing is shared with it.
    let Ok(mut opened) = search.run(std::slice::from_ref(target)) else { return };
    for _ in 0..ROUNDS {
        let process = match process(&mut opened.client, "BEGIN; ") {
            Ok(process) => process,
            // PgBouncer's words, which may get lost as it closes the connection; any other error
            // says nothing of processes.
            Err(error) if error.is_closed() || said(&error).contains("statement pooling") => None,
            Err(_) => return,
        };
        // In a full pool the first session may wait for this one's process.
        let told = say.send(process).is_ok()
            && wait.recv_timeout(PATIENCE) != Err(mpsc::RecvTimeoutError::Disconnected);
        if !told {
            return;
        }
        if opened.client.batch_execute("ROLLBACK").is_err() {
            // Thrown out for having begun a transaction: PgBouncer in statement mode says so only
            // after the statement.
            say.send(None).ok();
            return;
        }
    }
}

fn said(error: &tokio_postgres::Error) -> &str {
    error.as_db_error().map_or("", |error| error.message())
}

fn process(
    client: &mut Client,
    before: &str,
) -> std::result::Result<Option<i32>, tokio_postgres::Error> {
    let answer = client.simple_query(&format!("{before}SELECT pg_catalog.pg_backend_pid()"))?;
    Ok(answer.and_then(|process| process.parse().ok()))
}

/// The error for a session that does not keep its process.
fn moves(target: &Target) -> Error {
    Error::new(
        Kind::Server,
        format!(
            "{} is a connection pooler that moves sessions from one server process to another",
            target.address
        ),
    )
    .hint(advice(&target.address))
}

/// The error for a pooler that refuses the session for a parameter that PostgreSQL itself takes.
pub fn takes_no_options(target: &Target, error: tokio_postgres::Error) -> Error {
    server(
        format!("{} is a connection pooler that takes no options for the server", target.address),
        error,
    )
    .of_kind(Kind::Server)
    .hint(format!(
        "{}, in either case without options (PGOPTIONS) if it is a pool",
        advice(&target.address)
    ))
}

/// What to use instead, for the services that people have.
fn advice(address: &Address) -> String {
    let general = "connect to PostgreSQL itself, or to a pool in session mode";
    match address {
        Address::Tcp { host, .. }
            if host.split('.').next().is_some_and(|h| h.ends_with("-pooler")) =>
        {
            let direct = host.replacen("-pooler.", ".", 1);
            format!("{general}: the host is {direct}")
        }
        Address::Tcp { host, port: 6543, .. } if host.ends_with(".supabase.com") => {
            format!("{general}: the same host with port 5432")
        }
        _ => String::from(general),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_is_what_the_service_has() {
        let advice = |host: &str, port| {
            advice(&Address::Tcp { host: host.to_owned(), at: None, port, shuffled: false })
        };
        let neon = advice("ep-cool-1-pooler.eu-central-1.aws.neon.tech", 5432);
        assert!(neon.ends_with("the host is ep-cool-1.eu-central-1.aws.neon.tech"), "{neon}");
        let supabase = advice("aws-0-eu-central-1.pooler.supabase.com", 6543);
        assert!(supabase.ends_with("with port 5432"), "{supabase}");
        assert!(advice("db.example", 6432).ends_with("session mode"));
    }
}
