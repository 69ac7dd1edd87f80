//! Parse, run, report, exit.

use clap::Parser;
use pgark::cli::args::Arguments;
use pgark::cli::{report, run};

fn main() -> std::process::ExitCode {
    let code = match Arguments::try_parse() {
        Ok(arguments) => run::run(&arguments),
        Err(error) => report::usage(&error),
    };
    std::process::ExitCode::from(code.number())
}
