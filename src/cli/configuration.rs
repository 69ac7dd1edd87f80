//! The command line, with what the environment and `pgark.toml` say where it says nothing.
//!
//! The file's values become defaults of the arguments, so that clap itself puts flags before the
//! environment and that before the file.

use super::args::{Arguments, Verb};
use super::settings::{Configuration, FILE, SETTINGS, Setting};
use super::{environment, tips};
use crate::error::{Error, Kind, Result as OurResult};
use crate::ops::connection_string;
use crate::rules::secrets;
use clap::builder::{OsStr, Resettable};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches};
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Why there is nothing to run.
#[derive(Debug)]
pub enum Refusal {
    /// The command line is wrong, or asks for help.
    Usage(clap::Error),
    /// The file of settings cannot be used; `as_json` is how the user wants to be told.
    File {
        /// What is wrong with it.
        error: Error,
        /// Whether as JSON.
        as_json: bool,
    },
}

impl From<clap::Error> for Refusal {
    fn from(error: clap::Error) -> Self {
        Self::Usage(error)
    }
}

/// A setting, its value, and where that comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// Its name in the file, or the name of an environment variable of libpq.
    pub name: String,
    /// Its values; none is not set. Passwords are hidden.
    pub values: Vec<String>,
    /// `command line`, `environment NAME`, the file, or `default`.
    pub origin: String,
}

/// What the command line, the environment and the file say together.
///
/// # Errors
/// Help and version, too, come as such.
pub fn arguments() -> Result<Arguments, Refusal> {
    let typed: Vec<OsString> = std::env::args_os().collect();
    let mut command = without_empty_variables(Arguments::command());
    let words: Vec<String> = typed.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let matches = command
        .clone()
        .try_get_matches_from(&typed)
        .map_err(|error| tips::add(error, &command, &words))?;
    let (verbs, leaf) = leaf(&matches);
    let as_json = leaf.try_get_one::<bool>("json").is_ok_and(|json| json == Some(&true));
    let file = |error| Refusal::File { error, as_json };
    // Verbs without a repository have no settings; a broken file must not keep `init` from running.
    if leaf.try_get_one::<PathBuf>("repo").is_err() {
        return of_matches(&matches, &command, None);
    }
    let Some(configuration) = find(leaf).map_err(file)? else {
        return of_matches(&matches, &command, None);
    };
    let of_verb = |setting: &&Setting| {
        (setting.verbs.is_empty() || verbs.first().is_some_and(|v| setting.verbs.contains(v)))
            && leaf.try_contains_id(setting.argument).is_ok()
            && !setting.yields_to.is_some_and(|other| is_typed(leaf, other))
    };
    for setting in SETTINGS.iter().filter(of_verb) {
        let Some(values) = configuration.values.get(setting.key) else { continue };
        check(&command, &verbs, setting, values)
            .map_err(|error| {
                error.while_doing(format!("cannot use {}", configuration.path.display()))
            })
            .map_err(file)?;
        command = with_default(command, &verbs, setting, values);
    }
    let matches = command.clone().try_get_matches_from(&typed)?;
    of_matches(&matches, &command, Some(&configuration))
}

/// A variable that is empty is one that is not set, as for libpq: `DATABASE_URL=` must not stand in
/// the way of the file or of PGDATABASE.
fn without_empty_variables(command: Command) -> Command {
    let unset = |argument: Arg| match argument.get_env().map(std::env::var_os) {
        Some(Some(value)) if value.is_empty() => argument.env(Resettable::<OsStr>::Reset),
        _ => argument,
    };
    command.mut_args(unset).mut_subcommands(without_empty_variables)
}

fn of_matches(
    matches: &ArgMatches,
    command: &Command,
    file: Option<&Configuration>,
) -> Result<Arguments, Refusal> {
    let mut arguments = Arguments::from_arg_matches(matches)?;
    let (verbs, leaf) = leaf(matches);
    if let Verb::Restore(restore) = &mut arguments.verb {
        restore.url_is_typed = is_typed(leaf, "url");
    }
    if verbs == ["config"] {
        arguments.in_force = in_force(leaf, find_command(command, &verbs), file);
    }
    Ok(arguments)
}

