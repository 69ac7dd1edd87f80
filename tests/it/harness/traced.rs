//! pgark under strace, which changes what the system answers.

use super::Run;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// strace with these options, around `plain` in its folder and with its variables.
pub fn traced(plain: &Command, options: &[&str]) -> Command {
    let mut traced = Command::new("strace");
    traced.args(["-f", "-qq"]).args(options).arg(plain.get_program()).args(plain.get_args());
    traced.current_dir(plain.get_current_dir().unwrap()).stdin(Stdio::null());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => traced.env(name, value),
            None => traced.env_remove(name),
        };
    }
    traced
}

/// Runs `plain` with `fault` (`error=EIO`, `signal=KILL`) at the `number`-th `call` on one of
/// `paths`, and tells whether it came to that.
pub fn faulty(
    plain: &Command,
    paths: &[PathBuf],
    call: &str,
    fault: &str,
    number: usize,
) -> (Run, bool) {
    let log = tempfile::NamedTempFile::new().unwrap();
    let trace = format!("trace={call}");
    let inject = format!("inject={call}:{fault}:when={number}");
    let mut options = vec!["-o", log.path().to_str().unwrap()];
    options.extend(paths.iter().flat_map(|path| ["-P", path.to_str().unwrap()]));
    options.extend(["-e", &trace, "-e", &inject]);
    let output = traced(plain, &options).output().expect("strace; run ./test, which installs it");
    let log = std::fs::read_to_string(log.path()).unwrap();
    let run = Run::from(output);
    let came = log.contains("(INJECTED)") || run.code == 137;
    (run, came)
}
