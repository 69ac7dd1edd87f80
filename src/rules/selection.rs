//! Which tables a backup takes: the operator's patterns against the names that exist.

use super::pattern::{Pattern, exactly};
use crate::error::{Error, Kind, Result};
use crate::model::condition::Condition;
use crate::model::name::{QualifiedName, enumerate};

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
    /// Those of the patterns above that speak of a table's children as well. Partitions go with their
    /// table; a table with other children is refused, for these are tables of their own here.
    pub with_children: Vec<Pattern>,
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
    /// [`Kind::NotFound`] for a pattern that matches nothing, with the nearest name; [`Kind::Usage`]
    /// if no table is left.
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
        let choices: Vec<Choice> = (0..tables.len()).map(choice).collect();
        if !choices.is_empty() && choices.iter().all(|choice| *choice == Choice::LeftOut) {
            return Err(Error::new(Kind::Usage, "the selection leaves out every table")
                .hint("what leaves a table out counts before what takes it"));
        }
        Ok(choices)
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
                let taken: Vec<&QualifiedName> = taken.map(|(table, _)| table).collect();
                return Err(no_table("table whose rows are taken", &filter.tables, &taken));
            }
        }
        Ok(conditions)
    }

    /// Fails where a pattern is about another database than this one.
    ///
    /// # Errors
    /// [`Kind::Usage`].
    pub fn check_database(&self, database: &str) -> Result<()> {
        self.all_of_tables()
            .chain(self.filters.iter().map(|filter| &filter.tables))
            .chain(&self.schemas)
            .chain(&self.exclude_schemas)
            .try_for_each(|pattern| pattern.check_database(database))
    }

    /// The first pattern of tables that none of these matches.
    pub fn unmatched(&self, tables: &[QualifiedName]) -> Option<&Pattern> {
        self.all_of_tables().find(|pattern| !tables.iter().any(|table| pattern.matches(table)))
    }

    fn all_of_tables(&self) -> impl Iterator<Item = &Pattern> {
        self.tables.iter().chain(&self.exclude_tables).chain(&self.exclude_data)
    }

    fn check_matches(&self, tables: &[QualifiedName]) -> Result<()> {
        if let Some(pattern) = self.unmatched(tables) {
            return Err(no_table("table", pattern, &tables.iter().collect::<Vec<_>>()));
        }
        for pattern in self.schemas.iter().chain(&self.exclude_schemas) {
            if !tables.iter().any(|table| pattern.matches_schema(&table.schema)) {
                let mut names: Vec<&str> = tables.iter().map(|t| t.schema.as_str()).collect();
                names.sort_unstable();
                names.dedup();
                let candidates =
                    names.iter().map(|name| ((*name).to_owned(), exactly(name))).collect();
                let there = names.iter().map(|name| exactly(name)).collect();
                return Err(no_match("schema with tables", pattern, candidates, there));
            }
        }
        Ok(())
    }
}

/// The failure of a pattern that matches none of `tables`.
fn no_table(what: &str, pattern: &Pattern, tables: &[&QualifiedName]) -> Error {
    let there = tables.iter().map(|table| exact(table)).collect();
    no_match(what, pattern, candidates(tables.iter().copied()), there)
}

/// What a pattern of tables may have meant: names as they are, and as patterns.
fn candidates<'a>(tables: impl Iterator<Item = &'a QualifiedName>) -> Vec<(String, String)> {
    tables
        .flat_map(|table| {
            let full = format!("{}.{}", table.schema, table.name);
            [(table.name.clone(), exactly(&table.name)), (full, exact(table))]
        })
        .collect()
}

fn exact(table: &QualifiedName) -> String {
    format!("{}.{}", exactly(&table.schema), exactly(&table.name))
}