/// The names of verb and subordinate verbs, and what was said to the last of them.
fn leaf(matches: &ArgMatches) -> (Vec<&str>, &ArgMatches) {
    let (mut verbs, mut leaf) = (Vec::new(), matches);
    while let Some((verb, below)) = leaf.subcommand() {
        verbs.push(verb);
        leaf = below;
    }
    (verbs, leaf)
}

/// The file that was named, else the one in the current folder, if there is one. An empty name is
/// no file. What cannot be looked at is not taken for nothing.
fn find(leaf: &ArgMatches) -> OurResult<Option<Configuration>> {
    match leaf.get_one::<OsString>("config") {
        Some(path) if path.is_empty() => Ok(None),
        Some(path) => Configuration::read(Path::new(path)).map(Some),
        None => match Path::new(FILE).symlink_metadata() {
            Ok(_) => Configuration::found(Path::new(FILE)).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(format!("cannot look for {FILE}"), error)),
        },
    }
}

fn is_typed(matches: &ArgMatches, argument: &str) -> bool {
    let known = matches.try_contains_id(argument).is_ok();
    known && matches.value_source(argument) == Some(ValueSource::CommandLine)
}

fn find_command<'a>(command: &'a Command, verbs: &[&str]) -> &'a Command {
    verbs.iter().fold(command, |command, verb| command.find_subcommand(verb).unwrap_or(command))
}

/// Fails for a value that the argument would not take: clap trusts defaults.
fn check(command: &Command, verbs: &[&str], setting: &Setting, values: &[String]) -> OurResult<()> {
    let verb = find_command(command, verbs);
    let Some(argument) = verb.get_arguments().find(|arg| arg.get_id() == setting.argument) else {
        return Ok(());
    };
    let Some(flag) = argument.get_long().filter(|_| argument.get_action().takes_values()) else {
        return Ok(());
    };
    let typed = values.iter().map(|value| format!("--{flag}={value}"));
    let typed: Vec<String> = std::iter::once(String::from("pgark")).chain(typed).collect();
    let alone = clap::Command::new("pgark").arg(argument.clone());
    alone.try_get_matches_from(typed).map(drop).map_err(|error| {
        let said = error.to_string();
        let reason =
            said.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        Error::new(Kind::Usage, format!("{}: {reason}", setting.key))
    })
}

fn with_default(command: Command, verbs: &[&str], setting: &Setting, values: &[String]) -> Command {
    match verbs.split_first() {
        Some((verb, below)) => {
            command.mut_subcommand(*verb, |sub| with_default(sub, below, setting, values))
        }
        None => {
            command.mut_arg(setting.argument, |argument| argument.default_values(values.to_vec()))
        }
    }
}

fn in_force(matches: &ArgMatches, command: &Command, file: Option<&Configuration>) -> Vec<InForce> {
    let mut found = Vec::new();
    for setting in SETTINGS {
        let raw = matches.get_raw(setting.argument).into_iter().flatten();
        let hide = match setting.key {
            "connection.url" => connection_string::shown,
            _ => secrets::hide,
        };
        let shown = raw.map(|value| hide(&value.to_string_lossy()));
        let is_set = |value: &String| !value.is_empty() && value != "false";
        let values: Vec<String> = shown.filter(is_set).collect();
        let variable = || {
            let argument = command.get_arguments().find(|arg| arg.get_id() == setting.argument);
            argument.and_then(|arg| arg.get_env()).map(|name| name.to_string_lossy().into_owned())
        };
        let in_file = file.filter(|file| file.values.contains_key(setting.key));
        let origin = match matches.value_source(setting.argument) {
            Some(ValueSource::CommandLine) => String::from("command line"),
            Some(ValueSource::EnvVariable) => {
                format!("environment {}", variable().unwrap_or_default())
            }
            _ if values.is_empty() => String::from("not set"),
            _ => in_file.map_or_else(|| "default".to_owned(), |f| f.path.display().to_string()),
        };
        found.push(InForce { name: setting.key.to_owned(), values, origin });
    }
    for (name, value) in environment::of_libpq() {
        let value = if name == "PGPASSWORD" { String::from("…") } else { secrets::hide(&value) };
        let origin = String::from("environment, for what connection.url leaves open");
        found.push(InForce { name: name.to_owned(), values: vec![value], origin });
    }
    found
}
