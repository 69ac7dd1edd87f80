//! The nearest name for what was typed wrongly, where clap itself has none.

use crate::rules::selection::nearest;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

/// The same failure, with what was probably meant; `typed` is the whole command line.
pub fn add(mut error: Error, command: &Command, typed: &[String]) -> Error {
    let text = |error: &Error, kind: ContextKind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::UnknownArgument if error.get(ContextKind::Suggested).is_none() => {
            let flag = text(&error, ContextKind::InvalidArg);
            let verb = verb_that_knows(command, typed, flag.as_deref());
            if let (Some(flag), Some(verb)) = (flag, verb) {
                let tip = format!("flags stand behind the verb: 'pgark {verb} {flag}'");
                error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
            }
        }
        ErrorKind::InvalidSubcommand if error.get(ContextKind::SuggestedSubcommand).is_none() => {
            let below = above(command, typed).get_subcommands();
            let names = below.map(|verb| verb.get_name().to_owned());
            let wrong = text(&error, ContextKind::InvalidSubcommand).unwrap_or_default();
            if let Some(near) = nearest(&wrong, names) {
                let suggested = ContextValue::Strings(vec![near]);
                error.insert(ContextKind::SuggestedSubcommand, suggested);
            }
        }
        ErrorKind::InvalidValue if error.get(ContextKind::SuggestedValue).is_none() => {
            let wrong = text(&error, ContextKind::InvalidValue).unwrap_or_default();
            let valid = match error.get(ContextKind::ValidValue) {
                Some(ContextValue::Strings(valid)) => valid.clone(),
                _ => Vec::new(),
            };
            if let Some(near) = nearest(&wrong, valid.into_iter()) {
                error.insert(ContextKind::SuggestedValue, ContextValue::String(near));
            }
        }
        _ => {}
    }
    error
}

/// The verb behind a short flag, if it has that flag.
fn verb_that_knows<'a>(
    command: &'a Command,
    typed: &[String],
    flag: Option<&str>,
) -> Option<&'a str> {
    let letter = flag?.strip_prefix('-')?.chars().next()?;
    let verb = typed.iter().skip(1).find(|word| !word.starts_with('-'))?;
    let verb = command.find_subcommand(verb)?;
    let knows = verb.get_arguments().any(|argument| argument.get_short() == Some(letter));
    knows.then(|| verb.get_name())
}

/// The command whose verb was typed wrongly: as far as the words before it are verbs.
fn above<'a>(command: &'a Command, typed: &[String]) -> &'a Command {
    let mut above = command;
    for word in typed.iter().skip(1).filter(|word| !word.starts_with('-') && *word != "help") {
        match above.find_subcommand(word) {
            Some(verb) => above = verb,
            None => break,
        }
    }
    above
}
