//! A throw-away PostgreSQL server from the programs on this machine: where they are, a new cluster,
//! and a server that ends with pgark, however that ends.

use super::child::{self, Program};
use crate::error::{Error, Kind, Result, quoted};
use std::ffi::OsString;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::time::Duration;

/// Folders in which packages put the programs of one major version.
const USUAL: &[(&str, &str)] = &[
    ("/usr/lib/postgresql", "bin"),
    ("/usr/libexec/postgresql", ""),
    ("/usr", "bin"),
    ("/opt/homebrew/opt", "bin"),
    ("/usr/local/opt", "bin"),
    ("/usr/local/pgsql", ""),
    ("/Applications/Postgres.app/Contents/Versions", "bin"),
];

/// The programs of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    /// Their folder.
    pub folder: PathBuf,
    /// Their major version.
    pub major: u32,
}

/// How to start a server.
pub struct Setup<'a> {
    /// Its programs.
    pub binaries: &'a Binaries,
    /// A folder of its own, which belongs to the user who runs it.
    pub folder: &'a Path,
    /// A file in it with the superuser's password.
    pub password_file: &'a Path,
    /// The user who runs it, if another than oneself.
    pub user: Option<(u32, u32)>,
}

/// A running server. Dropped, it is ended and its folder removed.
pub struct Server {
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// Its log.
    pub log: PathBuf,
    shell: Child,
    lifeline: Option<ChildStdin>,
}

/// The programs that suit a server of version `major` best: of the same version, or else of the
/// next newer one, or of the newest. `named` is the only folder to look into, if there is one.
///
/// # Errors
/// [`Kind::NotFound`] when there are none.
pub fn find(
    named: Option<&Path>,
    surroundings: &[(OsString, OsString)],
    major: u32,
) -> Result<Binaries> {
    let folders: Vec<PathBuf> = match named {
        Some(folder) => vec![folder.to_owned()],
        None => child::path_folders(surroundings).into_iter().chain(usual_folders()).collect(),
    };
    let mut found: Vec<Binaries> = Vec::new();
    for folder in folders {
        let (postgres, initdb) = (folder.join("postgres"), folder.join("initdb"));
        if !child::is_program(&postgres) || !child::is_program(&initdb) {
            continue;
        }
        if let Some(major) = version(&folder)
            && found.iter().all(|known| known.major != major)
        {
            found.push(Binaries { folder, major });
        }
    }
    found.sort_by_key(|binaries| match binaries.major {
        same_or_newer if same_or_newer >= major => (0, same_or_newer - major),
        older => (1, major - older),
    });
    found.into_iter().next().ok_or_else(|| {
        let error = Error::new(Kind::NotFound, "there are no programs of a PostgreSQL server here");
        match named {
            Some(folder) => error.hint(format!("{} has no postgres and initdb", folder.display())),
            None => error.hint(
                "install a PostgreSQL server, name the folder of initdb with --scratch-bin, or a server for scratch databases with --scratch URL or --scratch-here",
            ),
        }
    })
}

fn usual_folders() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for (above, below) in USUAL {
        folders.push(Path::new(above).join("bin"));
        let entries = std::fs::read_dir(above).into_iter().flatten().flatten();
        folders.extend(
            entries
                .filter(|entry| {
                    let name = entry.file_name().to_string_lossy().into_owned();
                    name.starts_with(|c: char| c.is_ascii_digit())
                        || name.starts_with("pgsql-")
                        || name.starts_with("postgresql")
                })
                .map(|entry| entry.path().join(below)),
        );
    }
    folders
}

