//! The bar on a terminal, and a line below it for every busy worker.
//!
//! Only the cursor is moved and nothing is coloured, so that light and dark backgrounds are alike
//! and NO_COLOR has nothing to forbid.

use super::lines;
use super::tally::Tally;
use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often the lines are drawn anew.
const TICK: Duration = Duration::from_millis(200);

/// The lines at the bottom of a terminal.
pub struct Screen {
    bar: ProgressBar,
    /// Nothing is drawn: something else has the terminal.
    away: Arc<AtomicBool>,
}

impl Screen {
    /// Draws nothing yet.
    pub fn new(tally: Arc<Tally>) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
        let away = Arc::new(AtomicBool::new(false));
        let is_away = Arc::clone(&away);
        let write = move |_: &ProgressState, out: &mut dyn fmt::Write| {
            if is_away.load(Ordering::SeqCst) {
                return;
            }
            let (height, width) = Term::stderr().size();
            let lines = lines::screen(&tally.view(), width.into(), height.into());
            // A screen that cannot be written to is no failure.
            out.write_str(&lines.join("\n")).ok();
        };
        let style = ProgressStyle::with_template("{lines}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.with_key("lines", write));
        Self { bar, away }
    }

    /// Draws, and goes on drawing.
    pub fn show(&self) {
        self.bar.enable_steady_tick(TICK);
        self.bar.tick();
    }

    /// Does what writes to the terminal, above the lines.
    pub fn above<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }

    /// Leaves the terminal to something that takes long, and may never end.
    pub fn leave_to<T>(&self, ask: impl FnOnce() -> T) -> T {
        self.away.store(true, Ordering::SeqCst);
        self.bar.disable_steady_tick();
        // Takes away what was drawn.
        self.bar.tick();
        let answer = ask();
        self.away.store(false, Ordering::SeqCst);
        self.show();
        answer
    }

    /// Takes the lines away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
