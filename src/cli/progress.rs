//! What is told while a run runs, on standard error: a bar on a terminal, plain lines elsewhere;
//! with `--json`, events on standard output.

use super::events;
use super::output::STDERR;
use crate::error::{Error, Kind, Result};
use crate::model::connection::{Password, Person};
use crate::model::name::Printable;
use crate::ops::observer::{Item, Observer};
use indicatif::{HumanBytes, HumanCount};
use screen::Screen;
use serde_json::json;
use signal_hook::consts::SIGINT;
use std::io::{self, IsTerminal};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tally::{Done, Tally};

pub(super) mod lines;
mod prompt;
mod screen;
pub(super) mod tally;

/// How long the last line of a process that ends at once may take.
const LAST_WORD: Duration = Duration::from_millis(300);

/// How much is told, and how.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner {
    /// Warnings and errors alone.
    pub quiet: bool,
    /// Everything.
    pub verbose: bool,
    /// As JSON on standard output.
    pub json: bool,
    /// How often a run without a terminal says where it is.
    pub every: Duration,
}

/// Tells a person, a log, or a program.
pub struct Progress {
    manner: Manner,
    tally: Arc<Tally>,
    screen: Option<Screen>,
    ticker: Mutex<Option<Ticker>>,
}

/// A thread that says from time to time where the run is, until this goes away.
struct Ticker {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Progress {
    /// A bar if standard error is a terminal that can show one.
    pub fn new(manner: Manner) -> Self {
        let terminal = is_screen() && !manner.quiet && !manner.json;
        let tally = Arc::new(Tally::new(terminal || manner.verbose));
        let screen = terminal.then(|| Screen::new(Arc::clone(&tally)));
        Self { manner, tally, screen, ticker: Mutex::new(None) }
    }

    /// Takes the bar away, and says nothing more of its own accord.
    pub fn finish(&self) {
        let ticker = self.ticker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Ticker { stop, thread }) = ticker {
            drop(stop);
            // It has nothing to give; a panic of it has been told.
            drop(thread.join());
        }
        if let Some(screen) = &self.screen {
            screen.finish();
        }
        prompt::leave();
    }

    /// Says a last line, for the process ends at once. Whoever reads the terminal or the pipe may have
    /// stopped, and is not waited for.
    pub fn break_off(self: &Arc<Self>, line: String) {
        let (progress, (done, said)) = (Arc::clone(self), mpsc::channel::<()>());
        std::thread::spawn(move || {
            // A terminal that is being asked at must not stay without an echo.
            prompt::leave();
            if let Some(screen) = &progress.screen {
                screen.finish();
            }
            to_stderr(&line);
            drop(done);
        });
        // Either it has been said, or nobody listens.
        said.recv_timeout(LAST_WORD).ok();
    }

    /// Begins to say from time to time where the run is, where nothing else shows it.
    fn tick(&self) {
        if self.screen.is_some() || self.manner.quiet {
            return;
        }
        let mut ticker = self.ticker.lock().unwrap_or_else(PoisonError::into_inner);
        if ticker.is_some() {
            return;
        }
        let (stop, stopped) = mpsc::channel();
        let (tally, manner) = (Arc::clone(&self.tally), self.manner);
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(manner.every) == Err(RecvTimeoutError::Timeout) {
                let view = tally.view();
                match manner.json {
                    true => events::progress(&view),
                    false => to_stderr(&format!("pgark: {}", Printable(&lines::plain(&view)))),
                }
            }
        });
        *ticker = Some(Ticker { stop, thread });
    }

    fn say(&self, line: &str) {
        match &self.screen {
            Some(screen) => screen.above(|| to_stderr(line)),
            None => to_stderr(line),
        }
    }

    /// Something that is said to people and programs alike.
    fn tell(&self, event: &str, text: &str) {
        match self.manner.json {
            true => events::event(event, json!({"text": text})),
            false => self.say(&format!("pgark: {}", Printable(text))),
        }
    }
}

/// Whether standard error is a terminal whose lines can be drawn over.
fn is_screen() -> bool {
    let can_draw = std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
    io::stderr().is_terminal() && can_draw
}

/// Standard error may be closed; that is no reason for a backup to fail.
pub fn to_stderr(line: &str) {
    drop(STDERR.line(line));
}

impl Observer for Progress {
    fn phase(&self, what: &str, total: Option<u64>) {
        self.tally.phase(what, total);
        if self.manner.quiet {
            return;
        }
        self.tick();
        match &self.screen {
            Some(screen) => screen.show(),
            None if self.manner.json => {
                events::event("phase", json!({"phase": what, "bytes": total}));
            }
            None => self.say(&format!("pgark: {}", Printable(what))),
        }
    }

    fn expect(&self, total: u64) {
        self.tally.expect(total);
    }

    fn begin(&self, item: &Item<'_>) {
        self.tally.begin(item);
    }

    fn end(&self) {
        let Some(Done { name, rows, bytes }) = self.tally.end() else { return };
        if !self.manner.verbose {
            return;
        }
        if self.manner.json {
            events::event("done", json!({"name": name, "rows": rows, "bytes": bytes}));
            return;
        }
        let rows = if rows > 0 { format!("{} rows, ", HumanCount(rows)) } else { String::new() };
        self.say(&format!("pgark: {name}: {rows}{}", HumanBytes(bytes)));
    }

    fn moved(&self, rows: u64, bytes: u64) {
        self.tally.moved(rows, bytes);
    }

    fn detail(&self, text: &str) {
        if self.manner.verbose {
            self.tell("detail", text);
        }
    }

    fn note(&self, text: &str) {
        if !self.manner.quiet {
            self.tell("note", text);
        }
    }

    fn warn(&self, text: &str) {
        if self.manner.json && !self.manner.quiet {
            events::event("warning", json!({"text": text}));
        }
        // Also beside JSON: what should be looked after must reach the mail of cron.
        self.say(&format!("pgark: warning: {}", Printable(text)));
    }
}

impl Person for Progress {
    /// Asks on the terminal that pgark runs in, even where its input and output lead elsewhere.
    fn password(&self, question: &str) -> Result<Option<Password>> {
        let ask = || prompt::ask(question);
        let typed = match &self.screen {
            Some(screen) => screen.leave_to(ask),
            None => ask(),
        };
        match typed {
            Ok(password) => Ok(Some(Password::new(password))),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                Err(Error::new(Kind::Interrupted(SIGINT), "interrupted by a signal (SIGINT)"))
            }
            // No terminal, or its end.
            Err(_) => Ok(None),
        }
    }

    fn detail(&self, text: &str) {
        Observer::detail(self, text);
    }

    fn warn(&self, text: &str) {
        Observer::warn(self, text);
    }
}
