//! Keeps the server's own text of an expression from meaning something else when it is read back.
//!
//! `varchar_column IN ('a', 'b')` is kept as a comparison with a `varchar[]` that is cast to
//! `text[]` as a whole, and deparsed as `(ARRAY['a'::character varying, …])::text[]`. Read back,
//! a cast right after `ARRAY[…]` is pushed down to every element: another tree, and another text
//! the next time. (pg_dump's own output changes so after one restore.) A cast to the array's own
//! type in between, which does nothing, keeps the outer cast whole.

/// `sql` with that cast put in wherever all elements of an array are cast to one type, and the
/// array to another.
pub(super) fn keep(sql: &str) -> String {
    const OPENING: &str = "(ARRAY[";
    let mut kept = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(start) = find(rest, OPENING) {
        let inside = start + OPENING.len();
        let Some(length) = end_of_array(&rest[inside..]) else { break };
        let (elements, after) = (&rest[inside..inside + length], &rest[inside + length..]);
        match element_type(elements) {
            Some(element) if after.starts_with("])::") => {
                kept.push_str(&rest[..start]);
                kept.push_str(&format!("(({}{elements}])::{element}[]", &OPENING[1..]));
                // What follows is `)::outer[]`.
                rest = &after[1..];
            }
            _ => {
                kept.push_str(&rest[..inside]);
                rest = &rest[inside..];
            }
        }
    }
    kept.push_str(rest);
    kept
}

/// What stands in `text` outside of strings, quoted names, dollar quotes and comments: positions
/// and characters, with the depth of parentheses and brackets before and after each.
fn unquoted(text: &str) -> impl Iterator<Item = Unquoted> {
    let (mut position, mut depth) = (0, 0_i32);
    std::iter::from_fn(move || {
        while let Some(length) = quoted(&text[position..]) {
            position += length;
        }
        let character = text[position..].chars().next()?;
        let before = depth;
        match character {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            _ => {}
        }
        let found = Unquoted { position, character, before, after: depth };
        position += character.len_utf8();
        Some(found)
    })
}

struct Unquoted {
    position: usize,
    character: char,
    before: i32,
    after: i32,
}

/// Position of `wanted` outside of quotes.
pub(super) fn find(text: &str, wanted: &str) -> Option<usize> {
    unquoted(text).map(|at| at.position).find(|position| text[*position..].starts_with(wanted))
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
        '\'' => quoted(element)?,
        '(' => closing(element)?,
        'N' if element.starts_with("NULL") => 4,
        _ => return None,
    };
    let cast = element.get(operand..)?.strip_prefix("::")?;
    (!cast.contains("::") && !cast.is_empty()).then_some(cast)
}

/// Length of the parenthesis at the beginning of `text`.
fn closing(text: &str) -> Option<usize> {
    unquoted(text).find(|at| at.after == 0).map(|at| at.position + at.character.len_utf8())
}

/// Length of the quoted thing at the beginning of `text`: a string, a quoted name, a dollar
/// quote or a comment. (PostgreSQL, "Lexical Structure".)
fn quoted(text: &str) -> Option<usize> {
    let until = |from: usize, end: &str| {
        text[from..].find(end).map_or(text.len(), |found| from + found + end.len())
    };
    let bytes = text.as_bytes();
    match bytes.first()? {
        quote @ (b'\'' | b'"') => Some(until(1, std::str::from_utf8(&[*quote]).ok()?)),
        b'E' if bytes.get(1) == Some(&b'\'') => Some(end_of_escapes(text)),
        b'-' if text.starts_with("--") => Some(until(2, "\n")),
        b'/' if text.starts_with("/*") => Some(until(2, "*/")),
        b'$' => {
            let tag = text[1..].find('$').map(|end| &text[..end + 2])?;
            let name = &tag[1..tag.len() - 1];
            let is_tag = name.chars().all(|c| c.is_alphanumeric() || c == '_')
                && !name.starts_with(|c: char| c.is_ascii_digit());
            is_tag.then(|| until(tag.len(), tag))
        }
        _ => None,
    }
}

/// Length of a string with backslash escapes.
fn end_of_escapes(text: &str) -> usize {
    let mut escaped = false;
    for (position, character) in text.char_indices().skip(2) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\'' => return position + 1,
            _ => {}
        }
    }
    text.len()
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
    fn everything_else_stays_as_it_is() {
        for sql in [
            "CHECK ((a = ANY (ARRAY[1, 2])))",
            "CHECK (a = ANY (ARRAY['x'::text, 'y'::text]))",
            "x = ANY ((ARRAY[1, b])::bigint[])",
            "x = ANY ((ARRAY['a'::c, 'b'::d])::text[])",
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
