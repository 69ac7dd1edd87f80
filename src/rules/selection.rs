//! Which tables a backup takes: the operator's patterns against the names that exist.

use super::pattern::Pattern;
use crate::error::{Error, Kind, Result};
use crate::model::condition::Condition;
use crate::model::name::QualifiedName;

/// What the operator asked for. Empty, it is everything.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Take only these tables.
    pub tables: Vec<Pattern>,
    /// Leave these tables out.
    pub exclude_tables: Vec<Pattern>,
    /// Take only what lies in these schemas.
    pub schemas: Vec<Pattern>,
    /// Leave these schemas out.
    pub exclude_schemas: Vec<Pattern>,
    /// Take these tables without their rows.
    pub exclude_data: Vec<Pattern>,
    /// Take of these tables only some rows.
    pub filters: Vec<RowFilter>,
}

/// `TABLE=CONDITION`: which rows of some tables are taken.
#[derive(Clone, Debug)]
pub struct RowFilter {
    /// The tables.
    pub tables: Pattern,
    /// What a row must meet.
    pub condition: Condition,
    text: String,
}

impl RowFilter {
    /// Reads `TABLE=CONDITION`, a pattern and an SQL expression.
    ///
    /// # Errors
    /// [`Kind::Usage`] for what is not that.
    pub fn new(text: &str) -> Result<Self> {
        let mut quoted = false;
        let equals = text.char_indices().find(|(_, character)| {
            quoted ^= *character == '"';
            *character == '=' && !quoted
        });
        let Some((at, _)) = equals else {
            return Err(Error::new(Kind::Usage, format!("\"{text}\" is not TABLE=CONDITION")));
        };
        Ok(Self {
            tables: Pattern::new(text[..at].trim())?,
            condition: Condition::chosen(&text[at + 1..])?,
            text: text.to_owned(),
        })
    }

    /// The filter as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// What is to happen to one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Definition and rows.
    Whole,
    /// The definition alone.
    WithoutRows,
    /// Neither.
    LeftOut,
}

impl Selection {
    /// Whether everything is taken.
    pub fn is_everything(&self) -> bool {
        self.is_inclusive() && self.exclude_tables.is_empty() && self.exclude_schemas.is_empty()
    }

    /// Whether everything is taken that is not left out by name.
    pub fn is_inclusive(&self) -> bool {
        self.tables.is_empty() && self.schemas.is_empty()
    }

    /// Whether objects other than tables are taken by the schema they lie in.
    pub fn takes_schema(&self, schema: &str) -> bool {
        let any = |patterns: &[Pattern]| patterns.iter().any(|p| p.matches_schema(schema));
        !any(&self.exclude_schemas) && (self.is_inclusive() || any(&self.schemas))
    }

    /// Whether the patterns take a relation of this name.
    pub fn takes_relation(&self, name: &QualifiedName) -> bool {
        let by_name = |patterns: &[Pattern]| patterns.iter().any(|p| p.matches(name));
        let by_schema =
            |patterns: &[Pattern]| patterns.iter().any(|p| p.matches_schema(&name.schema));
        (self.is_inclusive() || by_name(&self.tables) || by_schema(&self.schemas))
            && !by_name(&self.exclude_tables)
            && !by_schema(&self.exclude_schemas)
    }

    /// Decides on every table. `parents` gives a partition's partitioned table: whatever is
    /// decided by name for that goes for its partitions too, since their rows are its rows.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for a pattern that matches nothing, with the nearest name.
    pub fn choose(
        &self,
        tables: &[QualifiedName],
        parent: impl Fn(usize) -> Option<usize>,
    ) -> Result<Vec<Choice>> {
        self.check_matches(tables)?;
        let matched = |patterns: &[Pattern], mut table: usize| loop {
            if patterns.iter().any(|pattern| pattern.matches(&tables[table])) {
                return true;
            }
            match parent(table) {
                Some(above) => table = above,
                None => return false,
            }
        };
        let choice = |table: usize| {
            let schema = &tables[table].schema;
            let included = self.is_inclusive()
                || matched(&self.tables, table)
                || self.schemas.iter().any(|pattern| pattern.matches_schema(schema));
            let excluded = matched(&self.exclude_tables, table)
                || self.exclude_schemas.iter().any(|pattern| pattern.matches_schema(schema));
            if !included || excluded {
                Choice::LeftOut
            } else if matched(&self.exclude_data, table) {
                Choice::WithoutRows
            } else {
                Choice::Whole
            }
        };
        Ok((0..tables.len()).map(choice).collect())
    }

