//! Which names the top level of a source file gives values to.
//!
//! The tests of `rules/alembic/revision_file.rs` go through the ways there are.

use super::items::{Item, ItemKind};
use super::literal::{self, Literal};
use super::tokens::{Token, TokenKind};
use super::{Problem, Source};

/// `NAME = …` or `NAME: … = …` of one of `names`: which, its value if it is a literal, and the line.
pub fn assignment(
    text: &str,
    item: &Item,
    names: &[&str],
) -> Option<(usize, Option<Literal>, usize)> {
    if item.kind != ItemKind::Simple {
        return None;
    }
    let tokens = &item.lines.first()?.tokens;
    let name = names.iter().position(|name| *name == tokens[0].of(text))?;
    let equals = tokens.iter().position(|token| token.depth == 0 && token.of(text) == "=")?;
    let annotated = equals > 1 && tokens[1].of(text) == ":";
    if equals != 1 && !annotated {
        return None;
    }
    Some((name, literal::value(text, &tokens[equals + 1..]), tokens[0].line))
}

/// The one of `names` that an item may give a value in some other way, with the line. Reading one of
/// them is harmless; when in doubt, it binds.
pub fn otherwise<'a>(text: &'a str, item: &Item, names: &[&str]) -> Option<(&'a str, usize)> {
    if let Some(name) = item.name.clone().map(|span| &text[span]).filter(|n| names.contains(n)) {
        return Some((name, item.line()));
    }
    let in_scope_of_its_own = matches!(item.kind, ItemKind::Function | ItemKind::Class);
    for line in &item.lines {
        let tokens = &line.tokens;
        let word = |at: usize| tokens.get(at).map_or("", |token| token.of(text));
        let last_equals =
            tokens.iter().rposition(|token| token.depth == 0 && is_assignment(token.of(text)));
        for (at, token) in tokens.iter().enumerate() {
            let name = token.of(text);
            if token.kind != TokenKind::Name || !names.contains(&name) {
                continue;
            }
            let behind = |words: &[&str]| tokens[..at].iter().any(|t| words.contains(&t.of(text)));
            let before = at.checked_sub(1).map_or("", word);
            let found = match () {
                () if behind(&["global"]) => true,
                () if in_scope_of_its_own && !line.at_margin => false,
                () if before == "." => false,
                () if word(at + 1) == ":=" => true,
                () if in_scope_of_its_own => false,
                () if behind(&["import", "for", "del", "case"]) => true,
                () if matches!(before, "as" | "def" | "class") => true,
                // A keyword argument.
                () if token.depth > 0 && word(at + 1) == "=" => false,
                // An annotation without a value binds nothing.
                () => last_equals.is_some_and(|equals| at < equals),
            };
            if found {
                return Some((name, token.line));
            }
        }
    }
    None
}

fn is_assignment(sign: &str) -> bool {
    sign == "=" || (sign.ends_with('=') && !matches!(sign, "==" | "!=" | "<=" | ">=" | ":="))
}

/// Ways to reach a module's names that show no name.
///
/// # Errors
/// Where there is one.
pub fn refuse_indirect(text: &str, item: &Item) -> Result<(), Problem> {
    let of_functions = item.kind == ItemKind::Function;
    let tokens: Vec<&Token> = item.tokens().collect();
    for (at, token) in tokens.iter().enumerate() {
        let after_dot = at > 0 && tokens[at - 1].of(text) == ".";
        let word = token.of(text);
        let reaches = token.kind == TokenKind::Name
            && match word {
                "exec" | "globals" => !after_dot,
                // In a function they reach its own names.
                "locals" | "vars" => !after_dot && !of_functions,
                "__dict__" => !of_functions,
                _ => false,
            };
        if reaches {
            return Err(Problem::new(token.line, format!("{word} may give any name a value")));
        }
    }
    Ok(())
}

/// How often the top level of a file mentions a name outside of functions.
pub fn mentions(source: &Source, name: &str) -> usize {
    let items = source.items.iter().filter(|item| item.kind != ItemKind::Function);
    items
        .flat_map(Item::tokens)
        .filter(|token| token.kind == TokenKind::Name && token.of(&source.text) == name)
        .count()
}
