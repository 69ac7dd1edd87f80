//! pgark at a real terminal, and what is to be seen there.

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::io::{Read, Write};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal with a program in it.
pub struct Terminal {
    screen: Arc<Mutex<Seen>>,
    keyboard: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
}

struct Seen {
    parser: vt100::Parser,
    /// The screens that were to be seen, each once.
    history: Vec<String>,
    bytes: Vec<u8>,
}

impl Terminal {
    /// Runs a command at a terminal of this size, whose TERM is `xterm` unless it sets another.
    pub fn run(command: &Command, rows: u16, cols: u16) -> Self {
        let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut builder = CommandBuilder::new(command.get_program());
        builder.args(command.get_args());
        builder.env("TERM", "xterm");
        builder.env_remove("NO_COLOR");
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => builder.env(name, value),
                None => builder.env_remove(name),
            }
        }
        if let Some(folder) = command.get_current_dir() {
            builder.cwd(folder);
        }
        let child = pair.slave.spawn_command(builder).unwrap();
        drop(pair.slave);
        let mut output = pair.master.try_clone_reader().unwrap();
        let keyboard = pair.master.take_writer().unwrap();
        let parser = vt100::Parser::new(rows, cols, 200);
        let seen = Seen { parser, history: Vec::new(), bytes: Vec::new() };
        let screen = Arc::new(Mutex::new(seen));
        let shared = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // The terminal ends with an error when the program does.
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                let mut seen = shared.lock().unwrap();
                seen.parser.process(&buffer[..count]);
                seen.bytes.extend_from_slice(&buffer[..count]);
                let now = contents(&seen.parser);
                if seen.history.last() != Some(&now) {
                    seen.history.push(now);
                }
            }
        });
        Self { screen, keyboard, child, master: pair.master }
    }

    /// What is to be seen.
    pub fn screen(&self) -> String {
        contents(&self.screen.lock().unwrap().parser)
    }

    /// All that was ever to be seen.
    pub fn history(&self) -> Vec<String> {
        self.screen.lock().unwrap().history.clone()
    }

    /// The bytes as they came.
    pub fn bytes(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap().bytes).into_owned()
    }

    /// Waits until something is to be seen, and gives the screen.
    #[track_caller]
    pub fn wait_for(&self, what: &str, seen: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let screen = self.screen();
            if seen(&screen) {
                return screen;
            }
            assert!(begun.elapsed() < PATIENCE, "never {what}:\n{screen}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Types something.
    pub fn type_in(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
    }

    /// Makes the terminal another size.
    pub fn resize(&self, rows: u16, cols: u16) {
        let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
        self.master.resize(size).unwrap();
        self.screen.lock().unwrap().parser.screen_mut().set_size(rows, cols);
    }

    /// The program's process.
    pub fn process(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    /// Whether what is typed is shown.
    pub fn echoes(&self) -> bool {
        use rustix::termios::{LocalModes, tcgetattr};
        let name = self.master.tty_name().unwrap();
        let terminal = std::fs::File::open(name).unwrap();
        tcgetattr(&terminal).unwrap().local_modes.contains(LocalModes::ECHO)
    }

    /// Waits for the program's end and gives its exit code, and the last screen.
    #[track_caller]
    pub fn end(&mut self) -> (u32, String) {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end:\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(10));
        };
        // What it wrote last may still be on its way.
        std::thread::sleep(Duration::from_millis(100));
        (status.exit_code(), self.screen())
    }
}

/// The rows of the screen, without what is empty at their ends.
fn contents(parser: &vt100::Parser) -> String {
    let (_, cols) = parser.screen().size();
    let rows: Vec<String> =
        parser.screen().rows(0, cols).map(|row| row.trim_end().to_owned()).collect();
    rows.join("\n").trim_end().to_owned()
}
