//! A key in two statements: its index, which several sessions can make on one table at once, and
//! the constraint that takes the index over, which is done in a moment.

use crate::model::lexing;

/// What makes a key. (PostgreSQL, "ALTER TABLE": `ADD table_constraint_using_index`.)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyByIndex {
    /// `CREATE UNIQUE INDEX …`
    pub index: String,
    /// `ALTER TABLE ONLY … ADD CONSTRAINT … USING INDEX …`
    pub key: String,
}

/// The two statements for `sql`, the one that adds the key `name` to `table`, both as in SQL. None
/// where it is not such a statement, and where the key's index is not one of plain columns.
pub fn split(sql: &str, table: &str, name: &str) -> Option<KeyByIndex> {
    let definition =
        sql.strip_prefix(&format!("ALTER TABLE ONLY {table} ADD CONSTRAINT {name} "))?;
    let (kind, nulls, rest) = [
        ("PRIMARY KEY", "", "PRIMARY KEY "),
        ("UNIQUE", " NULLS NOT DISTINCT", "UNIQUE NULLS NOT DISTINCT "),
        ("UNIQUE", "", "UNIQUE "),
    ]
    .into_iter()
    .find_map(|(kind, nulls, head)| Some((kind, nulls, definition.strip_prefix(head)?)))?;
    let (columns, rest) = parenthesis(rest)?;
    if lexing::find(columns, "WITHOUT OVERLAPS").is_some() {
        return None;
    }
    let (included, rest) = match rest.strip_prefix(" INCLUDE ") {
        Some(rest) => parenthesis(rest).map(|(included, rest)| (Some(included), rest))?,
        None => (None, rest),
    };
    let (options, when) = match rest.strip_prefix(" WITH ") {
        Some(rest) => parenthesis(rest).map(|(options, when)| (Some(options), when))?,
        None => (None, rest),
    };
    if !["", " DEFERRABLE", " DEFERRABLE INITIALLY DEFERRED"].contains(&when) {
        return None;
    }
    let included = included.map(|columns| format!(" INCLUDE {columns}")).unwrap_or_default();
    let options = options.map(|options| format!(" WITH {options}")).unwrap_or_default();
    Some(KeyByIndex {
        index: format!("CREATE UNIQUE INDEX {name} ON {table} {columns}{included}{nulls}{options}"),
        key: format!(
            "ALTER TABLE ONLY {table} ADD CONSTRAINT {name} {kind} USING INDEX {name}{when}"
        ),
    })
}

/// The parenthesis at the beginning of `text`, and what comes after it.
fn parenthesis(text: &str) -> Option<(&str, &str)> {
    text.starts_with('(').then(|| lexing::closing(text).map(|length| text.split_at(length)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split_of(definition: &str) -> Option<(String, String)> {
        let sql = format!("ALTER TABLE ONLY s.\"T (\" ADD CONSTRAINT k {definition}");
        let found = split(&sql, "s.\"T (\"", "k")?;
        Some((found.index, found.key))
    }

    #[test]
    fn a_key_becomes_an_index_and_a_constraint_that_takes_it_over() {
        let key = "ALTER TABLE ONLY s.\"T (\" ADD CONSTRAINT k";
        for (definition, index, constraint) in [
            ("PRIMARY KEY (id)", "(id)", "PRIMARY KEY USING INDEX k"),
            (
                "UNIQUE NULLS NOT DISTINCT (a, \"b)\") INCLUDE (c) WITH (fillfactor='70') DEFERRABLE",
                "(a, \"b)\") INCLUDE (c) NULLS NOT DISTINCT WITH (fillfactor='70')",
                "UNIQUE USING INDEX k DEFERRABLE",
            ),
            (
                "UNIQUE (\" WITHOUT OVERLAPS\") DEFERRABLE INITIALLY DEFERRED",
                "(\" WITHOUT OVERLAPS\")",
                "UNIQUE USING INDEX k DEFERRABLE INITIALLY DEFERRED",
            ),
        ] {
            let index = format!("CREATE UNIQUE INDEX k ON s.\"T (\" {index}");
            assert_eq!(split_of(definition), Some((index, format!("{key} {constraint}"))));
        }
    }

    #[test]
    fn what_is_no_key_of_plain_columns_stays_one_statement() {
        for definition in [
            "PRIMARY KEY (id, during WITHOUT OVERLAPS)",
            "EXCLUDE USING gist (a WITH =)",
            "FOREIGN KEY (a) REFERENCES s.u(a)",
            "UNIQUE (a) NOT ENFORCED",
            "UNIQUE (a",
            "PRIMARY KEY",
        ] {
            assert_eq!(split_of(definition), None, "{definition}");
        }
        assert_eq!(split("ALTER TABLE t ADD CONSTRAINT k UNIQUE (a)", "t", "k"), None);
    }
}
