//! Scratch databases: on a server that was named, or on one that is started for the run. They are
//! gone when the run is.

use super::alembic::Reach;
use crate::error::{Error, Kind, Result};
use crate::model::catalog::{Property, Value};
use crate::model::connection::Connection;
use crate::model::schema::{ObjectClass, SchemaObject};
use crate::model::server::ServerFacts;
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::Observer;
use crate::pg::connect::{Address, Encryption};
use crate::pg::database::{self, NewDatabase};
use crate::pg::ident::quote;
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
pub struct Scratch {
    connection: Connection,
    like: ServerFacts,
    server: Option<ThrowAway>,
    made: Vec<String>,
    keepers: Vec<Session>,
}

/// The server ends before its folder goes.
struct ThrowAway {
    _server: Server,
    _folder: PrivateFolder,
}

impl Scratch {
    /// Finds or starts the server. Databases on it are to be like that of `like`.
    ///
    /// # Errors
    /// No programs of a server here; a server that does not start or cannot be reached.
    pub fn open(
        place: &Place,
        like: &ServerFacts,
        environment: &[(OsString, OsString)],
        observer: &dyn Observer,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let like = like.clone();
        match place {
            Place::Server(connection) => {
                let connection = connection.as_ref().clone();
                let mut session = Session::open(&connection, None, Purpose::Write)?;
                sweep(&mut session, observer)?;
                Ok(Self { connection, like, server: None, made: Vec::new(), keepers: Vec::new() })
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
                let mut scratch = Self {
                    connection,
                    like: ServerFacts { collate: "C".into(), ctype: "C".into(), ..like },
                    server: Some(server),
                    made: Vec::new(),
                    keepers: Vec::new(),
                };
                scratch.like.locale_provider = 'c';
                scratch.like.locale = None;
                Ok(scratch)
            }
        }
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

    /// The server's roles.
    pub fn roles(&self) -> Result<BTreeSet<String>> {
        let mut session = Session::open(&self.connection, None, Purpose::Catalog)?;
        roles::names(&mut session.client)
    }

    /// Makes an empty database and says how it is reached.
    pub fn database(&mut self, purpose: &str) -> Result<Reach> {
        let mut session = Session::open(&self.connection, None, Purpose::Write)?;
        let number = std::process::id();
        let name = format!("{PREFIX}{number}_{}_{purpose}", self.made.len());
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
            None => error.while_doing("a scratch database cannot be made on that server").hint(
                "the role needs CREATEDB; or let pgark start a throw-away server from local programs",
            ),
        })?;
        self.made.push(name.clone());
        // Connected to for as long as this run lives: others drop what nobody is connected to.
        let keeper = Session::open(&self.connection, Some(&name), Purpose::Catalog)?;
        database::set_comment(&mut session, &name, MARK)?;
        let session = &keeper;
        let target = session.target();
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
        self.keepers.push(keeper);
        Ok(reach)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.keepers.clear();
        // A throw-away server takes its databases with it.
        if self.server.is_some() || self.made.is_empty() {
            return;
        }
        let Ok(mut session) = Session::open(&self.connection, None, Purpose::Write) else { return };
        for name in &self.made {
            // A program that was stopped may still be connected.
            drop(database::disconnect(&mut session, name));
            drop(database::remove(&mut session, name));
        }
    }
}

/// Whether it is the comment of a scratch database.
pub fn is_mark(object: &SchemaObject) -> bool {
    let mark = Value::from(MARK);
    object.class == ObjectClass::DatabaseComment
        && object.descriptions.iter().any(|d| d.properties.get(&Property::Comment) == Some(&mark))
}

/// Drops scratch databases of runs that were killed.
fn sweep(session: &mut Session, observer: &dyn Observer) -> Result<()> {
    for name in database::commented(session, PREFIX, MARK)? {
        // Somebody may come to it meanwhile, or it may be another role's: then it stays.
        let unused = database::sessions(session, &name)? == 0;
        if unused && session.execute(&format!("DROP DATABASE {}", quote(&name))).is_ok() {
            observer.note(&format!("dropped \"{name}\", which a run that was killed has left"));
        }
    }
    Ok(())
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
    let connection = Connection {
        string: format!(
            "host=127.0.0.1 port={} user=postgres password={password} dbname=postgres sslmode=disable",
            server.port
        ),
        ..Connection::default()
    };
    let begun = Instant::now();
    loop {
        interrupt.check()?;
        match Session::open(&connection, None, Purpose::Catalog) {
            Ok(_) => break,
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
    Ok((connection, ThrowAway { _server: server, _folder: folder }))
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
