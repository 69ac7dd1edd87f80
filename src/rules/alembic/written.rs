//! The text of revisions that pgark writes.

/// What a written revision says of itself.
#[derive(Clone, Debug, Default)]
pub struct Header {
    /// Its id: that of the last revision that it stands for.
    pub revision: String,
    /// The revisions that come before it.
    pub down_revision: Vec<String>,
    /// Names of its branch.
    pub branch_labels: Vec<String>,
    /// The revisions that must be applied too.
    pub depends_on: Vec<String>,
    /// One line that says what it does.
    pub message: String,
    /// The revisions that it stands for, in their order, each with what it did.
    pub replaces: Vec<(String, String)>,
    /// The archive that holds their files.
    pub archive: String,
    /// When it was written, as Alembic writes it.
    pub created: String,
}

/// One SQL statement and what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The object.
    pub about: String,
    /// Exactly one statement, without its semicolon.
    pub sql: String,
}

/// A revision that makes a whole schema, statement by statement.
///
/// Each is a call of its own, because asyncpg takes no more than one at a time, and goes through a
/// text clause, which alone passes percent signs and dollar quotes on unchanged with every driver.
/// There a colon begins a parameter unless a backslash stands before it.
pub fn of_statements(header: &Header, steps: &[Step]) -> String {
    let mut text = beginning(header);
    text.push_str(
        "\n# One statement each, in an order in which they can be run.\nSTATEMENTS = [\n",
    );
    for step in steps {
        // A comment ends with its line.
        let about: String = step.about.chars().filter(|c| !c.is_control()).collect();
        text.push_str(&format!("    # {about}\n    {},\n", literal(&step.sql)));
    }
    text.push_str("]\n\n\ndef upgrade() -> None:\n    for statement in STATEMENTS:\n");
    text.push_str("        # A colon would begin a parameter.\n");
    text.push_str("        op.execute(sa.text(statement.replace(\":\", \"\\\\:\")))\n");
    text.push_str(&ending(header));
    text
}

/// Above the archive's name in a docstring.
const IN_PLACE: &str =
    "Written by pgark in the place of these revisions, whose files are in the archive";
/// Before each revision in the list below it, and between its id and what it did.
const INDENT: &str = "    ";
const GAP: &str = "  ";

/// Docstring, imports and the four variables.
pub fn beginning(header: &Header) -> String {
    let mut text = String::from("\"\"\"");
    text.push_str(&format!("{}\n\n", docstring(&header.message)));
    text.push_str(&format!("Revision ID: {}\n", header.revision));
    text.push_str(&format!("Revises: {}\n", header.down_revision.join(", ")));
    text.push_str(&format!("Create Date: {}\n\n", header.created));
    text.push_str(&format!("{IN_PLACE}\n{}:\n\n", docstring(&header.archive)));
    for (revision, message) in &header.replaces {
        let id = docstring(revision);
        text.push_str(&format!("{INDENT}{id}{GAP}{}\n", docstring(message)));
    }
    text.push_str("\"\"\"\nimport sqlalchemy as sa\nfrom alembic import op\n\n");
    text.push_str(&format!("revision = {}\n", literal(&header.revision)));
    text.push_str(&format!("down_revision = {}\n", ids(&header.down_revision)));
    text.push_str(&format!("branch_labels = {}\n", ids(&header.branch_labels)));
    text.push_str(&format!("depends_on = {}\n", ids(&header.depends_on)));
    text
}

/// What the docstring of a written revision says of where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The archive that holds the files of the revisions that it stands for.
    pub archive: String,
    /// Their ids, in their order.
    pub replaces: Vec<String>,
}

/// Reads what [`beginning`] has written, whatever became of the lines below it; none where pgark has
/// not written the text.
pub fn origin(text: &str) -> Option<Origin> {
    let mut lines = text.lines().skip_while(|line| *line != IN_PLACE).skip(1);
    let archive = as_it_was(lines.next()?.strip_suffix(':')?);
    let listed = lines.skip_while(|line| line.is_empty());
    let ids = listed.map_while(|line| line.strip_prefix(INDENT)?.split(GAP).next());
    Some(Origin { archive, replaces: ids.map(as_it_was).collect() })
}

/// There is no way back: what was dropped and changed on the way is not known any more, and one
/// that was generated would drop every table with its rows.
pub fn ending(header: &Header) -> String {
    format!(
        "\n\ndef downgrade() -> None:\n    raise NotImplementedError(\n        {}\n    )\n",
        literal(&format!(
            "revision {} cannot be undone; pgark migrations rollback {} brings the old revisions back",
            header.revision, header.archive
        ))
    )
}

/// One line of a docstring.
fn docstring(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !c.is_control()).collect();
    plain.replace('\\', "\\\\").replace('"', "'")
}

