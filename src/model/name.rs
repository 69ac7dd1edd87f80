//! Names of database objects, as the catalogs spell them.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A name inside a schema, unquoted and byte for byte as in the catalog.
///
/// `Display` is for people: `schema.name` with control characters escaped. It is never SQL;
/// a name becomes SQL only in `pg::ident`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QualifiedName {
    /// The schema's name.
    pub schema: String,
    /// The object's own name.
    pub name: String,
}

impl QualifiedName {
    /// A name from its two parts.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self { schema: schema.into(), name: name.into() }
    }
}

impl fmt::Display for QualifiedName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", Printable(&self.schema), Printable(&self.name))
    }
}

/// Shows text from the database on a terminal: control characters, bidirectional overrides
/// and invisible marks come out as escapes, so that a hostile name can neither move the cursor nor start a new line.
pub struct Printable<'a>(pub &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            if character.is_control() || is_unseen(character) {
                write!(out, "{}", character.escape_unicode())?;
            } else {
                write!(out, "{character}")?;
            }
        }
        Ok(())
    }
}

/// Marks that nobody sees, and those that turn the direction of what follows.
fn is_unseen(character: char) -> bool {
    matches!(character, '\u{feff}' | '\u{200b}' | '\u{2060}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Names as a list for a message: all of a few, or the first of many and how many more.
pub fn enumerate(names: &[String]) -> String {
    const LISTED: usize = 20;
    match names.len().checked_sub(LISTED) {
        Some(more @ 1..) => format!("{} and {more} more", names[..LISTED].join(", ")),
        _ => names.join(", "),
    }
}

/// So many of something, in the singular or in the plural: `1 revision`, `2 revisions`.
pub fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// What a list says, which may be nothing.
pub fn shown(list: &[String]) -> String {
    if list.is_empty() { String::from("nothing") } else { enumerate(list) }
}

/// SQL in which the server quotes every name, for people: names that need no quotes have none.
pub fn plain_names(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(quote) = rest.find(['\'', '"']) {
        let mark = &rest[quote..=quote];
        let Some(length) = rest[quote + 1..].find(mark) else { break };
        let end = quote + 1 + length;
        plain.push_str(&rest[..quote]);
        let inside = &rest[quote + 1..end];
        let doubled = rest[end + 1..].starts_with('"') || plain.ends_with('"');
        if mark == "\"" && !doubled && needs_no_quotes(inside) {
            plain.push_str(inside);
        } else {
            plain.push_str(&rest[quote..=end]);
        }
        rest = &rest[end + 1..];
    }
    plain.push_str(rest);
    plain
}

fn needs_no_quotes(name: &str) -> bool {
    let first = name.chars().next();
    first.is_some_and(|c| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// One word of a POSIX shell, in quotes.
pub fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// One word of a POSIX shell, in quotes where it needs them.
pub fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => shell_quoted(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_cut() {
        let names: Vec<String> = (1..=23).map(|n| n.to_string()).collect();
        assert!(enumerate(&names).ends_with("19, 20 and 3 more"));
        assert_eq!(enumerate(&names[..2]), "1, 2");
    }

    #[test]
    fn a_hostile_name_is_shown_on_one_line() {
        let name = QualifiedName::new("public", "a\n\u{1b}[2Jb\u{202e}\u{feff}");
        assert_eq!(name.to_string(), "public.a\\u{a}\\u{1b}[2Jb\\u{202e}\\u{feff}");
    }
}
