//! Keeps a minus in front of a number an operator.
//!
//! `-1::integer` is the operator on the number 1, and deparsed as `(- 1)`. Read back, that is the number
//! -1: another tree, and another text the next time. An operator with its schema is never taken into the
//! number, and is deparsed without it. (PostgreSQL's grammar, `doNegate`.)

use crate::model::lexing::find;

const MINUS: &str = "(- ";

/// `sql` with the schema of every minus in front of a number.
pub(super) fn keep(sql: &str) -> String {
    let mut kept = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(start) = find(rest, MINUS) {
        let (before, after) = rest.split_at(start + MINUS.len());
        if after.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            kept.push_str(&before[..start]);
            kept.push_str("(OPERATOR(pg_catalog.-) ");
        } else {
            kept.push_str(before);
        }
        rest = after;
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_keeps_its_operator() {
        assert_eq!(
            keep(r#"CHECK (("a" > (- 1))), (- 1.5), (- (- 2)), (- "a"), ("a" - 1), '(- 1)'"#),
            r#"CHECK (("a" > (OPERATOR(pg_catalog.-) 1))), (OPERATOR(pg_catalog.-) 1.5), (- (OPERATOR(pg_catalog.-) 2)), (- "a"), ("a" - 1), '(- 1)'"#
        );
    }
}