/// What [`docstring`] was given, if that had neither quotation marks nor control characters.
fn as_it_was(text: &str) -> String {
    text.replace("\\\\", "\\")
}

fn ids(list: &[String]) -> String {
    match list {
        [] => String::from("None"),
        [one] => literal(one),
        several => {
            let literals: Vec<String> = several.iter().map(|id| literal(id)).collect();
            format!("({})", literals.join(", "))
        }
    }
}

/// A Python literal that is exactly `text`, but for a line feed at both ends where it has several
/// lines or a quotation mark: SQL takes no notice of these, and people can read it so.
pub fn literal(text: &str) -> String {
    let raw = !text.contains("\"\"\"")
        && text.chars().all(|c| matches!(c, '\n' | '\t') || !is_special(c));
    if raw && text.contains(['\n', '"', '\\']) && !text.ends_with('\\') {
        return format!("r\"\"\"\n{text}\n\"\"\"");
    }
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_special(c) => {
                out.push_str(&format!("\\U{:08x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// What an editor, a terminal or Python's own reading of lines could change or hide.
fn is_special(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Begins the last line of a file that pgark has written.
const SEAL: &str = "# pgark: SHA-256 of all lines above: ";

/// A text with its seal.
pub fn sealed(text: &str, sha256: &str) -> String {
    format!("{text}{}{SEAL}{sha256}\n", if text.ends_with('\n') { "" } else { "\n" })
}

/// A text with the ends of lines that are sealed. Git changes them on the way in and out, and for
/// Python they are the same, in literals too.
pub fn with_line_feeds(text: &str) -> String {
    text.replace("\r\n", "\n")
}

/// What stands above the seal, and the hash in it; none where pgark has not written the file.
pub fn seal(text: &str) -> Option<(&str, &str)> {
    let place = text.rfind(SEAL)?;
    let hash = text[place + SEAL.len()..].strip_suffix('\n')?;
    let hash = hash.strip_suffix('\r').unwrap_or(hash);
    (hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()))
        .then_some((&text[..place], hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_is_readable_where_it_can_be_and_exact_always() {
        assert_eq!(literal("SELECT 1"), "\"SELECT 1\"");
        assert_eq!(literal("CREATE \"a\"\\d"), "r\"\"\"\nCREATE \"a\"\\d\n\"\"\"");
        assert_eq!(literal("a\r\nb"), "\"a\\r\\nb\"");
        assert_eq!(literal("'\"\"\"'"), "\"'\\\"\\\"\\\"'\"");
        assert_eq!(literal("x\u{202e}\u{1}"), "\"x\\U0000202e\\U00000001\"");
        assert_eq!(literal("E'\\'"), "r\"\"\"\nE'\\'\n\"\"\"");
        assert_eq!(literal("\\"), "\"\\\\\"");
    }

    #[test]
    fn the_header_is_python_whatever_is_in_it() {
        let header = Header {
            revision: String::from("b"),
            down_revision: vec![String::from("a"), String::from("c")],
            message: String::from("evil \"\"\" \\ \n end"),
            ..Header::default()
        };
        let text =
            of_statements(&header, &[Step { about: "table\nx".into(), sql: "SELECT 1".into() }]);
        assert!(
            text.starts_with("\"\"\"evil ''' \\\\  end\n\nRevision ID: b\nRevises: a, c\n"),
            "{text}"
        );
        assert!(text.contains("down_revision = (\"a\", \"c\")\nbranch_labels = None\n"));
        assert!(text.contains("    # tablex\n    \"SELECT 1\",\n]\n"));
        assert!(text.contains("replace(\":\", \"\\\\:\")"));
    }

    #[test]
    fn a_docstring_says_again_what_it_was_written_of() {
        let revision = |id: &str, message: &str| (String::from(id), String::from(message));
        let header = Header {
            message: String::from("a  b"),
            replaces: vec![revision("a\\1", "two  gaps"), revision("b2", "")],
            archive: String::from("shop-20261125T030000Z"),
            ..Header::default()
        };
        let text = of_statements(&header, &[]);
        let replaces = vec![String::from("a\\1"), String::from("b2")];
        let expected = Origin { archive: header.archive, replaces };
        assert_eq!(origin(&text), Some(expected.clone()));
        assert_eq!(origin(&text.replace('\n', "\r\n")), Some(expected));
        assert_eq!(origin("\"\"\"Written by hand\n\"\"\"\n"), None);
    }

    #[test]
    fn a_seal_is_found_again() {
        let hash = "a".repeat(64);
        let text = sealed("x = 1", &hash);
        assert_eq!(seal(&text), Some(("x = 1\n", hash.as_str())));
        assert_eq!(seal("x = 1\n"), None);
        assert_eq!(seal(&format!("{text}y = 2\n")), None);
    }
}
