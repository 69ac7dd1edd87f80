//! `WHERE …` that chooses rows of a table.

use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A WHERE clause that stays inside the statement it is put into: its quotes and parentheses close,
/// and it holds neither a semicolon nor a comment. Manifests hold such clauses, and no archive is
/// trusted: whatever one says, the statement around it is still the statement that pgark wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Condition(String);

impl Condition {
    /// An operator's condition on the columns of a table: `placed >= '2026-01-01'`.
    ///
    /// # Errors
    /// [`Kind::Usage`] for what could be more than one expression.
    pub fn chosen(expression: &str) -> Result<Self> {
        let expression = expression.trim();
        if expression.is_empty() {
            return Err(wrong(expression, "it is empty"));
        }
        contained(expression).map_err(|why| wrong(expression, why))?;
        Ok(Self(format!("WHERE ({expression})")))
    }

    /// A whole clause, as extensions mark the rows that are not their own.
    ///
    /// # Errors
    /// [`Kind::Usage`] for what could be more than a clause.
    pub fn of_clause(clause: String) -> Result<Self> {
        contained(&clause).map_err(|why| wrong(&clause, why))?;
        Ok(Self(clause))
    }

    /// The clause, to stand after the name of a table.
    pub fn clause(&self) -> &str {
        &self.0
    }

    /// The operator's own words, if the clause is one that [`Condition::chosen`] makes: then more
    /// can be added behind it with AND.
    pub fn expression(&self) -> Option<&str> {
        let expression = self.0.strip_prefix("WHERE (")?.strip_suffix(')')?;
        contained(expression).is_ok().then_some(expression)
    }
}

impl TryFrom<String> for Condition {
    type Error = Error;

    fn try_from(clause: String) -> Result<Self> {
        Self::of_clause(clause)
    }
}

impl From<Condition> for String {
    fn from(condition: Condition) -> Self {
        condition.0
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", super::name::Printable(&self.0))
    }
}

fn wrong(text: &str, why: &str) -> Error {
    Error::new(Kind::Usage, format!("the condition \"{text}\" cannot be used: {why}"))
}

/// Whether `text` keeps to itself wherever it stands in a statement, by PostgreSQL's lexical rules
/// under `standard_conforming_strings = on`. Where versions differ (`1E'…'`, `1$q$`), or a string goes
/// on with the rules of the one before it, only what all read alike is accepted.
fn contained(text: &str) -> Result<(), &'static str> {
    if text.contains('\0') {
        return Err("there is a zero byte in it");
    }
    let mut rest = text;
    let mut depth = 0;
    // What stands directly before the rest: a name or number, and the letter that it consists of if
    // it is a single one; whether a string has just ended.
    let (mut after_name, mut letter, mut after_string) = (false, None, false);
    while let Some(character) = rest.chars().next() {
        let next = &rest[character.len_utf8()..];
        let continued = std::mem::take(&mut after_string);
        match character {
            ';' => return Err("there is a semicolon outside quotes"),
            '-' if next.starts_with('-') => return Err("there is a comment in it"),
            '/' if next.starts_with('*') => return Err("there is a comment in it"),
            '(' => depth += 1,
            ')' if depth == 0 => return Err("a parenthesis closes that was not opened"),
            ')' => depth -= 1,
            '\'' => {
                let clear = !continued && (!after_name || letter.is_some());
                let escapes = clear && matches!(letter, Some('e' | 'E'));
                let after = end_of_string(next, escapes).ok_or("a quote does not close")?;
                if !clear && next[..next.len() - after.len()].contains('\\') {
                    return Err("a backslash in this place could be read in two ways");
                }
                (rest, after_name, letter, after_string) = (after, false, None, true);
                continue;
            }
            '"' => {
                let end = next.find('"').ok_or("a double quote does not close")?;
                (rest, after_name, letter) = (&next[end + 1..], false, None);
                continue;
            }
            '$' if after_name => return Err("there is a dollar sign in a name"),
            '$' => {
                if let Some(tag) = next.find('$').map(|end| &next[..end]).filter(|tag| is_tag(tag))
                {
                    let quote = format!("${tag}$");
                    let inside = &rest[quote.len()..];
                    let end = inside.find(&quote).ok_or("a dollar quote does not close")?;
                    (rest, after_name, letter) = (&inside[end + quote.len()..], false, None);
                    continue;
                }
            }
            '\t' | '\n' | '\r' | ' ' => after_string = continued,
            control if control.is_control() => return Err("there is a control character in it"),
            _ => {}
        }
        let in_name = character.is_ascii_alphanumeric()
            || matches!(character, '_' | '$')
            || !character.is_ascii();
        letter = (in_name && !after_name).then_some(character);
        after_name = in_name;
        rest = next;
    }
    if depth > 0 { Err("a parenthesis does not close") } else { Ok(()) }
}

