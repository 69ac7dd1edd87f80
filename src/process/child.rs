//! Runs another program to its end, and ends it when the run does.

use crate::error::{Error, Kind, Result};
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How much of what a program says is kept: the end, where errors are.
const KEPT: usize = 256 << 10;

/// How often a running program is looked after.
const TICK: Duration = Duration::from_millis(50);

/// How long a program's output may stay open after its end: something that it started holds it.
const DRAIN: Duration = Duration::from_secs(2);

/// A program to run.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its path, or its name to look for in PATH.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// The folder to run it in.
    pub folder: PathBuf,
    /// All of its environment.
    pub environment: Vec<(OsString, OsString)>,
    /// User and group to run it as, if others than one's own.
    pub user: Option<(u32, u32)>,
    /// After how long it is ended.
    pub patience: Duration,
}

/// A program that has ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// How.
    pub status: ExitStatus,
    /// The end of what it wrote to standard output.
    pub stdout: String,
    /// The end of what it wrote to standard error.
    pub stderr: String,
}

impl Ended {
    /// The last lines of what it said, standard error first if there is any.
    pub fn last_words(&self) -> String {
        let said = if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
        let lines: Vec<&str> = said.trim().lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

/// Runs a program. `watch` is called again and again while it runs; its error ends the program,
/// with all that it has started.
///
/// # Errors
/// The program cannot be started, or takes too long; what `watch` says. A program that fails is
/// no error here.
pub fn run(program: &Program, watch: &mut dyn FnMut() -> Result<()>) -> Result<Ended> {
    let name = program.program.display();
    let failed = |error| Error::io(format!("cannot run {name}"), error);
    let mut child = command(program)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            break status;
        }
        let late = begun.elapsed() > program.patience;
        let watched = match late {
            false => watch(),
            true => Err(Error::new(
                Kind::Failed,
                format!(
                    "{name} has not ended after {} s, and was stopped",
                    begun.elapsed().as_secs()
                ),
            )
            .hint("look what it waits for, or give it more time")),
        };
        if let Err(error) = watched {
            end(&mut child);
            return Err(error);
        }
        std::thread::sleep(TICK);
    };
    let said = |output: Receiver<Vec<u8>>| {
        String::from_utf8_lossy(&output.recv_timeout(DRAIN).unwrap_or_default()).into_owned()
    };
    Ok(Ended { status, stdout: said(stdout), stderr: said(stderr) })
}

/// The program, in a process group of its own: a Ctrl-C at the terminal reaches pgark alone, which
/// then ends it in order.
pub(super) fn command(program: &Program) -> Command {
    let mut command = Command::new(&program.program);
    command
        .args(&program.arguments)
        .current_dir(&program.folder)
        .env_clear()
        .envs(program.environment.iter().map(|(name, value)| (name, value)))
        .process_group(0);
    if let Some((user, group)) = program.user {
        command.uid(user).gid(group);
    }
    command
}

/// Ends a program and all that it has started.
fn end(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        // It may be gone already.
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL)
            .unwrap_or_default();
    }
    drop(child.wait());
}

/// Reads to the end, and keeps the last of it.
fn drain(output: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        if let Some(mut output) = output {
            let mut piece = [0; 8192];
            while let Ok(read @ 1..) = output.read(&mut piece) {
                kept.extend_from_slice(&piece[..read]);
                let surplus = kept.len().saturating_sub(KEPT);
                if surplus > KEPT {
                    kept.drain(..surplus);
                }
            }
        }
        // Nobody listens any more if the program was given up.
        drop(sender.send(kept));
    });
    receiver
}

/// The value of a variable in an environment.
pub fn variable<'a>(environment: &'a [(OsString, OsString)], name: &str) -> Option<&'a OsString> {
    environment.iter().find(|(known, _)| known == name).map(|(_, value)| value)
}

/// The folders of an environment's PATH.
pub fn path_folders(environment: &[(OsString, OsString)]) -> Vec<PathBuf> {
    let Some(path) = variable(environment, "PATH") else { return Vec::new() };
    let folders = path.as_bytes().split(|byte| *byte == b':').filter(|folder| !folder.is_empty());
    folders.map(|folder| PathBuf::from(OsStr::from_bytes(folder))).collect()
}

/// Whether a file is there and may be run.
pub fn is_program(file: &Path) -> bool {
    file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, patience: Duration) -> Program {
        Program {
            program: PathBuf::from("/bin/sh"),
            arguments: vec!["-c".into(), script.into()],
            folder: PathBuf::from("/"),
            environment: vec![("PATH".into(), "/usr/bin:/bin".into()), ("A".into(), "b c".into())],
            user: None,
            patience,
        }
    }

    #[test]
    fn what_a_program_says_and_how_it_ends_is_known() {
        let program = sh("echo \"$A\"; echo wrong >&2; exit 3", Duration::from_secs(20));
        let ended = run(&program, &mut || Ok(())).unwrap();
        assert_eq!((ended.stdout.as_str(), ended.status.code()), ("b c\n", Some(3)));
        assert_eq!(ended.last_words(), "wrong");
    }

    #[test]
    fn one_that_takes_too_long_is_ended_with_what_it_started() {
        let begun = Instant::now();
        let program = sh("sleep 60 & sleep 60", Duration::from_millis(200));
        let error = run(&program, &mut || Ok(())).unwrap_err();
        assert!(error.to_string().contains("was stopped"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}
