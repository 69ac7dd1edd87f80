//! Keeps a condition that begins another one of the same kind apart from it.
//!
//! `a BETWEEN 1 AND 5 AND b > 0` is kept as an AND in an AND, and deparsed as
//! `(((a >= 1) AND (a <= 5)) AND (b > 0))`. Read back, an AND that another one begins with is taken into
//! it, parentheses or not: another tree, and another text the next time. So is an OR. A cast to boolean in
//! between, which does nothing, keeps them apart. (PostgreSQL's grammar, `makeAndExpr`.)

use crate::model::lexing::unquoted;

const CAST: &str = "::boolean";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    And,
    Or,
}

/// A parenthesis that is not closed yet.
#[derive(Default)]
struct Parenthesis {
    opened: usize,
    kind: Option<Kind>,
    /// What the parenthesis that it begins with is, and where that ends.
    first: Option<(Kind, usize)>,
}

/// `sql` with that cast behind every AND that begins an AND, and every OR that begins an OR.
pub(super) fn keep(sql: &str) -> String {
    let mut kept = String::with_capacity(sql.len());
    let mut done = 0;
    for place in nested(sql) {
        kept.push_str(&sql[done..place]);
        kept.push_str(CAST);
        done = place;
    }
    kept.push_str(&sql[done..]);
    kept
}

/// Where those end that begin another one of the same kind, in order.
fn nested(sql: &str) -> Vec<usize> {
    let mut places = Vec::new();
    let mut open: Vec<Parenthesis> = Vec::new();
    for at in unquoted(sql) {
        match at.character {
            '(' | '[' => open.push(Parenthesis { opened: at.position, ..Parenthesis::default() }),
            ')' | ']' => {
                let Some(closed) = open.pop() else { return places };
                let Some((kind, outer)) = closed.kind.zip(open.last_mut()) else { continue };
                if outer.opened + 1 == closed.opened {
                    outer.first = Some((kind, at.position + 1));
                }
            }
            ' ' => {
                let Some(inner) = open.last_mut().filter(|inner| inner.kind.is_none()) else {
                    continue;
                };
                inner.kind = connective(&sql[at.position..]);
                if let Some((kind, end)) = inner.first
                    && inner.kind == Some(kind)
                    && end == at.position
                {
                    places.push(end);
                }
            }
            _ => {}
        }
    }
    places.sort_unstable();
    places
}

fn connective(text: &str) -> Option<Kind> {
    match text {
        _ if text.starts_with(" AND ") => Some(Kind::And),
        _ if text.starts_with(" OR ") => Some(Kind::Or),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_begins_one_of_its_kind_stays_apart() {
        for (sql, kept) in [
            (
                r#"CHECK (((("a" >= 1) AND ("a" <= 5)) AND ("b" > 0)))"#,
                r#"CHECK (((("a" >= 1) AND ("a" <= 5))::boolean AND ("b" > 0)))"#,
            ),
            (
                "((((a OR b) OR c) OR (d AND e)) AND ((f AND g) AND h))",
                "((((a OR b)::boolean OR c)::boolean OR (d AND e)) AND ((f AND g)::boolean AND h))",
            ),
        ] {
            assert_eq!(keep(sql), kept);
        }
    }

    #[test]
    fn everything_else_stays_as_it_is() {
        for sql in [
            "CHECK (((a > 1) AND (b > 2) AND (c > 3)))",
            "((a AND b) OR c), ((a OR b) AND c), (a AND (b AND c))",
            "((a AND b) IS TRUE), (f(a AND b) AND c), ((a AND b) = c)",
            "((NOT (a AND b)) AND c), ((a = ANY (b)) AND c)",
            "sum(x) OVER ((ROWS BETWEEN 1 PRECEDING AND CURRENT ROW))",
            "'((a AND b) AND c)', $$ ((a AND b) AND c) $$, \"((a AND b) AND c)\"",
            "((a AND b)",
            "a AND b))",
        ] {
            assert_eq!(keep(sql), sql);
        }
    }
}
