//! Counts the instructions of every hot path, and fails when one needs more than it did.
//!
//!     cargo bench --bench instructions [PATH…]
//!
//! Seconds on a machine that others use say little; the number of instructions that valgrind
//! counts is the same on every run. It knows nothing of caches and of waiting: what it finds is
//! work that was not there before, a copy, an allocation, a second look at every byte.
#![allow(clippy::print_stdout, reason = "a table is all that comes of it")]

use std::error::Error;
use std::process::{Command, ExitCode};

mod paths;

/// Bytes of COPY text: more than the compressor's window and pgark's buffers.
const BYTES: usize = 1 << 20;

/// Instructions per byte of COPY text, as this program counted them (rustc 1.95, valgrind 3.19).
const RECORDED: [(&str, f64); paths::ALL.len()] = [
    ("backup", 45.207),
    ("load", 42.122),
    ("prove", 3.297),
    ("decode", 1.444),
    ("digest", 1.860),
    ("compress and hash", 41.910),
    ("hash and decompress", 23.819),
    ("to binary", 17.245),
    ("encode", 1.000),
];

/// How much more than recorded is still the same, in percent: compilers differ.
const TOLERANCE: f64 = 5.0;

/// How a run that is counted is told what to do: the path's name, and how often.
const COUNTED: &str = "--counted";

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, path, times] = arguments.as_slice()
        && flag == COUNTED
    {
        let path = paths::ALL.iter().find(|other| other.name == path).ok_or("no such path")?;
        let input = paths::Input::new(BYTES)?;
        (path.run)(&input, times.parse()?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let wanted: Vec<&String> = arguments.iter().filter(|word| !word.starts_with('-')).collect();
    let text = paths::Input::new(BYTES)?.text.len() as f64;
    let mut grown = Vec::new();
    println!("{:<22} {:>9} {:>9} {:>8}", "instructions per byte", "recorded", "counted", "change");
    for (name, recorded) in RECORDED {
        let path = paths::ALL.iter().find(|path| path.name == name).ok_or("no such path")?;
        if !wanted.is_empty() && !wanted.iter().any(|word| path.name.contains(word.as_str())) {
            continue;
        }
        // The difference leaves out starting, making the input, and the first allocation.
        let counted = (count(path, 2)? - count(path, 1)?) as f64 / text;
        let change = (counted / recorded - 1.0) * 100.0;
        println!("{name:<22} {recorded:>9.3} {counted:>9.3} {change:>+7.1} %");
        if change > TOLERANCE {
            grown.push(name);
        }
    }
    if grown.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "\nmore work than benches/instructions.rs has recorded: {}\n\
         Find it with callgrind_annotate, or record it if it is worth its price \
         (docs/performance.md).",
        grown.join(", ")
    );
    Ok(ExitCode::FAILURE)
}

/// Instructions of a run that takes a path so many times.
fn count(path: &paths::Path, times: usize) -> Outcome<i64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args([COUNTED, path.name, &times.to_string()])
        .output()
        .map_err(|error| format!("cannot run valgrind, which ./test installs: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{}: {said}", path.name).into());
    }
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    Ok(collected.ok_or("valgrind gave no count")?.1.trim().parse()?)
}
