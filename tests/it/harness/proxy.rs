//! A way to a server that fails: it passes bytes on until it is told to fall silent or to break.

use super::server::Server;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// How soon a command is obeyed.
const GLANCE: Duration = Duration::from_millis(20);

/// TCP on this machine that leads to a server's socket.
pub struct Proxy {
    port: u16,
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
        let state = Arc::new(State::default());
        let socket = server.folder().join(format!(".s.PGSQL.{}", server.port()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || accept(&listener, &socket, &shared));
        Self { port, state }
    }

    /// A connection string for a database of the server, as superuser, in the clear.
    pub fn url(&self, database: &str) -> String {
        format!("host=127.0.0.1 port={} dbname={database} user=postgres sslmode=disable", self.port)
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
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

fn accept(listener: &TcpListener, socket: &PathBuf, state: &Arc<State>) {
    for client in listener.incoming() {
        let Ok(client) = client else { return };
        if state.ended.load(Ordering::SeqCst) {
            return;
        }
        let number = state.accepted.fetch_add(1, Ordering::SeqCst);
        let Ok(server) = UnixStream::connect(socket) else { continue };
        client.set_read_timeout(Some(GLANCE)).unwrap();
        server.set_read_timeout(Some(GLANCE)).unwrap();
        let pairs = (client.try_clone().unwrap(), server.try_clone().unwrap());
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

/// What can be shut down.
trait Socket: Read + Write {
    fn close(&self);
}

impl Socket for TcpStream {
    fn close(&self) {
        drop(self.shutdown(Shutdown::Both));
    }
}

impl Socket for UnixStream {
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
