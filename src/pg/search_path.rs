//! Schemas in which functions look for what they name without one, where an empty `search_path` is not
//! enough.

use super::failure::server;
use super::session::{Session, Statements};
use crate::error::{Error, Kind, Result};
use crate::model::lexing;
use crate::model::name::enumerate;

/// Schemas, after `pg_catalog`, which always comes first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchPath {
    /// The names, in double quotes where they were typed so.
    schemas: Vec<String>,
}

impl SearchPath {
    /// Reads what follows `SET search_path =`, if it names schemas.
    ///
    /// # Errors
    /// [`Kind::Usage`] for what is no list of names.
    pub fn new(list: &str) -> Result<Self> {
        let schemas = parts(list);
        if let Some(wrong) = schemas.iter().find(|schema| !is_name(schema)) {
            let text = format!("\"{list}\" is no list of schemas: \"{wrong}\" is no name");
            return Err(Error::new(Kind::Usage, text)
                .hint("names are separated by commas, and in double quotes as in SQL"));
        }
        let others = schemas.into_iter().filter(|schema| schema.trim_matches('"') != "pg_catalog");
        Ok(Self { schemas: others.map(str::to_owned).collect() })
    }

    /// Whether nothing was asked for.
    pub fn is_empty(&self) -> bool {
        self.schemas.is_empty()
    }

    /// Gives a session this path, whatever its encoding is.
    ///
    /// # Errors
    /// The server's.
    pub fn set(&self, session: &mut impl Statements) -> Result<()> {
        let hex = hex::encode(self.schemas.join(", "));
        session.execute(&format!(
            "SELECT pg_catalog.set_config('search_path',
               pg_catalog.convert_from(pg_catalog.decode('{hex}', 'hex'), 'UTF8'), false)"
        ))
    }

    /// Does `act` while a session has this path; before and after it has an empty one.
    ///
    /// # Errors
    /// Those of `act`, and the server's.
    pub fn during<S: Statements, T>(
        &self,
        session: &mut S,
        act: impl FnOnce(&mut S) -> Result<T>,
    ) -> Result<T> {
        if self.is_empty() {
            return act(session);
        }
        self.set(session)?;
        let done = act(session);
        match Self::default().set(session) {
            // The first failure is the one that says why.
            Ok(()) => done,
            Err(error) => done.and(Err(error)),
        }
    }

    /// Fails where schemas are not there: a function would look for its own in vain.
    ///
    /// # Errors
    /// [`Kind::NotFound`], and the server's.
    pub fn check(&self, session: &mut Session) -> Result<()> {
        let missing: Vec<String> = session
            .client
            .query(
                "SELECT s FROM pg_catalog.unnest($1::pg_catalog.text[]) AS s
                 WHERE pg_catalog.to_regnamespace(s) IS NULL",
                &[&self.schemas],
                |row| row.at(0),
            )
            .map_err(|error| server("cannot look up the schemas of --search-path", error))?;
        if missing.is_empty() {
            return Ok(());
        }
        let text = format!("there is no schema {}", enumerate(&missing));
        Err(Error::new(Kind::NotFound, text).hint("--search-path names schemas that are there"))
    }
}

/// What stands between commas outside of double quotes.
fn parts(list: &str) -> Vec<&str> {
    let commas = lexing::unquoted(list).filter(|found| found.character == ',');
    let ends: Vec<usize> = commas.map(|found| found.position).chain([list.len()]).collect();
    let mut begin = 0;
    ends.into_iter().map(|end| list[std::mem::replace(&mut begin, end + 1)..end].trim()).collect()
}

fn is_name(text: &str) -> bool {
    match text.strip_prefix('"') {
        Some(rest) => rest
            .strip_suffix('"')
            .is_some_and(|name| !name.is_empty() && !name.replace("\"\"", "").contains('"')),
        None => {
            !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || "\"'".contains(c))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_sql_reads_it() {
        let read = |list| SearchPath::new(list).unwrap().schemas;
        assert_eq!(read("public"), ["public"]);
        assert_eq!(read("a, pg_catalog ,\"B, \"\"b\""), ["a", "\"B, \"\"b\""]);
        for wrong in ["", "a,", "a b", "\"a", "\"a\" b", "a,,b", "\"\"", "'a'"] {
            assert_eq!(SearchPath::new(wrong).unwrap_err().kind(), Kind::Usage, "{wrong}");
        }
    }
}
