//! Keeps an output column that has no name without one.
//!
//! `EXISTS (SELECT 'x' …)` and the later branches of a `UNION` in a subquery are deparsed with the type
//! that the literal was given, `SELECT 'x'::text`, and read back that is a column called `text`: another
//! tree, and another text the next time. (pg_dump's own output changes so after one restore.) What no
//! name is said for is a column of a table, or has the name of what has none, which can be said.

use crate::model::lexing::{closing, find, string, unquoted};

const UNNAMED: &str = " AS \"?column?\"";

/// What ends a list of output columns, where it stands outside of parentheses.
const ENDS: [&str; 15] = [
    "FROM",
    "WHERE",
    "GROUP",
    "HAVING",
    "WINDOW",
    "UNION",
    "INTERSECT",
    "EXCEPT",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "FETCH",
    "FOR",
    "ON",
    "RETURNING",
];

/// `sql` with that name behind every output column that is a literal of a stated type, and has no name.
pub(super) fn keep(sql: &str) -> String {
    const SELECT: &str = "SELECT";
    let mut places = Vec::new();
    let mut start = 0;
    while let Some(found) = find(&sql[start..], SELECT) {
        start += found + SELECT.len();
        places.extend(unnamed(&sql[start..]).map(|place| start + place));
    }
    places.sort_unstable();
    let mut kept = String::with_capacity(sql.len() + places.len() * UNNAMED.len());
    let mut done = 0;
    for place in places {
        kept.push_str(&sql[done..place]);
        kept.push_str(UNNAMED);
        done = place;
    }
    kept.push_str(&sql[done..]);
    kept
}

/// Where the output columns end, in the list that `text` begins with, that are to be given the name.
fn unnamed(text: &str) -> impl Iterator<Item = usize> + '_ {
    let mut start = after_distinct(text);
    let mut ended = false;
    std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let from = start;
        let rest = &text[from..];
        let end = unquoted(rest).find(|at| {
            at.after < 0
                || at.before == 0
                    && (matches!(at.character, ',' | ';') || is_end(rest, at.position))
        });
        ended = end.as_ref().is_none_or(|at| at.character != ',');
        let length = end.map_or(rest.len(), |at| at.position);
        start = from + length + usize::from(!ended);
        Some((from, &rest[..length]))
    })
    .filter(|(_, column)| is_literal(column.trim()))
    .map(|(from, column)| from + column.trim_end().len())
}

fn after_distinct(text: &str) -> usize {
    let Some(rest) = text.strip_prefix(" DISTINCT") else { return 0 };
    let on = rest.strip_prefix(" ON ").and_then(|list| closing(list).map(|end| &list[end..]));
    text.len() - on.unwrap_or(rest).len()
}

/// Whether a word that ends the list begins at `position`.
fn is_end(text: &str, position: usize) -> bool {
    text[..position].ends_with(|c: char| c.is_whitespace() || c == ')')
        && ENDS.iter().any(|word| {
            let after = text[position..].strip_prefix(word);
            after.is_some_and(|after| !after.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        })
}

/// Whether it is a constant and its type, perhaps with a collation, and nothing else.
fn is_literal(column: &str) -> bool {
    let inside = match closing(column) {
        Some(end) if column.starts_with('(') && end == column.len() => &column[1..end - 1],
        _ => column,
    };
    let operand = match inside.strip_prefix("NULL") {
        Some(_) => Some("NULL".len()),
        None => string(inside),
    };
    operand.is_some_and(|end| inside[end..].starts_with("::")) && find(inside, " AS ").is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_without_a_name_stays_without_one() {
        for (sql, kept) in [
            (
                r#"EXISTS ( SELECT 'it''s'::"text"
  FROM "t")"#,
                r#"EXISTS ( SELECT 'it''s'::"text" AS "?column?"
  FROM "t")"#,
            ),
            (
                r#"SELECT "a" FROM ( SELECT "b" UNION SELECT DISTINCT NULL::"x", '-1'::integer AS "b", '{1,2}'::integer[]) "s"("a")"#,
                r#"SELECT "a" FROM ( SELECT "b" UNION SELECT DISTINCT NULL::"x" AS "?column?", '-1'::integer AS "b", '{1,2}'::integer[] AS "?column?") "s"("a")"#,
            ),
            (
                r#"SELECT DISTINCT ON ("a", "b") E'\\'::"text", ( SELECT ('x'::"text" COLLATE "C") WHERE true) WHERE true"#,
                r#"SELECT DISTINCT ON ("a", "b") E'\\'::"text" AS "?column?", ( SELECT ('x'::"text" COLLATE "C") AS "?column?" WHERE true) WHERE true"#,
            ),
        ] {
            assert_eq!(keep(sql), kept);
        }
    }

    #[test]
    fn everything_else_stays_as_it_is() {
        for sql in [
            r#"SELECT 'x'::"text" AS "text", "a", 1, ("a" || 'x'::"text") FROM "t""#,
            r#"SELECT "f"('x'::"text") AS "f", ARRAY['x'::"text"] AS "array""#,
            r#"CREATE POLICY "p" ON "t" FOR SELECT USING (("a" = 'x'::"text"))"#,
            "AS $$ SELECT 'x'::text $$",
            "' SELECT ''x''::text'",
            "SELECT",
            "SELECT DISTINCT",
            "SELECT (",
        ] {
            assert_eq!(keep(sql), sql);
        }
    }
}
