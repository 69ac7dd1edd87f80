//! Keeps the field of an `EXTRACT` as it was written.
//!
//! `extract('YEAR' FROM …)` is deparsed as `EXTRACT(YEAR FROM …)`, which read back is the field
//! `year`: another tree, and another text the next time. A field with a space in it cannot be read
//! back at all. (Servers with the mend of CVE-2026-15741 quote it themselves.)

use crate::model::lexing::find;
use crate::pg::ident;

/// `sql` with quotes around every field of an `EXTRACT` that is not in small letters.
pub(super) fn keep(sql: &str) -> String {
    const OPENING: &str = "EXTRACT(";
    let mut kept = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(start) = find(rest, OPENING) {
        let inside = start + OPENING.len();
        kept.push_str(&rest[..inside]);
        rest = &rest[inside..];
        let Some((field, _)) = rest.split_once(" FROM ") else { continue };
        let is_plain = field.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        if !is_plain && !field.starts_with(['"', '\'']) {
            kept.push_str(&ident::quote(field));
            rest = &rest[field.len()..];
        }
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_keeps_its_letters() {
        assert_eq!(
            keep(
                r#"SELECT EXTRACT(YEAR FROM "now"()), (EXTRACT(Ye ar FROM "a") - 1), 'EXTRACT(X FROM '"#
            ),
            r#"SELECT EXTRACT("YEAR" FROM "now"()), (EXTRACT("Ye ar" FROM "a") - 1), 'EXTRACT(X FROM '"#
        );
    }

    #[test]
    fn everything_else_stays_as_it_is() {
        for sql in [
            r#"SELECT EXTRACT(epoch FROM "a")"#,
            r#"SELECT EXTRACT("YEAR" FROM "a")"#,
            r#"SELECT EXTRACT('YEAR' FROM "a")"#,
            "AS $$ SELECT EXTRACT(YEAR FROM now()) $$",
            "EXTRACT(",
        ] {
            assert_eq!(keep(sql), sql);
        }
    }
}
