//! `pgark init`, `config`, `completions` and `man` as they are typed.

use super::Backup;
use clap::Args;
use clap_complete::Shell;
use std::path::PathBuf;

/// Write a pgark.toml with all settings in comments.
///
/// Writes pgark.toml with all settings in comments. A file that is there stays as it is.
#[derive(Debug, Args)]
pub struct Init {
    /// Folder to write it into.
    #[arg(value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,
}

/// Print the settings in force, and where each comes from.
///
/// Prints every setting of `pgark backup` with the place that its value comes from: a flag (give
/// those that you would give to `pgark backup`), an environment variable, pgark.toml, or pgark's own
/// default. Passwords are hidden.
#[derive(Debug, Args)]
pub struct Config {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub backup: Backup,
}

/// Print a script that completes pgark's verbs and flags in a shell.
///
/// Prints a script that completes verbs and flags. For bash:
/// pgark completions bash > ~/.local/share/bash-completion/completions/pgark
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell.
    pub shell: Shell,
}

/// Write the manual's pages into a folder.
///
/// Writes the manual's pages, pgark.1 and one for each verb, made from the same texts as --help.
/// Pages of the same names are replaced.
#[derive(Debug, Args)]
pub struct Man {
    /// Folder to write them into.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}
