//! A way to a server that fails: it passes bytes on until it is told to fall silent or to break.

use super::server::Server;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// How soon a command is obeyed.
const GLANCE: Duration = Duration::from_millis(20);

/// TCP on this machine, or a socket in a folder of its own, that leads to a server's socket.
pub struct Proxy {
    port: u16,
    folder: Option<tempfile::TempDir>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    accepted: AtomicUsize,
    /// Connections with smaller numbers pass nothing on any more.
    silent: AtomicUsize,
    /// Connections with smaller numbers are closed.
    cut: AtomicUsize,
    ended: AtomicBool,
}

impl Proxy {
    pub fn to(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (state, there) = (Arc::new(State::default()), socket_of(server));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || accept(listener.incoming(), &there, &shared));
        Self { port, folder: None, state }
    }

    /// The same on a socket.
    pub fn on_socket(server: &Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(socket(folder.path(), server.port())).unwrap();
        let (state, there) = (Arc::new(State::default()), socket_of(server));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || accept(listener.incoming(), &there, &shared));
        Self { port: server.port(), folder: Some(folder), state }
    }

    /// A connection string for a database of the server, as superuser, in the clear.
    pub fn url(&self, database: &str) -> String {
        let host =
            self.folder.as_ref().map_or("127.0.0.1", |folder| folder.path().to_str().unwrap());
        format!("host={host} port={} dbname={database} user=postgres sslmode=disable", self.port)
    }

    /// All connections, those to come, too, pass nothing on, and stay open.
    pub fn silence_all(&self) {
        self.state.silent.store(usize::MAX, Ordering::SeqCst);
    }

    /// The connections that there are pass nothing on, and stay open.
    pub fn silence_old(&self) {
        self.state.silent.store(self.state.accepted.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// The connections that there are break.
    pub fn cut(&self) {
        self.state.cut.store(self.state.accepted.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        // Wakes whoever accepts.
        match &self.folder {
            None => drop(TcpStream::connect(("127.0.0.1", self.port))),
            Some(folder) => drop(UnixStream::connect(socket(folder.path(), self.port))),
        }
    }
}

fn socket(folder: &Path, port: u16) -> PathBuf {
    folder.join(format!(".s.PGSQL.{port}"))
}

fn socket_of(server: &Server) -> PathBuf {
    socket(server.folder(), server.port())
}

fn accept<S: Socket>(
    clients: impl Iterator<Item = io::Result<S>>,
    socket: &Path,
    state: &Arc<State>,
) {
    for client in clients {
        let Ok(client) = client else { return };
        if state.ended.load(Ordering::SeqCst) {
            return;
        }
        let number = state.accepted.fetch_add(1, Ordering::SeqCst);
        let Ok(server) = UnixStream::connect(socket) else { continue };
        let pairs = (client.same(), server.same());
        let there = Arc::clone(state);
        std::thread::spawn(move || {
            pump(client, server, number, &there);
        });
        let back = Arc::clone(state);
        std::thread::spawn(move || {
            pump(pairs.1, pairs.0, number, &back);
        });
    }
}

/// What can be read for a moment on one thread, written on another, and shut down.
trait Socket: Read + Write + Send + Sized + 'static {
    fn same(&self) -> Self;
    fn close(&self);
}

impl Socket for TcpStream {
    fn same(&self) -> Self {
        self.set_read_timeout(Some(GLANCE)).unwrap();
        self.try_clone().unwrap()
    }

    fn close(&self) {
        drop(self.shutdown(Shutdown::Both));
    }
}

impl Socket for UnixStream {
    fn same(&self) -> Self {
        self.set_read_timeout(Some(GLANCE)).unwrap();
        self.try_clone().unwrap()
    }

    fn close(&self) {
        drop(self.shutdown(Shutdown::Both));
    }
}

fn pump(mut from: impl Socket, mut to: impl Socket, number: usize, state: &State) {
    let mut buffer = [0; 1 << 16];
    loop {
        let told = |limit: &AtomicUsize| number < limit.load(Ordering::SeqCst);
        if told(&state.cut) || state.ended.load(Ordering::SeqCst) {
            break;
        }
        if told(&state.silent) {
            std::thread::sleep(GLANCE);
            continue;
        }
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) if to.write_all(&buffer[..count]).is_err() => break,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    from.close();
    to.close();
}
