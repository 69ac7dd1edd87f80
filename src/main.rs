//! Parse, run, report, exit.

use pgark::cli::{configuration, report, run};

fn main() -> std::process::ExitCode {
    let code = match configuration::arguments() {
        Ok(arguments) => run::run(&arguments),
        Err(refusal) => report::refusal(&refusal),
    };
    std::process::ExitCode::from(code.number())
}
