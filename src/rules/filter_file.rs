//! Files of patterns, as `pg_dump --filter` reads them (PostgreSQL, "pg_dump", `--filter`).

use crate::error::{Error, Kind, Result};

/// The patterns of one file, by what they do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterFile {
    /// `include table`.
    pub tables: Vec<String>,
    /// `exclude table`.
    pub exclude_tables: Vec<String>,
    /// `include schema`.
    pub schemas: Vec<String>,
    /// `exclude schema`.
    pub exclude_schemas: Vec<String>,
    /// `include extension`.
    pub extensions: Vec<String>,
    /// `exclude extension`.
    pub exclude_extensions: Vec<String>,
    /// `exclude table_data`.
    pub exclude_data: Vec<String>,
    /// `include table_and_children`.
    pub tables_and_children: Vec<String>,
    /// `exclude table_and_children`.
    pub exclude_tables_and_children: Vec<String>,
    /// `exclude table_data_and_children`.
    pub exclude_data_and_children: Vec<String>,
}

impl FilterFile {
    /// Reads the file. A line is `include` or `exclude`, a kind of object, and a pattern; `#` begins
    /// a comment outside double quotes, inside which a pattern may go over several lines.
    ///
    /// # Errors
    /// [`Kind::Usage`] with the number of the line.
    pub fn read(text: &str) -> Result<Self> {
        let mut file = Self::default();
        // Editors of some systems begin a file with a mark that nobody sees.
        let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut number = 1;
        while !rest.is_empty() {
            let (line, following) =
                split_line(rest).ok_or_else(|| wrong(number, "a double quote does not close"))?;
            file.take(number, line)?;
            number += rest[..rest.len() - following.len()].matches('\n').count();
            rest = following;
        }
        Ok(file)
    }

    fn take(&mut self, number: usize, line: &str) -> Result<()> {
        let (command, rest) = word(line);
        let (kind, pattern) = word(rest);
        // pg_dump takes these words in capitals as well.
        let (command, kind) = (command.to_ascii_lowercase(), kind.to_ascii_lowercase());
        let (command, kind) = (command.as_str(), kind.as_str());
        let pattern = folded(pattern);
        if command.is_empty() {
            return Ok(());
        }
        let into = match (command, kind) {
            ("include", "table") => &mut self.tables,
            ("include", "table_and_children") => &mut self.tables_and_children,
            ("exclude", "table") => &mut self.exclude_tables,
            ("exclude", "table_and_children") => &mut self.exclude_tables_and_children,
            ("include", "schema") => &mut self.schemas,
            ("exclude", "schema") => &mut self.exclude_schemas,
            ("include", "extension") => &mut self.extensions,
            ("exclude", "extension") => &mut self.exclude_extensions,
            ("exclude", "table_data") => &mut self.exclude_data,
            ("exclude", "table_data_and_children") => &mut self.exclude_data_and_children,
            ("include", "foreign_data") => {
                return Err(wrong(number, "no archive carries the rows of foreign tables")
                    .hint("leave the line out: foreign tables go with their definition alone"));
            }
            ("include" | "exclude", _) => {
                return Err(wrong(number, &format!("\"{command} {kind}\" is not known here"))
                    .hint(
                        "there are include and exclude of table, schema and extension, and exclude table_data",
                    ));
            }
            _ => {
                return Err(wrong(number, &format!("\"{command}\" is not known"))
                    .hint("a line begins with include or exclude"));
            }
        };
        if pattern.is_empty() {
            return Err(wrong(number, "there is no pattern"));
        }
        into.push(pattern);
        Ok(())
    }
}

fn wrong(number: usize, why: &str) -> Error {
    Error::new(Kind::Usage, format!("line {number} of the filter file: {why}"))
}

/// The first line without its comment, and what follows it. `None`: a quote does not close.
fn split_line(text: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    let mut content = None;
    for (at, character) in text.char_indices() {
        match character {
            '"' if content.is_none() => quoted = !quoted,
            '#' if !quoted => content = content.or(Some(at)),
            '\n' if !quoted => return Some((&text[..content.unwrap_or(at)], &text[at + 1..])),
            _ => {}
        }
    }
    (!quoted).then(|| (&text[..content.unwrap_or(text.len())], ""))
}

/// A pattern without what pg_dump does not heed outside of quotes: spaces round dots, and runs of spaces
/// but for one.
fn folded(pattern: &str) -> String {
    let (mut folded, mut quoted) = (String::new(), false);
    for character in pattern.trim().chars() {
        quoted ^= character == '"';
        let space = !quoted && character.is_whitespace();
        if space && folded.ends_with([' ', '.']) && !ends_quoted(&folded) {
            continue;
        }
        if !quoted && character == '.' && folded.ends_with(' ') {
            folded.pop();
        }
        folded.push(if space { ' ' } else { character });
    }
    folded
}

/// Whether `text` ends inside double quotes.
fn ends_quoted(text: &str) -> bool {
    text.matches('"').count() % 2 == 1
}

/// The first word, and what follows it.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_read_as_pg_dump_reads_them() {
        let file = FilterFile::read(
            "\u{feff}# nightly\n\ninclude table app.orders # comment\n  include\tschema  app\nexclude table \"odd # name\"\n\
             exclude table_data log*\r\nexclude schema \"two\nlines\"\ninclude table last\n\
             include extension postgis*\nexclude extension \"pg-x\"",
        )
        .unwrap();
        assert_eq!(file.tables, ["app.orders", "last"]);
        assert_eq!(file.schemas, ["app"]);
        assert_eq!(file.exclude_tables, ["\"odd # name\""]);
        assert_eq!(file.exclude_data, ["log*"]);
        assert_eq!(file.exclude_schemas, ["\"two\nlines\""]);
        assert_eq!(
            (file.extensions, file.exclude_extensions),
            (vec!["postgis*".into()], vec!["\"pg-x\"".into()])
        );
    }

    #[test]
    fn spaces_capitals_and_children_are_as_for_pg_dump() {
        let file = FilterFile::read(
            "INCLUDE TABLE public . a1\ninclude table x   y\nInclude table_and_children \"p  .  q\" .r \n\
             exclude table_data_and_children s\nexclude table_and_children t",
        )
        .unwrap();
        assert_eq!(file.tables, ["public.a1", "x y"]);
        assert_eq!(file.tables_and_children, ["\"p  .  q\".r"]);
        assert_eq!(file.exclude_data_and_children, ["s"]);
        assert_eq!(file.exclude_tables_and_children, ["t"]);
    }

    #[test]
    fn a_wrong_line_is_named_by_its_number() {
        for (text, says) in [
            ("include table \"a\nb\"\ninclud table x", "line 3 of the filter file: \"includ\""),
            ("include tabel x", "line 1 of the filter file: \"include tabel\""),
            ("\ninclude table_data x", "line 2"),
            ("exclude table # x", "there is no pattern"),
            ("include index x", "\"include index\" is not known here"),
            ("include foreign_data x", "line 1 of the filter file: no archive carries the rows"),
            ("exclude foreign_data x", "\"exclude foreign_data\" is not known here"),
            ("include table \"x", "does not close"),
        ] {
            let error = FilterFile::read(text).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
