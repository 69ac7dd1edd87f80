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
use std::time::Duration;

/// How often the lines are drawn anew.
const TICK: Duration = Duration::from_millis(200);

/// The lines at the bottom of a terminal.
pub struct Screen(ProgressBar);

impl Screen {
    /// Draws nothing yet.
    pub fn new(tally: Arc<Tally>) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
        let write = move |_: &ProgressState, out: &mut dyn fmt::Write| {
            let (height, width) = Term::stderr().size();
            let lines = lines::screen(&tally.view(), width.into(), height.into());
            // A screen that cannot be written to is no failure.
            out.write_str(&lines.join("\n")).ok();
        };
        let style = ProgressStyle::with_template("{lines}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.with_key("lines", write));
        Self(bar)
    }

    /// Draws, and goes on drawing.
    pub fn show(&self) {
        self.0.enable_steady_tick(TICK);
        self.0.tick();
    }

    /// Does what writes to the terminal, above the lines.
    pub fn above<T>(&self, write: impl FnOnce() -> T) -> T {
        self.0.suspend(write)
    }

    /// Takes the lines away.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}
