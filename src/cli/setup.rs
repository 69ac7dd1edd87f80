//! What makes pgark at home on a machine: its file of settings, completions, manual pages.

use super::args::Arguments;
use super::args::setup::{Init, Man};
use super::settings;
use crate::error::{Error, Result};
use crate::store::durable;
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use std::path::{Path, PathBuf};

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

/// Writes the manual's pages, and gives their number.
///
/// # Errors
/// The system's.
pub fn man(args: &Man) -> Result<usize> {
    let mut command = Arguments::command();
    command.build();
    write_page(&args.folder, &command, "pgark")
}

fn write_page(folder: &Path, command: &Command, name: &str) -> Result<usize> {
    let failed = |error| Error::io(format!("cannot make the manual's page {name}"), error);
    let mut page = Vec::new();
    let titled = command.clone().name(name.to_owned()).display_name(name.to_owned());
    clap_mangen::Man::new(titled).render(&mut page).map_err(failed)?;
    durable::stage_whole(&folder.join(format!("{name}.1")), &page)?.replace()?;
    let mut pages = 1;
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        if verb.get_name() != "help" {
            pages += write_page(folder, verb, &format!("{name}-{}", verb.get_name()))?;
        }
    }
    Ok(pages)
}
