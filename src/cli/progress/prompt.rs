//! A password that is typed at the terminal, which shows nothing of it meanwhile. However the run
//! ends, the terminal is as it was before.

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use std::fs::File;
use std::io;
use std::sync::Mutex;

/// The terminal that is being asked at, as it was before.
static ASKING: Mutex<Option<(File, Termios)>> = Mutex::new(None);

/// The line that is typed in answer to `question`.
///
/// # Errors
/// Where there is no terminal, and [`io::ErrorKind::Interrupted`] for Ctrl-C.
pub fn ask(question: &str) -> io::Result<String> {
    let terminal = File::open("/dev/tty")?;
    let before = tcgetattr(&terminal)?;
    if let Ok(mut asking) = ASKING.lock() {
        *asking = Some((terminal, before));
    }
    let typed = rpassword::prompt_password(question);
    if let Ok(mut asking) = ASKING.lock() {
        // The crate has put it right itself.
        asking.take();
    }
    typed
}

/// Gives a terminal that is being asked at its ways back: the run ends, and nobody waits for the
/// answer any more.
pub fn leave() {
    if let Ok(mut asking) = ASKING.lock()
        && let Some((terminal, before)) = asking.take()
    {
        // Nothing can be done about a terminal that is gone.
        tcsetattr(&terminal, OptionalActions::Now, &before).ok();
        super::to_stderr("");
    }
}
