//! The manual's pages: clap's own texts, with a synopsis that shows what flags take.

use super::args::Arguments;
use super::args::setup::Man;
use crate::error::{Error, Result};
use crate::store::durable;
use clap::{Arg, ArgAction, Command, CommandFactory};
use std::io::{self, Write};

/// Writes the pages, and gives their number.
///
/// # Errors
/// The system's.
pub fn write(args: &Man) -> Result<usize> {
    let mut command = Arguments::command();
    command.build();
    let pages = pages(command);
    let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
    for (name, command) in &pages {
        let mut page = Vec::new();
        render(command, name, &names, &mut page)
            .map_err(|error| Error::io(format!("cannot make the manual's page {name}"), error))?;
        durable::stage_public(&args.folder.join(format!("{name}.1")), &page)?.replace()?;
    }
    Ok(pages.len())
}

/// The page of the program, and one of each verb, by their names.
fn pages(command: Command) -> Vec<(String, Command)> {
    let verbs: Vec<(String, Command)> = command
        .get_subcommands()
        .filter(|verb| !verb.is_hide_set() && verb.get_name() != "help")
        .map(|verb| (format!("pgark-{}", verb.get_name()), verb.clone()))
        .collect();
    std::iter::once((String::from("pgark"), command)).chain(verbs).collect()
}

fn render(command: &Command, name: &str, names: &[&str], out: &mut Vec<u8>) -> io::Result<()> {
    let titled = command.clone().name(name.to_owned()).display_name(name.to_owned());
    let page = clap_mangen::Man::new(titled);
    page.render_title(out)?;
    page.render_name_section(out)?;
    writeln!(out, ".SH SYNOPSIS\n{}", synopsis(command, &name.replace('-', " ")))?;
    page.render_description_section(out)?;
    page.render_options_section(out)?;
    if command.has_subcommands() {
        page.render_subcommands_section(out)?;
        page.render_extra_section(out)?;
    }
    let others = names.iter().filter(|other| **other != name);
    let others: Vec<String> = others.map(|other| format!("{}(1)", bold(other))).collect();
    writeln!(out, ".SH \"SEE ALSO\"\n{}", others.join(", "))
}

/// The command with all that can be given to it, on one line that the reader's terminal breaks.
fn synopsis(command: &Command, typed: &str) -> String {
    let arguments = || command.get_arguments().filter(|argument| !argument.is_hide_set());
    let mut words = vec![bold(typed)];
    words.extend(arguments().filter(|argument| !argument.is_positional()).map(flag));
    words.extend(arguments().filter(|argument| argument.is_positional()).map(positional));
    if command.has_subcommands() {
        words.push(italic("VERB"));
    }
    words.join(" ")
}

/// `[--flag]`, `[--flag VALUE]…`, without brackets where it must be given.
fn flag(argument: &Arg) -> String {
    let name = match (argument.get_long(), argument.get_short()) {
        (Some(long), _) => format!("--{long}"),
        (None, short) => short.map(|short| format!("-{short}")).unwrap_or_default(),
    };
    let mut text = bold(&name);
    if argument.get_action().takes_values() {
        let value = value(argument);
        let at_least = argument.get_num_args().map_or(1, |range| range.min_values());
        match (argument.is_require_equals_set(), at_least) {
            (true, 0) => text.push_str(&format!("[={value}]")),
            (true, _) => text.push_str(&format!("={value}")),
            (false, _) => text.push_str(&format!(" {value}")),
        }
    }
    in_brackets(argument, text)
}

fn positional(argument: &Arg) -> String {
    in_brackets(argument, value(argument))
}

fn in_brackets(argument: &Arg, text: String) -> String {
    let text = if argument.is_required_set() { text } else { format!("[{text}]") };
    match (argument.get_action(), argument.get_action().takes_values()) {
        (ArgAction::Append, true) => format!("{text}..."),
        _ => text,
    }
}

fn value(argument: &Arg) -> String {
    match argument.get_value_names() {
        Some(names) => names.iter().map(|name| italic(name)).collect::<Vec<_>>().join(" "),
        None => italic(&argument.get_id().as_str().to_uppercase()),
    }
}

fn bold(text: &str) -> String {
    format!("\\fB{}\\fR", escaped(text))
}

fn italic(text: &str) -> String {
    format!("\\fI{}\\fR", escaped(text))
}

/// A hyphen that is typed, not one that a line is broken at.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}
