//! Patterns of names, as in psql and pg_dump.

use crate::error::{Error, Kind, Result};
use crate::model::name::QualifiedName;
use regex::Regex;

/// A pattern of table or schema names (PostgreSQL, "psql", Patterns): `*` is any text, `?` any
/// character, a dot parts schema and name, letters outside double quotes are folded to lower case,
/// and what else regular expressions know works too, but for `$`, which is itself.
///
/// A table pattern without a schema matches in every schema; psql would look in the search path,
/// which a backup must not depend on.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    schema: Option<Regex>,
    name: Regex,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`Kind::Usage`] when quotes or brackets do not close, or there is more than one dot.
    pub fn new(text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Error::new(Kind::Usage, format!("the pattern \"{text}\" cannot be read: {why}"))
        };
        let mut parts = vec![String::new()];
        let mut characters = text.chars().peekable();
        let (mut quoted, mut bracketed) = (false, false);
        while let Some(character) = characters.next() {
            let part = match parts.last_mut() {
                Some(part) => part,
                None => return Err(wrong("it is empty")),
            };
            match character {
                '"' if quoted && characters.peek() == Some(&'"') => {
                    characters.next();
                    part.push('"');
                }
                '"' => quoted = !quoted,
                other if quoted => part.push_str(&regex::escape(&other.to_string())),
                '.' if !bracketed => parts.push(String::new()),
                '*' if !bracketed => part.push_str(".*"),
                '?' if !bracketed => part.push('.'),
                '$' => part.push_str("\\$"),
                other => {
                    bracketed = (bracketed || other == '[') && other != ']';
                    part.extend(other.to_lowercase());
                }
            }
        }
        if quoted {
            return Err(wrong("a double quote does not close"));
        }
        let regex = |part: &str| {
            Regex::new(&format!("^(?s:{part})$")).map_err(|_| wrong("it is no regular expression"))
        };
        let (schema, name) = match parts.as_slice() {
            [name] if !name.is_empty() => (None, regex(name)?),
            [schema, name] if !schema.is_empty() && !name.is_empty() => {
                (Some(regex(schema)?), regex(name)?)
            }
            [_] | [_, _] => return Err(wrong("a part of it is empty")),
            _ => return Err(wrong("it has more than one dot")),
        };
        Ok(Self { text: text.to_owned(), schema, name })
    }

    /// Whether a table's name matches.
    pub fn matches(&self, table: &QualifiedName) -> bool {
        self.schema.as_ref().is_none_or(|schema| schema.is_match(&table.schema))
            && self.name.is_match(&table.name)
    }

    /// Whether a schema's name matches; a pattern of schemas has no dot.
    pub fn matches_schema(&self, schema: &str) -> bool {
        self.schema.is_none() && self.name.is_match(schema)
    }

    /// The pattern as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, schema: &str, name: &str, expected: bool) {
        let pattern = Pattern::new(pattern).unwrap();
        assert_eq!(pattern.matches(&QualifiedName::new(schema, name)), expected, "{pattern:?}");
    }

    #[test]
    fn patterns_match_as_in_psql() {
        check("users", "public", "users", true);
        check("users", "any", "users", true);
        check("users", "public", "users2", false);
        check("USERS", "public", "users", true);
        check("\"USERS\"", "public", "users", false);
        check("\"USERS\"", "public", "USERS", true);
        check("okx_*", "public", "okx_balances", true);
        check("app.*", "app", "t", true);
        check("app.*", "public", "t", false);
        check("t?", "s", "t1", true);
        check("t[0-9]", "s", "tx", false);
        check("\"a.b\".\"c\"\"d\"", "a.b", "c\"d", true);
        check("\"a*\"", "s", "ab", false);
        check("a$b", "s", "a$b", true);
        check("x*", "s", "x\ny", true);
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for pattern in ["", "a.b.c", "\"a", "a.", ".b", "a[", "(a"] {
            assert_eq!(Pattern::new(pattern).unwrap_err().kind(), Kind::Usage, "{pattern}");
        }
    }
}
