//! Parse, run, report, exit.

use clap::Parser;
use pgark::cli::args::Arguments;
use pgark::cli::run;

fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    std::process::ExitCode::from(run::run(&arguments).number())
}
