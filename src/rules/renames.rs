//! `OLD=NEW` of the command line: other names for roles and tablespaces.

use crate::error::{Error, Kind, Result};

/// Old names and the new ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renames {
    pairs: Vec<(String, String)>,
}

impl Renames {
    /// Reads `OLD=NEW`; a name in double quotes may hold anything, `""` for a double quote.
    ///
    /// # Errors
    /// [`Kind::Usage`] for what is not that, and for an old name with two new ones.
    pub fn new(texts: &[String]) -> Result<Self> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for text in texts {
            let Some((old, new)) = pair(text) else {
                return Err(Error::new(Kind::Usage, format!("\"{text}\" is not OLD=NEW"))
                    .hint("a name with = in it is written in double quotes: '\"a=b\"=c'"));
            };
            if let Some((_, other)) = pairs.iter().find(|(known, _)| *known == old)
                && *other != new
            {
                return Err(Error::new(
                    Kind::Usage,
                    format!("\"{old}\" is to be \"{other}\" and \"{new}\""),
                ));
            }
            pairs.push((old, new));
        }
        Ok(Self { pairs })
    }

    /// Another name for one.
    pub fn one(old: impl Into<String>, new: impl Into<String>) -> Self {
        Self { pairs: vec![(old.into(), new.into())] }
    }

    /// The new name, or the same where there is none.
    pub fn of<'a>(&'a self, name: &'a str) -> &'a str {
        self.pairs.iter().find(|(old, _)| old == name).map_or(name, |(_, new)| new)
    }

    /// Whether every name stays.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The old names.
    pub fn old_names(&self) -> impl Iterator<Item = &str> {
        self.pairs.iter().map(|(old, _)| old.as_str())
    }
}

fn pair(text: &str) -> Option<(String, String)> {
    let (old, rest) = name(text)?;
    let (new, rest) = name(rest.strip_prefix('=')?)?;
    (rest.is_empty() && !old.is_empty() && !new.is_empty()).then_some((old, new))
}

/// The name that a text begins with, and what follows it.
fn name(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find('=').unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut name = String::new();
    let mut rest = quoted;
    loop {
        let end = rest.find('"')?;
        name.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Some((name, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Result<Renames> {
        Renames::new(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn names_are_read_plain_and_quoted() {
        let renames = read(&["a=b", "\"x=\"\"y\"=\"z z\"", "Old=New"]).unwrap();
        assert_eq!(renames.of("a"), "b");
        assert_eq!(renames.of("x=\"y"), "z z");
        assert_eq!(renames.of("Old"), "New");
        assert_eq!(renames.of("old"), "old");
    }

    #[test]
    fn what_is_not_a_pair_of_names_is_refused() {
        for wrong in ["", "a", "a=", "=b", "a=b=c", "\"a=b", "\"a\"b=c"] {
            assert_eq!(read(&[wrong]).map_err(|error| error.kind()).err(), Some(Kind::Usage));
        }
        assert!(read(&["a=b", "a=c"]).is_err());
        assert!(read(&["a=b", "a=b"]).is_ok());
    }
}
