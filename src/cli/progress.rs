//! What is told while a run runs: a bar on a terminal, plain lines elsewhere, all of it on
//! standard error.

use crate::error::{Error, Kind, Result};
use crate::model::connection::{Password, Person};
use crate::ops::observer::Observer;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use signal_hook::consts::SIGINT;
use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often a run without a terminal says where it is.
const LINE_EVERY: Duration = Duration::from_secs(60);

/// Tells a person, or a log.
pub struct Progress {
    quiet: bool,
    bar: Option<ProgressBar>,
    state: Mutex<State>,
    rows: AtomicU64,
    bytes: AtomicU64,
}

struct State {
    phase: String,
    said: Instant,
}

impl Progress {
    /// A bar if standard error is a terminal that can show one.
    pub fn new(quiet: bool) -> Self {
        let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
        let terminal = std::io::stderr().is_terminal() && !dumb;
        Self {
            quiet,
            bar: (terminal && !quiet).then(ProgressBar::no_length),
            state: Mutex::new(State { phase: String::new(), said: Instant::now() }),
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| to_stderr(line)),
            None => to_stderr(line),
        }
    }
}

/// Standard error may be closed; that is no reason for a backup to fail.
pub fn to_stderr(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}

impl Observer for Progress {
    fn phase(&self, what: &str, total: Option<u64>) {
        self.rows.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
        if let Ok(mut state) = self.state.lock() {
            state.phase = what.to_owned();
            state.said = Instant::now();
        }
        if self.quiet {
            return;
        }
        let Some(bar) = &self.bar else { return self.say(&format!("pgark: {what}")) };
        bar.reset();
        match total {
            Some(total) => {
                bar.set_length(total);
                bar.set_style(style("{spinner} {prefix} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta} {msg}"));
            }
            None => {
                bar.unset_length();
                bar.set_style(style("{spinner} {prefix} {elapsed} {msg}"));
            }
        }
        bar.set_message("");
        bar.set_prefix(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
    }

    fn moved(&self, rows: u64, bytes: u64) {
        let rows = self.rows.fetch_add(rows, Ordering::Relaxed) + rows;
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if self.quiet {
            return;
        }
        if let Some(bar) = &self.bar {
            // The total is an estimate from table sizes, and may be too small.
            if bar.length().is_some_and(|length| length < bytes) {
                bar.set_length(bytes);
            }
            bar.set_position(bytes);
            if rows > 0 {
                bar.set_message(format!("{} rows", HumanCount(rows)));
            }
            return;
        }
        let Ok(mut state) = self.state.lock() else { return };
        if state.said.elapsed() >= LINE_EVERY {
            state.said = Instant::now();
            to_stderr(&format!(
                "pgark: {}: {} rows, {}",
                state.phase,
                HumanCount(rows),
                HumanBytes(bytes)
            ));
        }
    }

    fn note(&self, text: &str) {
        if !self.quiet {
            self.say(&format!("pgark: {text}"));
        }
    }

    fn warn(&self, text: &str) {
        self.say(&format!("pgark: warning: {text}"));
    }
}

impl Person for Progress {
    /// Asks on the terminal that pgark runs in, even where its input and output lead elsewhere.
    fn password(&self, question: &str) -> Result<Option<Password>> {
        let ask = || rpassword::prompt_password(question);
        let typed = match &self.bar {
            Some(bar) => bar.suspend(ask),
            None => ask(),
        };
        match typed {
            Ok(password) => Ok(Some(Password::new(password))),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                Err(Error::new(Kind::Interrupted(SIGINT), "interrupted by a signal"))
            }
            // No terminal, or its end.
            Err(_) => Ok(None),
        }
    }

    fn warn(&self, text: &str) {
        Observer::warn(self, text);
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}
