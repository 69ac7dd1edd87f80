//! Names and literals as SQL: the only place where a name becomes part of a statement.

use crate::model::name::QualifiedName;

/// `name` as a quoted identifier. Every name is quoted, because lists of keywords differ
/// between server versions.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A quoted, schema-qualified name.
pub fn quote_qualified(name: &QualifiedName) -> String {
    format!("{}.{}", quote(&name.schema), quote(&name.name))
}

/// `name` as a quoted identifier in pure ASCII, with Unicode escapes where needed, so that it
/// means the same whatever the session's `client_encoding` is.
///
/// PostgreSQL, "Identifiers and Key Words": `U&"d\0061t\+000061"`.
pub fn quote_ascii(name: &str) -> String {
    if name.is_ascii() {
        return quote(name);
    }
    let mut quoted = String::from("U&\"");
    for character in name.chars() {
        match character {
            '"' => quoted.push_str("\"\""),
            '\\' => quoted.push_str("\\\\"),
            ascii if ascii.is_ascii() => quoted.push(ascii),
            other => quoted.push_str(&format!("\\+{:06X}", u32::from(other))),
        }
    }
    quoted.push('"');
    quoted
}

/// `text` as a string literal under `standard_conforming_strings = on`.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_double() {
        assert_eq!(quote("a\"b; DROP"), "\"a\"\"b; DROP\"");
        assert_eq!(literal("it's \\"), "'it''s \\'");
    }

    #[test]
    fn names_beyond_ascii_become_escapes() {
        assert_eq!(quote_ascii("plain\\"), "\"plain\\\"");
        assert_eq!(quote_ascii("é\\\"😀"), "U&\"\\+0000E9\\\\\"\"\\+01F600\"");
    }
}
