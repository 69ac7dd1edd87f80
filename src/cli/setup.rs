//! What makes pgark at home on a machine: its file of settings, completions.

use super::args::Arguments;
use super::args::setup::Init;
use super::settings;
use crate::error::Result;
use crate::store::durable;
use clap::CommandFactory;
use clap_complete::Shell;
use std::path::PathBuf;

/// Writes `pgark.toml`, and gives its place.
///
/// # Errors
/// [`Kind::Refused`](crate::error::Kind::Refused) when it is there already.
pub fn init(args: &Init) -> Result<PathBuf> {
    let path = args.folder.join(settings::FILE);
    durable::stage_whole(&path, settings::template().as_bytes())?.publish()?;
    Ok(path)
}

/// A script for a shell.
pub fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "pgark", &mut script);
    script
}
