//! Keeps the marks of a `CYCLE` clause what the grammar takes.
//!
//! `CYCLE … SET is_cycle TO 'Y' DEFAULT 'N'` is deparsed as `TO 'Y'::text DEFAULT 'N'::text`, and no cast
//! may stand there: the statement cannot be read back. A type in front of its literal may.
//! (PostgreSQL's grammar, `AexprConst`.)

use crate::model::lexing::{find, string, tokens};

/// `sql` with the types of such marks in front of them.
pub(super) fn keep(sql: &str) -> String {
    const CYCLE: &str = " CYCLE ";
    let mut kept = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(start) = find(rest, CYCLE) {
        let (before, clause) = rest.split_at(start + CYCLE.len());
        kept.push_str(before);
        rest = clause;
        let Some([mark, default]) = marks(clause) else { continue };
        kept.push_str(&clause[..mark.0]);
        kept.push_str(&as_literal(&clause[mark.0..mark.1]));
        kept.push_str(&clause[mark.1..default.0]);
        kept.push_str(&as_literal(&clause[default.0..default.1]));
        rest = &clause[default.1..];
    }
    kept.push_str(rest);
    kept
}

/// Where the two marks of a clause begin and end, if it states any.
fn marks(clause: &str) -> Option<[(usize, usize); 2]> {
    let set = find(clause, " SET ")?;
    let is_list = tokens(&clause[..set]).all(|token| token.starts_with(['"', ',', ' ']));
    let to = after(clause, set + " SET ".len(), " TO ").filter(|_| is_list)?;
    let column = &clause[set + " SET ".len()..to - " TO ".len()];
    if tokens(column).count() != 1 {
        return None;
    }
    let default = after(clause, to, " DEFAULT ")?;
    let using = after(clause, default, " USING ")?;
    Some([(to, default - " DEFAULT ".len()), (default, using - " USING ".len())])
}

/// Where what follows `word` begins.
fn after(text: &str, from: usize, word: &str) -> Option<usize> {
    Some(from + find(&text[from..], word)? + word.len())
}

/// A constant with its type in front of it, where it has one.
fn as_literal(constant: &str) -> String {
    // What is unknown there has the type of the other mark.
    if constant.starts_with("NULL::") {
        return String::from("NULL");
    }
    let literal = string(constant).map(|end| constant.split_at(end));
    let typed = literal.and_then(|(literal, rest)| Some((literal, rest.strip_prefix("::")?)));
    typed.map_or_else(|| constant.to_owned(), |(literal, type_sql)| format!("{type_sql} {literal}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_come_before_their_literals() {
        assert_eq!(
            keep(
                r#") CYCLE "f", "t" SET "is" TO 'it''s'::"text" DEFAULT E'\\'::character varying(3) USING "path" SELECT 'x'::"text""#
            ),
            r#") CYCLE "f", "t" SET "is" TO "text" 'it''s' DEFAULT character varying(3) E'\\' USING "path" SELECT 'x'::"text""#
        );
        assert_eq!(
            keep(r#") CYCLE "f" SET "is" TO 1 DEFAULT NULL::integer USING "p""#),
            r#") CYCLE "f" SET "is" TO 1 DEFAULT NULL USING "p""#
        );
    }

    #[test]
    fn everything_else_stays_as_it_is() {
        for sql in [
            r#") CYCLE "f" SET "is" USING "p""#,
            "CREATE SEQUENCE s NO CYCLE ",
            "ALTER SEQUENCE s CYCLE SET SCHEMA x",
            "' CYCLE \"f\" SET \"is\" TO 1::int DEFAULT 2::int USING \"p\"'",
        ] {
            assert_eq!(keep(sql), sql);
        }
    }
}