/// The major version of the programs in a folder.
fn version(folder: &Path) -> Option<u32> {
    let program = Program {
        program: folder.join("postgres"),
        arguments: vec!["--version".into()],
        folder: folder.to_owned(),
        environment: environment(folder),
        user: None,
        patience: Duration::from_secs(10),
    };
    let said = child::run(&program, &mut || Ok(())).ok()?.stdout;
    let number =
        said.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Programs that were unpacked somewhere bring their libraries along.
fn environment(binaries: &Path) -> Vec<(OsString, OsString)> {
    let mut environment = vec![
        (OsString::from("PATH"), OsString::from("/usr/bin:/bin:/usr/sbin:/sbin")),
        (OsString::from("LC_ALL"), OsString::from("C")),
    ];
    let libraries = binaries.parent().map(|above| above.join("lib"));
    if let Some(libraries) = libraries.filter(|libraries| libraries.is_dir()) {
        environment.push((OsString::from("LD_LIBRARY_PATH"), libraries.into_os_string()));
    }
    environment
}

/// Makes a cluster and starts its server on a free port of 127.0.0.1. The server need not answer
/// yet.
///
/// # Errors
/// initdb's last words.
pub fn start(setup: &Setup<'_>, watch: &mut dyn FnMut() -> Result<()>) -> Result<Server> {
    let (data, log) = (setup.folder.join("data"), setup.folder.join("log"));
    let binaries = &setup.binaries.folder;
    let mut program = Program {
        program: binaries.join("initdb"),
        arguments: vec!["-D".into(), data.clone().into()],
        folder: setup.folder.to_owned(),
        environment: environment(binaries),
        user: setup.user,
        patience: Duration::from_secs(120),
    };
    let password = format!("--pwfile={}", setup.password_file.display());
    let more = ["-U", "postgres", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync"];
    program.arguments.extend(more.iter().map(OsString::from));
    program.arguments.push(password.into());
    let made = child::run(&program, watch)?;
    if !made.status.success() {
        return Err(Error::failed(format!("initdb failed:{}", quoted(&made.last_words())))
            .hint("name a server for scratch databases with --scratch URL or --scratch-here"));
    }
    let port = free_port()?;
    // The shell waits for the end of a pipe that only pgark keeps open, and then ends the server:
    // a pgark that is killed leaves nothing behind.
    program.program = PathBuf::from("/bin/sh");
    program.arguments = vec!["-c".into(), LIFELINE.into(), "pgark".into()];
    let parts = [binaries.join("postgres"), data, PathBuf::from(port.to_string()), log.clone()];
    program.arguments.extend(parts.into_iter().map(PathBuf::into_os_string));
    program.arguments.push(setup.folder.into());
    let mut shell = child::command(&program)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| Error::io("cannot start a throw-away server", error))?;
    let lifeline = shell.stdin.take();
    Ok(Server { port, log, shell, lifeline })
}

/// One transaction makes a whole schema: it needs room for the locks.
const LIFELINE: &str = "\
\"$1\" -D \"$2\" -p \"$3\" -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off \
 -c full_page_writes=off -c synchronous_commit=off -c autovacuum=off -c max_connections=50 \
 -c max_locks_per_transaction=2048 -c wal_level=minimal -c max_wal_senders=0 >\"$4\" 2>&1 </dev/null &
server=$!
read end
kill -INT $server
wait $server
rm -rf \"$5\"";

fn free_port() -> Result<u16> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| Error::io("cannot find a free port", error))
}

impl Server {
    /// Whether it has ended, and the end of its log then.
    pub fn ended(&mut self) -> Option<String> {
        // The shell itself waits for the end of pgark: ask for the server through its log alone.
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let fatal = log.lines().any(|line| line.contains("FATAL:  could not"));
        let gone = matches!(self.shell.try_wait(), Ok(Some(_)));
        (fatal || gone).then(|| log.lines().rev().take(5).collect::<Vec<_>>().join("; "))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        drop(self.shell.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_programs_is_named() {
        let error = find(Some(Path::new("/nonexistent")), &[], 15).unwrap_err();
        assert!(error.next_step().unwrap().contains("/nonexistent has no postgres"), "{error}");
    }
}