fn no_match(
    what: &str,
    pattern: &Pattern,
    candidates: Vec<(String, String)>,
    there: Vec<String>,
) -> Error {
    /// More would hide the failure itself.
    const LISTED: usize = 8;
    let error = Error::new(Kind::NotFound, format!("no {what} matches \"{}\"", pattern.text()));
    let plain = pattern.plain().to_lowercase();
    let folded = candidates.into_iter().map(|(name, shown)| (name.to_lowercase(), shown));
    match nearest_of(&plain, folded) {
        Some(name) => error.hint(did_you_mean(&name)),
        None if there.is_empty() => error.hint(format!("there is no {what}")),
        None if there.len() <= LISTED => error.hint(format!("there is {}", enumerate(&there))),
        None => error.hint(format!(
            "there is {} and {} more",
            there[..LISTED].join(", "),
            there.len() - LISTED
        )),
    }
}

/// What to say of a pattern that matches none of `tables`, if one is near enough to be meant.
pub fn meant<'a>(
    pattern: &Pattern,
    tables: impl Iterator<Item = &'a QualifiedName>,
) -> Option<String> {
    let folded = candidates(tables).into_iter().map(|(name, shown)| (name.to_lowercase(), shown));
    nearest_of(&pattern.plain().to_lowercase(), folded).map(|name| did_you_mean(&name))
}

/// A pattern with double quotes stands in single ones, as a shell takes it.
fn did_you_mean(pattern: &str) -> String {
    match pattern.contains('"') {
        true => format!("did you mean '{pattern}'?"),
        false => format!("did you mean \"{pattern}\"?"),
    }
}

/// The name nearest to `wanted`, if one is near enough to be meant.
pub fn nearest(wanted: &str, names: impl Iterator<Item = String>) -> Option<String> {
    nearest_of(wanted, names.map(|name| (name.clone(), name)))
}

/// The same with what each name is shown as. A third of the letters may be wrong, but never all.
fn nearest_of(wanted: &str, names: impl Iterator<Item = (String, String)>) -> Option<String> {
    let letters = wanted.chars().count();
    names
        .map(|(name, shown)| (strsim::damerau_levenshtein(wanted, &name), shown))
        .filter(|(distance, _)| *distance <= letters.div_ceil(3) && *distance < letters)
        .min()
        .map(|(_, shown)| shown)
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
    fn a_selection_of_nothing_is_refused() {
        let selection = Selection {
            tables: patterns(&["a.x"]),
            exclude_tables: patterns(&["a.*"]),
            ..Selection::default()
        };
        assert_eq!(selection.choose(&names(), |_| None).unwrap_err().kind(), Kind::Usage);
        let rowless = Selection { exclude_data: patterns(&["*"]), ..Selection::default() };
        assert_eq!(rowless.choose(&names(), |_| None).unwrap(), [Choice::WithoutRows; 4]);
        assert_eq!(selection.choose(&[], |_| None).unwrap_err().kind(), Kind::NotFound);
        assert_eq!(Selection::default().choose(&[], |_| None).unwrap(), []);
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

    #[test]
    fn what_is_suggested_can_be_typed() {
        let names: Vec<QualifiedName> = ["Kunde", "dot.in", "Änderungen", "p", "a\"b"]
            .map(|name| QualifiedName::new("public", name))
            .into();
        let hint = |pattern: &str| {
            let selection = Selection { tables: patterns(&[pattern]), ..Selection::default() };
            selection.choose(&names, |_| None).unwrap_err().next_step().map(str::to_owned).unwrap()
        };
        assert_eq!(hint("Kunde"), "did you mean '\"Kunde\"'?");
        assert_eq!(hint("dot.in"), "did you mean '\"dot.in\"'?");
        assert_eq!(hint("public.kunde"), "did you mean 'public.\"Kunde\"'?");
        assert_eq!(hint("änderungen"), "did you mean \"Änderungen\"?");
        assert!(hint("x").starts_with("there is "), "one letter is no likeness: {}", hint("x"));
        for suggested in ["\"Kunde\"", "\"dot.in\"", "public.\"Kunde\"", "Änderungen"] {
            let selection = Selection { tables: patterns(&[suggested]), ..Selection::default() };
            selection.choose(&names, |_| None).unwrap();
        }
    }
}
