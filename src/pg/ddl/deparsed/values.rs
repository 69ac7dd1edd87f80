//! Keeps a view that is a list of `VALUES` one.
//!
//! `CREATE VIEW v (a) AS VALUES (1)` is deparsed as `SELECT column1 AS a FROM (VALUES (1)) "*VALUES*"`. Read
//! back, that is a query over another one: another tree, and another text the next time. Only what is a
//! list by itself is deparsed without a space in `(VALUES`.

use crate::model::lexing::{closing, find, string_or_name, tokens};

/// A view's query with `VALUES` where it selects all of such a list, if it does that anywhere: then the
/// names of its columns are to be said with the view's.
pub(in crate::pg::ddl) fn without_select(query: &str) -> Option<String> {
    const SELECT: &str = "SELECT ";
    if !query.contains("(VALUES ") {
        return None;
    }
    let mut kept = String::with_capacity(query.len());
    let mut rest = query;
    let mut found = false;
    while let Some(start) = find(rest, SELECT) {
        let (before, after) = rest.split_at(start + SELECT.len());
        match all_of_values(after) {
            Some((list, end)) => {
                kept.push_str(&before[..start]);
                kept.push_str(list);
                rest = &after[end..];
                found = true;
            }
            None => {
                kept.push_str(before);
                rest = after;
            }
        }
    }
    kept.push_str(rest);
    found.then_some(kept)
}

/// The list of which all columns are selected and nothing else, and where that ends.
fn all_of_values(text: &str) -> Option<(&str, usize)> {
    const FROM: &str = "FROM (VALUES ";
    let from = find(text, FROM)?;
    let is_column = |token: &str| token == "AS" || token.starts_with(['"', '.', ',', ' ', '\n']);
    if !tokens(&text[..from]).all(is_column) {
        return None;
    }
    let open = from + "FROM ".len();
    let close = open + closing(&text[open..])?;
    let alias = text[close..].strip_prefix(' ').filter(|rest| rest.starts_with("\"*VALUES*"))?;
    let end = close + 1 + string_or_name(alias)?;
    Some((&text[open + 1..close - 1], end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_lists() {
        let query = r#"SELECT "*VALUES*"."column1" AS "a",
    "*VALUES*"."column2" AS " ""FROM"
   FROM (VALUES (1,')'::"text"), (2,'y'::"text")) "*VALUES*"
UNION ALL
 SELECT 3 AS "a"
UNION
( SELECT "column1" AS "a"
   FROM (VALUES (5)) "*VALUES*_1"
 LIMIT 3)"#;
        let kept = r#"VALUES (1,')'::"text"), (2,'y'::"text")
UNION ALL
 SELECT 3 AS "a"
UNION
( VALUES (5)
 LIMIT 3)"#;
        assert_eq!(without_select(query).as_deref(), Some(kept));
    }

    #[test]
    fn queries_over_lists_are_not() {
        for query in [
            r#"SELECT "p" FROM ( VALUES (1,2)) "v"("p", "q")"#,
            r#"SELECT '(VALUES ' AS "a" FROM "t""#,
            r#"SELECT ("column1" + 1) AS "a" FROM (VALUES (1)) "*VALUES*""#,
            r#"SELECT "a" FROM (VALUES (1)) "v""#,
        ] {
            assert_eq!(without_select(query), None);
        }
    }
}
