//! Scratch databases: on a server that was named, or on one that is started for the run. They are
//! gone when the run is.

use super::reach::Reach;
use crate::error::{Error, Kind, Result};
use crate::model::catalog::{Property, Value};
use crate::model::connection::Connection;
use crate::model::schema::{ObjectClass, SchemaObject};
use crate::model::server::ServerFacts;
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::Observer;
use crate::pg::connect::{Address, Encryption};
use crate::pg::database::{self, NewDatabase};
use crate::pg::ident::{literal, quote};
use crate::pg::roles;
use crate::pg::session::{Purpose, Session};
use crate::process::throwaway::{self, Server, Setup};
use crate::store::private_folder::PrivateFolder;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a throw-away server may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Begins the names of scratch databases.
const PREFIX: &str = "pgark_scratch_";

/// Their comment: what bears it is pgark's own, and of no use when nobody is connected to it.
const MARK: &str = "scratch database of a run of pgark, which drops it";

/// Where scratch databases are made.
pub enum Place {
    /// On a server that is started for the run, from the programs in this folder, or from those
    /// that are found on this machine.
    ThrowAway(Option<PathBuf>),
    /// On the server of this connection, whose role may create databases.
    Server(Box<Connection>),
}

/// A server on which scratch databases are made. Dropped, it drops them.
pub struct Scratch<'a> {
    connection: Connection,
    like: ServerFacts,
    server: Option<ThrowAway>,
    /// Drawn for this run: process ids are the same in all containers.
    run: String,
    made: Vec<Made>,
    observer: &'a dyn Observer,
}

struct Made {
    name: String,
    /// Connected to it for as long as this run lives: others drop what nobody is connected to.
    keeper: Option<Session>,
}

/// The server ends before its folder goes.
struct ThrowAway {
    runner: String,
    _server: Server,
    _folder: PrivateFolder,
}

impl<'a> Scratch<'a> {
    /// Finds or starts the server. Databases on it are to be like that of `like`.
    ///
    /// # Errors
    /// No programs of a server here; a server that does not start or cannot be reached.
    pub fn open(
        place: &Place,
        like: &ServerFacts,
        environment: &[(OsString, OsString)],
        observer: &'a dyn Observer,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let (connection, server, like) = match place {
            Place::Server(connection) => {
                let connection = connection.as_ref().clone();
                // A pooler may end the sessions that keep databases.
                Session::open(&connection, None, Purpose::Catalog)?.check_not_pooled()?;
                (connection, None, like.clone())
            }
            Place::ThrowAway(folder) => {
                let binaries = throwaway::find(folder.as_deref(), environment, like.major())?;
                if binaries.major != like.major() {
                    observer.warn(&format!(
                        "the scratch databases are of PostgreSQL {}, and the database is of {}",
                        binaries.major,
                        like.major()
                    ));
                }
                let (connection, server) = start(&binaries, interrupt)?;
                let like = ServerFacts {
                    collate: "C".into(),
                    ctype: "C".into(),
                    locale_provider: 'c',
                    locale: None,
                    ..like.clone()
                };
                (connection, Some(server), like)
            }
        };
        let run = hex::encode(rand::random::<[u8; 4]>());
        Ok(Self { connection, like, server, run, made: Vec::new(), observer })
    }

    /// Drops what runs that were killed have left on a named server.
    pub fn sweep(&self) -> Result<()> {
        if self.server.is_some() {
            return Ok(());
        }
        let mut session = Session::open(&self.connection, None, Purpose::Write)?;
        for name in marked(&mut session)? {
            // Somebody may come to it meanwhile, or it may be another role's: then it stays.
            let unused = database::sessions(&mut session, &name)? == 0;
            if unused && drop_unused(&mut session, &name).is_ok() {
                let what = format!("dropped \"{name}\", which a run that was killed has left");
                self.observer.note(&what);
            }
        }
        Ok(())
    }

    /// Makes the roles that are missing on a throw-away server; on others, they are for others to
    /// make. The answer is whether any was made.
    pub fn make_roles(&mut self, wanted: &BTreeSet<String>) -> Result<bool> {
        if self.server.is_none() {
            return Ok(false);
        }
        let there = self.roles()?;
        let missing: Vec<&String> =
            wanted.difference(&there).filter(|role| !role.starts_with("pg_")).collect();
        let mut session = Session::open(&self.connection, None, Purpose::Write)?;
        for role in &missing {
            session.execute(&format!("CREATE ROLE {}", quote(role)))?;
        }
        Ok(!missing.is_empty())
    }

    /// The role that all is run as, where it was drawn for this run.
    pub fn runner(&self) -> Option<&str> {
        self.server.as_ref().map(|server| server.runner.as_str())
    }

    /// The server's roles.
    pub fn roles(&self) -> Result<BTreeSet<String>> {
        let mut session = Session::open(&self.connection, None, Purpose::Catalog)?;
        roles::names(&mut session.client)
    }

    /// Makes an empty database and says how it is reached.
    pub fn database(&mut self, purpose: &str) -> Result<Reach> {
        let mut session = Session::open(&self.connection, None, Purpose::Write)?;
        let name = format!("{PREFIX}{}_{}_{purpose}", self.run, self.made.len());
        let new = NewDatabase {
            name: &name,
            like: &self.like,
            locale: None,
            icu_rules: None,
            owner: None,
            tablespace: None,
        };
        database::create(&mut session, &new).map_err(|error| match &self.server {
            Some(_) => error,
            None => {
                let next = "let pgark start a throw-away server from local programs";
                let next = match error.next_step() {
                    Some(first) => format!("{first}; or {next}"),
                    None => next.to_owned(),
                };
                error.while_doing("a scratch database cannot be made on that server").hint(next)
            }
        })?;
        self.made.push(Made { name: name.clone(), keeper: None });
        let keeper = Session::open(&self.connection, Some(&name), Purpose::Catalog)?;
        // Not before: what is marked and unused is swept.
        database::set_comment(&mut session, &name, MARK)?;
        let target = keeper.target();
        let (host, port) = match &target.address {
            Address::Unix { folder, port } => (folder.clone(), *port),
            Address::Tcp { host, port, .. } => (host.clone(), *port),
        };
        let reach = Reach {
            connection: self.connection.clone(),
            database: name,
            host,
            port,
            user: target.user.clone(),
            password: target.password.as_ref().map(|password| password.reveal().to_owned()),
            encrypted: target.encryption == [Encryption::Tls],
        };
        if let Some(made) = self.made.last_mut() {
            made.keeper = Some(keeper);
        }
        Ok(reach)
    }

    fn drop_all(&mut self) -> Result<()> {
        let mut session = Session::open(&self.connection, None, Purpose::Write)?;
        let mut failed = None;
        while let Some(Made { name, keeper }) = self.made.last_mut() {
            // A program that was stopped may still be connected.
            if let Some(mut keeper) = keeper.take() {
                drop(database::disconnect(&mut keeper, name));
            }
            if let Err(error) = drop_unused(&mut session, name) {
                failed.get_or_insert(error);
            }
            self.made.pop();
        }
        failed.map_or(Ok(()), Err)
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        // A throw-away server takes its databases with it.
        if self.server.is_some() || self.made.is_empty() {
            return;
        }
        if let Err(error) = self.drop_all() {
            let names = format!("{PREFIX}{}_…", self.run);
            self.observer.warn(&format!(
                "scratch databases are left, whose names begin with \"{names}\" ({})",
                error.in_full()
            ));
        }
    }
}