    /// The condition on each table's rows, where there is one. `choices` is what [`Self::choose`]
    /// decided.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for a filter that concerns no table whose rows are taken, [`Kind::Usage`]
    /// for two that concern the same.
    pub fn filter(
        &self,
        tables: &[QualifiedName],
        parent: impl Fn(usize) -> Option<usize>,
        choices: &[Choice],
    ) -> Result<Vec<Option<Condition>>> {
        let mut conditions = vec![None; tables.len()];
        for filter in &self.filters {
            let mut concerned = false;
            for (table, name) in tables.iter().enumerate() {
                let lineage = std::iter::successors(Some(table), |table| parent(*table));
                let matches = lineage.into_iter().any(|t| filter.tables.matches(&tables[t]));
                if !matches || choices[table] != Choice::Whole {
                    continue;
                }
                concerned = true;
                if conditions[table].replace(filter.condition.clone()).is_some() {
                    return Err(Error::new(
                        Kind::Usage,
                        format!("there are two conditions on the rows of {name}"),
                    )
                    .hint("join them with AND"));
                }
            }
            if !concerned {
                let taken = tables.iter().zip(choices).filter(|(_, c)| **c == Choice::Whole);
                let names = taken.flat_map(|(table, _)| [table.name.clone(), table.to_string()]);
                return Err(no_match("table whose rows are taken", &filter.tables, names));
            }
        }
        Ok(conditions)
    }

    fn check_matches(&self, tables: &[QualifiedName]) -> Result<()> {
        for pattern in self.tables.iter().chain(&self.exclude_tables).chain(&self.exclude_data) {
            if !tables.iter().any(|table| pattern.matches(table)) {
                let names = tables.iter().flat_map(|table| [table.name.clone(), table.to_string()]);
                return Err(no_match("table", pattern, names));
            }
        }
        for pattern in self.schemas.iter().chain(&self.exclude_schemas) {
            if !tables.iter().any(|table| pattern.matches_schema(&table.schema)) {
                let names = tables.iter().map(|table| table.schema.clone());
                return Err(no_match("schema with tables", pattern, names));
            }
        }
        Ok(())
    }
}

fn no_match(what: &str, pattern: &Pattern, names: impl Iterator<Item = String>) -> Error {
    let error = Error::new(Kind::NotFound, format!("no {what} matches \"{}\"", pattern.text()));
    match nearest(pattern.text(), names) {
        Some(name) => error.hint(format!("did you mean \"{name}\"?")),
        None => error,
    }
}

/// The name nearest to `wanted`, if one is near enough to be meant.
pub fn nearest(wanted: &str, names: impl Iterator<Item = String>) -> Option<String> {
    let distance = |name: &String| strsim::damerau_levenshtein(wanted, name);
    names
        .map(|name| (distance(&name), name))
        .filter(|(distance, _)| *distance <= wanted.chars().count().div_ceil(3))
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        texts.iter().map(|text| Pattern::new(text).unwrap()).collect()
    }

    fn names() -> Vec<QualifiedName> {
        ["a.x", "a.y", "b.x", "b.x_2025"]
            .iter()
            .map(|name| name.split_once('.').unwrap())
            .map(|(schema, name)| QualifiedName::new(schema, name))
            .collect()
    }

    #[test]
    fn partitions_go_with_their_table() {
        let selection = Selection { tables: patterns(&["b.x"]), ..Selection::default() };
        let choices = selection.choose(&names(), |table| (table == 3).then_some(2)).unwrap();
        use Choice::{LeftOut, Whole};
        assert_eq!(choices, [LeftOut, LeftOut, Whole, Whole]);
    }

    #[test]
    fn exclusions_win() {
        let selection = Selection {
            schemas: patterns(&["a"]),
            exclude_tables: patterns(&["*.y"]),
            exclude_data: patterns(&["x"]),
            ..Selection::default()
        };
        let choices = selection.choose(&names(), |_| None).unwrap();
        use Choice::{LeftOut, WithoutRows};
        assert_eq!(choices, [WithoutRows, LeftOut, LeftOut, LeftOut]);
    }

    #[test]
    fn a_condition_goes_for_a_table_and_its_partitions() {
        let filters = |texts: &[&str]| Selection {
            filters: texts.iter().map(|text| RowFilter::new(text).unwrap()).collect(),
            ..Selection::default()
        };
        let parent = |table| (table == 3).then_some(2);
        let one = |selection: &Selection| {
            let choices = selection.choose(&names(), parent).unwrap();
            selection.filter(&names(), parent, &choices)
        };
        let chosen = one(&filters(&["b.x = id = 3", "\"y\"=a"])).unwrap();
        let chosen: Vec<_> = chosen.iter().map(|c| c.as_ref().map(Condition::clause)).collect();
        let same = Some("WHERE (id = 3)");
        assert_eq!(chosen, [None, Some("WHERE (a)"), same, same]);
        assert_eq!(one(&filters(&["x=a", "b.x=b"])).unwrap_err().kind(), Kind::Usage);
        let error = one(&filters(&["b.xx=a"])).unwrap_err();
        assert_eq!(error.next_step(), Some("did you mean \"b.x\"?"));
        let mut left_out = filters(&["b.x=a"]);
        left_out.exclude_data = patterns(&["b.x"]);
        assert_eq!(one(&left_out).unwrap_err().kind(), Kind::NotFound);
        for wrong in ["x", "x=", "=a", "x=a)"] {
            assert!(RowFilter::new(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_pattern_without_match_names_the_nearest() {
        let selection = Selection { tables: patterns(&["x_2052"]), ..Selection::default() };
        let error = selection.choose(&names(), |_| None).unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound);
        assert_eq!(error.next_step(), Some("did you mean \"x_2025\"?"));
    }
}