/// What follows a string whose opening quote stands before `text`.
fn end_of_string(text: &str, escapes: bool) -> Option<&str> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if escapes => at += 2,
            b'\'' if bytes.get(at + 1) == Some(&b'\'') => at += 2,
            b'\'' => return Some(&text[at + 1..]),
            _ => at += 1,
        }
    }
    None
}

/// What may stand between two dollar signs.
fn is_tag(text: &str) -> bool {
    let is_letter = |c: char| c.is_alphabetic() || c == '_' || !c.is_ascii();
    text.chars().enumerate().all(|(at, c)| is_letter(c) || (at > 0 && c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_one_expression() {
        for sound in [
            "a = 1",
            "placed >= '2026-01-01' AND (b OR c)",
            "a = ')' OR b = ';'",
            "\"a;)\" IS NULL",
            "x = $$;)$$ OR x = $q$ $$ ;) $q$",
            r"x = E'it\'s ;' OR y = 'back\'",
            "x = 'it''s' AND name = 'e'",
            "data->>'a' = '--' AND a - -1 > 0",
            "größe > 3",
            "placed > date'2026-01-01' AND x = U&'\\0061'",
            "id IN (SELECT id FROM app.keep)",
        ] {
            let condition = Condition::chosen(sound).unwrap_or_else(|e| panic!("{sound}: {e}"));
            assert_eq!(condition.clause(), format!("WHERE ({sound})"));
            assert_eq!(condition.expression(), Some(sound));
        }
        for wrong in [
            "",
            " ",
            "true); DROP TABLE t; --",
            "true) OR (true",
            "(true",
            "a = 'x",
            "a = \"x",
            "a = 1; SELECT 1",
            "a = 1 -- comment",
            "a /* b */ = 1",
            "a = $$x",
            "a = $q$ x $$",
            "a = '\0'",
            // PostgreSQL goes on with the rules of the first string.
            "a = E'x'\n'\\' '); DROP TABLE t; SELECT ('",
            // This E is the end of a name: the string has no escapes, and ends before the bracket.
            r"nameE'\') ; SELECT (' '",
            // PostgreSQL 13 and 14 read a number and a string with escapes, a number and a quote.
            r"a = 1E'\' '); DROP TABLE t; SELECT ('",
            "a$b$ ) $b$ (",
            "1$q$ ); DROP TABLE t; SELECT ( $q$",
            "a = E'x'\u{b}\n'\\' '); DROP TABLE t; SELECT ('",
        ] {
            assert!(Condition::chosen(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_clause_of_a_manifest_is_checked_as_well() {
        let read = |text: &str| serde_json::from_value::<Condition>(text.into());
        assert_eq!(read("WHERE NOT standard").unwrap().expression(), None);
        assert_eq!(read("WHERE (a) OR (b)").unwrap().expression(), None);
        assert_eq!(read("WHERE (a = 1)").unwrap().expression(), Some("a = 1"));
        assert!(read("WHERE (true); DROP TABLE t").is_err());
    }
}