/// Whether it is the comment of a scratch database.
pub fn is_mark(object: &SchemaObject) -> bool {
    let mark = Value::from(MARK);
    object.class == ObjectClass::DatabaseComment
        && object.descriptions.iter().any(|d| d.properties.get(&Property::Comment) == Some(&mark))
}

/// The scratch databases on a server, of whatever run.
pub fn marked(session: &mut Session) -> Result<Vec<String>> {
    database::commented(session, PREFIX, MARK)
}

/// Drops a database that nobody is connected to.
fn drop_unused(session: &mut Session, name: &str) -> Result<()> {
    session.execute(&format!("DROP DATABASE IF EXISTS {}", quote(name)))
}

fn start(binaries: &throwaway::Binaries, interrupt: &Interrupt) -> Result<(Connection, ThrowAway)> {
    let folder = PrivateFolder::create()?;
    let password = hex::encode(rand::random::<[u8; 16]>());
    let password_file = folder.write("password", password.as_bytes())?;
    let user = server_user()?;
    if let Some((user, group)) = user {
        folder.give_to(user, group)?;
    }
    let setup = Setup { binaries, folder: folder.path(), password_file: &password_file, user };
    let mut server = throwaway::start(&setup, &mut || interrupt.check())?;
    let port = server.port;
    let connection = |role: &str| Connection {
        string: format!(
            "host=127.0.0.1 port={port} user={role} password={password} dbname=postgres sslmode=disable"
        ),
        ..Connection::default()
    };
    let mut session = first_session(&connection("postgres"), &mut server, interrupt)?;
    // Revisions may name postgres, as an owner for instance, and mean that role and nobody else. Short,
    // since they may put it into a narrow column.
    let runner = format!("pgark_{}", hex::encode(rand::random::<[u8; 4]>()));
    session.execute(&format!(
        "CREATE ROLE {} SUPERUSER LOGIN PASSWORD {}",
        quote(&runner),
        literal(&password)
    ))?;
    let connection = connection(&runner);
    Ok((connection, ThrowAway { runner, _server: server, _folder: folder }))
}

/// A session on a server that has just been started, as soon as it answers.
fn first_session(
    connection: &Connection,
    server: &mut Server,
    interrupt: &Interrupt,
) -> Result<Session> {
    let begun = Instant::now();
    loop {
        interrupt.check()?;
        match Session::open(connection, None, Purpose::Write) {
            Ok(session) => return Ok(session),
            Err(error) if begun.elapsed() > PATIENCE => {
                return Err(error.while_doing("the throw-away server does not answer"));
            }
            Err(_) => {}
        }
        if let Some(log) = server.ended() {
            return Err(Error::failed(format!("the throw-away server does not start: {log}")));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// PostgreSQL refuses to run as root: another user of this machine runs it then.
fn server_user() -> Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = ["postgres", "nobody"].iter().find_map(|name| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2);
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    });
    found.map(Some).ok_or_else(|| {
        Error::new(Kind::Refused, "PostgreSQL does not run as root, and there is no user postgres")
            .hint("run pgark as another user, or name a server with --scratch URL")
    })
}
