//! Patterns of names, as in psql and pg_dump.

use crate::error::{Error, Kind, Result};
use crate::model::name::QualifiedName;
use regex::Regex;

/// A pattern of table or schema names (PostgreSQL, "psql", Patterns): `*` is any text, `?` any
/// character, a dot parts schema and name, ASCII letters outside double quotes are folded to lower
/// case, `[]` is itself, and what else regular expressions know works too, but for `$`, which is
/// itself. Before the schema there may be the name of the database, which is no pattern.
///
/// A table pattern without a schema matches in every schema; psql would look in the search path,
/// which a backup must not depend on.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    plain: String,
    database: Option<String>,
    schema: Option<Regex>,
    name: Regex,
    /// It stands for the tables that inherit from those of the name as well.
    pub and_children: bool,
}

/// One of the parts between dots: as a regular expression, and as the text that it is without quotes.
#[derive(Default)]
struct Part {
    regex: String,
    plain: String,
}

impl Part {
    fn push(&mut self, regex: &str, plain: char) {
        self.regex.push_str(regex);
        self.plain.push(plain);
    }
}

impl Pattern {
    /// Reads a pattern of tables.
    ///
    /// # Errors
    /// [`Kind::Usage`] when quotes or brackets do not close, or there are more than two dots.
    pub fn new(text: &str) -> Result<Self> {
        let parts = parts(text)?;
        match parts.as_slice() {
            [name] => Self::of(text, None, None, name),
            [schema, name] => Self::of(text, None, Some(schema), name),
            [database, schema, name] => Self::of(text, Some(database), Some(schema), name),
            _ => Err(wrong(text, "it has more than two dots")),
        }
    }

    /// Reads a pattern of names that lie in no schema: schemas, extensions.
    ///
    /// # Errors
    /// [`Kind::Usage`] when quotes or brackets do not close, or there is more than one dot.
    pub fn plain_names(text: &str) -> Result<Self> {
        let parts = parts(text)?;
        match parts.as_slice() {
            [name] => Self::of(text, None, None, name),
            [database, name] => Self::of(text, Some(database), None, name),
            _ => Err(wrong(text, "it has more than one dot")),
        }
    }

    fn of(text: &str, database: Option<&Part>, schema: Option<&Part>, name: &Part) -> Result<Self> {
        let all = database.into_iter().chain(schema).chain([name]);
        let texts: Vec<&str> = all.map(|part| part.plain.as_str()).collect();
        if texts.iter().any(|text| text.is_empty()) {
            return Err(wrong(text, "a part of it is empty"));
        }
        let regex = |part: &Part| {
            Regex::new(&format!("^(?s:{})$", part.regex))
                .map_err(|_| wrong(text, "it is no regular expression"))
        };
        Ok(Self {
            text: text.to_owned(),
            plain: texts.join("."),
            database: database.map(|part| part.plain.clone()),
            schema: schema.map(regex).transpose()?,
            name: regex(name)?,
            and_children: false,
        })
    }

    /// Fails where the pattern names another database than this one.
    ///
    /// # Errors
    /// [`Kind::Usage`].
    pub fn check_database(&self, database: &str) -> Result<()> {
        match &self.database {
            Some(named) if named != database => {
                let text = format!(
                    "the pattern \"{}\" is about database \"{named}\", and this is \"{database}\"",
                    self.text
                );
                Err(Error::new(Kind::Usage, text).hint("leave the database's name out"))
            }
            _ => Ok(()),
        }
    }

    /// Whether a table's name matches.
    pub fn matches(&self, table: &QualifiedName) -> bool {
        self.schema.as_ref().is_none_or(|schema| schema.is_match(&table.schema))
            && self.name.is_match(&table.name)
    }

    /// Whether a name that lies in no schema matches; such a pattern has no dot.
    pub fn matches_plain(&self, name: &str) -> bool {
        self.schema.is_none() && self.name.is_match(name)
    }

    /// The pattern as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The pattern without its quotes, folded: the name that it is, if it is one.
    pub fn plain(&self) -> &str {
        &self.plain
    }
}

/// The pattern that this name alone matches: in double quotes, unless every character of it stands
/// for itself.
pub fn exactly(name: &str) -> String {
    let is_itself = |c: char| match c.is_ascii() {
        true => c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '$' | '-'),
        false => c.is_alphanumeric(),
    };
    match !name.is_empty() && name.chars().all(is_itself) {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

fn wrong(text: &str, why: &str) -> Error {
    Error::new(Kind::Usage, format!("the pattern \"{text}\" cannot be read: {why}"))
}

/// What stands between the dots. psql folds only the letters of ASCII: what others there are is the
/// server's locale's to know.
fn parts(text: &str) -> Result<Vec<Part>> {
    let (mut parts, mut part) = (Vec::new(), Part::default());
    let mut characters = text.chars().peekable();
    let (mut quoted, mut bracketed) = (false, false);
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                part.push("\"", '"');
            }
            '"' => quoted = !quoted,
            other if quoted => part.push(&regex::escape(&other.to_string()), other),
            '.' if !bracketed => parts.push(std::mem::take(&mut part)),
            '*' if !bracketed => part.push(".*", '*'),
            '?' if !bracketed => part.push(".", '?'),
            '$' => part.push("\\$", '$'),
            // As in the names of array types.
            '[' if !bracketed && characters.peek() == Some(&']') => {
                characters.next();
                part.push("\\[", '[');
                part.push("\\]", ']');
            }
            other => {
                bracketed = (bracketed || other == '[') && other != ']';
                let folded = other.to_ascii_lowercase();
                part.push(folded.encode_utf8(&mut [0; 4]), folded);
            }
        }
    }
    if quoted {
        return Err(wrong(text, "a double quote does not close"));
    }
    parts.push(part);
    Ok(parts)
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
        check("ta[]", "s", "ta[]", true);
        check("shop.s.t", "s", "t", true);
    }

    #[test]
    fn letters_beyond_ascii_are_as_they_are() {
        check("Änderungen", "public", "Änderungen", true);
        check("änderungen", "public", "Änderungen", false);
        check("ÄB", "public", "Äb", true);
    }

    #[test]
    fn the_pattern_of_a_name_matches_it_alone() {
        for name in
            ["t", "Kunde", "dot.in", "a\"b", "Änderungen", "a b", "a*", "x$", "ta[]", "^", "ß-1"]
        {
            let pattern = Pattern::new(&exactly(name)).unwrap();
            assert!(pattern.matches(&QualifiedName::new("s", name)), "{name}");
            assert_eq!(pattern.plain(), name);
        }
        assert_eq!(exactly("Änderungen"), "Änderungen");
        assert_eq!(exactly("Kunde"), "\"Kunde\"");
    }

    #[test]
    fn a_database_is_named_and_not_matched() {
        let table = Pattern::new("Shop.public.t*").unwrap();
        assert!(table.matches(&QualifiedName::new("public", "t1")));
        table.check_database("shop").unwrap();
        assert_eq!(table.check_database("other").unwrap_err().kind(), Kind::Usage);
        let schema = Pattern::plain_names("\"Shop\".app").unwrap();
        assert!(schema.matches_plain("app"));
        schema.check_database("Shop").unwrap();
        assert!(Pattern::plain_names("a.b.c").is_err());
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for pattern in ["", "a.b.c.d", "\"a", "a.", ".b", "a..b", "a[", "(a"] {
            assert_eq!(Pattern::new(pattern).unwrap_err().kind(), Kind::Usage, "{pattern}");
        }
    }
}
