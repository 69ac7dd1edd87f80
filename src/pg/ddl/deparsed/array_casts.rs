//! Keeps the server's own text of an expression from meaning something else when it is read back.
//!
//! `varchar_column IN ('a', 'b')` is kept as a comparison with a `varchar[]` that is cast to
//! `text[]` as a whole, and deparsed as `(ARRAY['a'::character varying, …])::text[]`. Read back,
//! a cast right after `ARRAY[…]` is pushed down to every element: another tree, and another text
//! the next time. (pg_dump's own output changes so after one restore.) A cast to the array's own
//! type in between, which does nothing, keeps the outer cast whole; where the text does not say that
//! type, `anyarray` does: it leaves its argument as it is.

use crate::model::lexing::{closing, find, string, unquoted};

/// `sql` with that cast put in wherever an array is cast to another type as a whole.
pub(super) fn keep(sql: &str) -> String {
    const OPENING: &str = "(ARRAY[";
    let mut kept = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(start) = find(rest, OPENING) {
        let inside = start + OPENING.len();
        let Some(length) = end_of_array(&rest[inside..]) else { break };
        let (elements, after) = (&rest[inside..inside + length], &rest[inside + length..]);
        if after.starts_with("])::") {
            let own = element_type(elements).map(|element| format!("{element}[]"));
            let own = own.as_deref().unwrap_or("anyarray");
            kept.push_str(&rest[..start]);
            kept.push_str(&format!("(({}{}])::{own}", &OPENING[1..], keep(elements)));
            // What follows is `)::outer[]`.
            rest = &after[1..];
        } else {
            kept.push_str(&rest[..inside]);
            rest = &rest[inside..];
        }
    }
    kept.push_str(rest);
    kept
}

/// Length of the elements up to the bracket that closes the array.
fn end_of_array(text: &str) -> Option<usize> {
    unquoted(text).find(|at| at.after < 0).filter(|at| at.character == ']').map(|at| at.position)
}

/// The type that every element is cast to, if it is one.
fn element_type(elements: &str) -> Option<&str> {
    let mut found: Option<&str> = None;
    let mut rest = elements;
    loop {
        let comma = unquoted(rest).find(|at| at.before == 0 && at.character == ',');
        let end = comma.map_or(rest.len(), |at| at.position);
        let element = rest[..end].trim();
        let cast = last_cast(element)?;
        if found.is_some_and(|other| other != cast) {
            return None;
        }
        found = Some(cast);
        match rest.get(end + 1..) {
            Some(next) => rest = next,
            None => return found,
        }
    }
}

/// The type of the cast that is an element's outermost operation: the element is a constant or in
/// parentheses, and then `::type`.
fn last_cast(element: &str) -> Option<&str> {
    let operand = match element.chars().next()? {
        '\'' | 'E' => string(element)?,
        '(' => closing(element)?,
        'N' if element.starts_with("NULL") => 4,
        _ => return None,
    };
    let cast = element.get(operand..)?.strip_prefix("::")?;
    (!cast.contains("::") && !cast.is_empty()).then_some(cast)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cast_of_a_whole_array_stays_whole() {
        assert_eq!(
            keep(
                r#"CHECK ((("a")::"text" = ANY ((ARRAY['x'::character varying, 'y,]'::character varying])::"text"[])))"#
            ),
            r#"CHECK ((("a")::"text" = ANY (((ARRAY['x'::character varying, 'y,]'::character varying])::character varying[])::"text"[])))"#
        );
    }

    #[test]
    fn an_array_of_an_unsaid_type_does_too() {
        assert_eq!(
            keep("x = ANY ((ARRAY[a, 'b'::v, (ARRAY[c])::t[]])::text[])"),
            "x = ANY (((ARRAY[a, 'b'::v, ((ARRAY[c])::anyarray)::t[]])::anyarray)::text[])"
        );
        assert_eq!(
            keep("x = ANY ((ARRAY['it''s'::v, ''::v])::text[])"),
            "x = ANY (((ARRAY['it''s'::v, ''::v])::v[])::text[])"
        );
    }

    #[test]
    fn everything_else_stays_as_it_is() {
        for sql in [
            "CHECK ((a = ANY (ARRAY[1, 2])))",
            "CHECK (a = ANY (ARRAY['x'::text, 'y'::text]))",
            "'(ARRAY[''a''::varchar])::text[]'",
            "$f$ (ARRAY['a'::varchar])::text[] $f$",
            "\"(ARRAY['a'::varchar])::text[]\"",
            "(ARRAY['a'",
            "SELECT $1, '$' || E'\\'(ARRAY['",
        ] {
            assert_eq!(keep(sql), sql);
        }
    }

    #[test]
    fn two_in_one_statement_and_parentheses() {
        assert_eq!(
            keep("((ARRAY[('a'::text)::v])::t[]), ((ARRAY[NULL::v])::t[])"),
            "(((ARRAY[('a'::text)::v])::v[])::t[]), (((ARRAY[NULL::v])::v[])::t[])"
        );
    }
}
