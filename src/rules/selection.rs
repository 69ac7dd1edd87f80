//! Which tables a backup takes: the operator's patterns against the names that exist.

mod unmatched;

pub use unmatched::{meant, nearest};

use super::pattern::Pattern;
use crate::error::{Error, Kind, Result};
use crate::model::condition::Condition;
use crate::model::name::QualifiedName;
use unmatched::{exact, no_name, no_table};

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
    /// Of the extensions, take only these; that says nothing of anything else.
    pub extensions: Vec<Pattern>,
    /// Leave these extensions out.
    pub exclude_extensions: Vec<Pattern>,
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
        self.is_inclusive()
            && self.exclude_tables.is_empty()
            && self.exclude_schemas.is_empty()
            && self.of_extensions().next().is_none()
    }

    /// Whether everything is taken that is not left out by name.
    pub fn is_inclusive(&self) -> bool {
        self.tables.is_empty() && self.schemas.is_empty()
    }

    /// Whether objects other than tables are taken by the schema they lie in.
    pub fn takes_schema(&self, schema: &str) -> bool {
        let any = |patterns: &[Pattern]| patterns.iter().any(|p| p.matches_plain(schema));
        !any(&self.exclude_schemas) && (self.is_inclusive() || any(&self.schemas))
    }

    /// Whether an extension is taken or left out, where the patterns say so by its name.
    pub fn takes_extension(&self, name: &str) -> Option<bool> {
        let any = |patterns: &[Pattern]| patterns.iter().any(|p| p.matches_plain(name));
        match any(&self.exclude_extensions) {
            true => Some(false),
            false => (!self.extensions.is_empty()).then(|| any(&self.extensions)),
        }
    }

    /// Whether the patterns take a relation of this name.
    pub fn takes_relation(&self, name: &QualifiedName) -> bool {
        let by_name = |patterns: &[Pattern]| patterns.iter().any(|p| p.matches(name));
        let by_schema =
            |patterns: &[Pattern]| patterns.iter().any(|p| p.matches_plain(&name.schema));
        (self.is_inclusive() || by_name(&self.tables) || by_schema(&self.schemas))
            && !by_name(&self.exclude_tables)
            && !by_schema(&self.exclude_schemas)
    }

    /// The same with patterns for the tables that inherit, by one of the pairs of parent and child,
    /// from those of which a pattern speaks with its children.
    ///
    /// # Errors
    /// Those of [`Pattern::new`], which a name's own pattern does not give.
    pub fn with_children(&self, inherited: &[(QualifiedName, QualifiedName)]) -> Result<Self> {
        let mut selection = self.clone();
        let Self { tables, exclude_tables, exclude_data, .. } = &mut selection;
        for patterns in [tables, exclude_tables, exclude_data] {
            let of_parents = patterns.iter().filter(|pattern| pattern.and_children);
            let mut found: Vec<&QualifiedName> = inherited
                .iter()
                .filter(|(parent, _)| of_parents.clone().any(|pattern| pattern.matches(parent)))
                .map(|(_, child)| child)
                .collect();
            let mut next = 0;
            while let Some(child) = found.get(next).copied() {
                next += 1;
                let below = inherited.iter().filter(|(parent, _)| parent == child);
                for (_, below) in below {
                    if !found.contains(&below) {
                        found.push(below);
                    }
                }
            }
            for child in found {
                patterns.push(Pattern::new(&exact(child))?);
            }
        }
        Ok(selection)
    }

    /// Whether a pattern speaks of the tables that inherit from others.
    pub fn speaks_of_children(&self) -> bool {
        self.all_of_tables().any(|pattern| pattern.and_children)
    }

    /// Decides on every table. `parent` gives a partition's partitioned table: whatever is
    /// decided by name for that goes for its partitions too, since their rows are its rows.
    /// `extension` gives the extension whose configuration a table is, and with which it goes.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for a pattern that matches nothing, with the nearest name; [`Kind::Usage`]
    /// if no table is left.
    pub fn choose<'a>(
        &self,
        tables: &[QualifiedName],
        parent: impl Fn(usize) -> Option<usize>,
        extension: impl Fn(usize) -> Option<&'a str>,
    ) -> Result<Vec<Choice>> {
        self.check_matches(tables)?;
        self.decide(tables, parent, extension)
    }

    /// The same where patterns may match nothing: those that [`Self::with_children`] has added may
    /// be of children that are no tables of an archive's.
    ///
    /// # Errors
    /// [`Kind::Usage`] if no table is left.
    pub fn decide<'a>(
        &self,
        tables: &[QualifiedName],
        parent: impl Fn(usize) -> Option<usize>,
        extension: impl Fn(usize) -> Option<&'a str>,
    ) -> Result<Vec<Choice>> {
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
            let with_extension = extension(table).and_then(|name| self.takes_extension(name));
            let included = self.is_inclusive()
                || with_extension == Some(true)
                || matched(&self.tables, table)
                || self.schemas.iter().any(|pattern| pattern.matches_plain(schema));
            let excluded = with_extension == Some(false)
                || matched(&self.exclude_tables, table)
                || self.exclude_schemas.iter().any(|pattern| pattern.matches_plain(schema));
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
            .chain(self.of_extensions())
            .try_for_each(|pattern| pattern.check_database(database))
    }

    /// The first pattern of tables that none of these matches.
    pub fn unmatched(&self, tables: &[QualifiedName]) -> Option<&Pattern> {
        self.all_of_tables().find(|pattern| !tables.iter().any(|table| pattern.matches(table)))
    }

    /// The patterns of extensions.
    pub fn of_extensions(&self) -> impl Iterator<Item = &Pattern> {
        self.extensions.iter().chain(&self.exclude_extensions)
    }

    /// Fails for a pattern that matches none of the database's extensions.
    ///
    /// # Errors
    /// [`Kind::NotFound`], with the nearest name.
    pub fn check_extensions(&self, names: &[String]) -> Result<()> {
        let is_there = |pattern: &Pattern| names.iter().any(|name| pattern.matches_plain(name));
        match self.of_extensions().find(|pattern| !is_there(pattern)) {
            Some(pattern) => Err(no_name("extension", pattern, names)),
            None => Ok(()),
        }
    }

    fn all_of_tables(&self) -> impl Iterator<Item = &Pattern> {
        self.tables.iter().chain(&self.exclude_tables).chain(&self.exclude_data)
    }

    /// Fails for a pattern that matches none of these tables.
    ///
    /// # Errors
    /// [`Kind::NotFound`], with the nearest name.
    pub fn check_matches(&self, tables: &[QualifiedName]) -> Result<()> {
        if let Some(pattern) = self.unmatched(tables) {
            return Err(no_table("table", pattern, &tables.iter().collect::<Vec<_>>()));
        }
        for pattern in self.schemas.iter().chain(&self.exclude_schemas) {
            if !tables.iter().any(|table| pattern.matches_plain(&table.schema)) {
                let mut names: Vec<&str> = tables.iter().map(|t| t.schema.as_str()).collect();
                names.sort_unstable();
                names.dedup();
                return Err(no_name("schema with tables", pattern, &names));
            }
        }
        Ok(())
    }
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
        let choices =
            selection.choose(&names(), |table| (table == 3).then_some(2), |_| None).unwrap();
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
        let choices = selection.choose(&names(), |_| None, |_| None).unwrap();
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
        assert_eq!(selection.choose(&names(), |_| None, |_| None).unwrap_err().kind(), Kind::Usage);
        let rowless = Selection { exclude_data: patterns(&["*"]), ..Selection::default() };
        assert_eq!(rowless.choose(&names(), |_| None, |_| None).unwrap(), [Choice::WithoutRows; 4]);
        assert_eq!(selection.choose(&[], |_| None, |_| None).unwrap_err().kind(), Kind::NotFound);
        assert_eq!(Selection::default().choose(&[], |_| None, |_| None).unwrap(), []);
    }

    #[test]
    fn a_condition_goes_for_a_table_and_its_partitions() {
        let filters = |texts: &[&str]| Selection {
            filters: texts.iter().map(|text| RowFilter::new(text).unwrap()).collect(),
            ..Selection::default()
        };
        let parent = |table| (table == 3).then_some(2);
        let one = |selection: &Selection| {
            let choices = selection.choose(&names(), parent, |_| None).unwrap();
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
    fn an_extension_and_its_configuration_go_by_its_own_patterns() {
        let of = |extensions: &[&str], exclude: &[&str], tables: &[&str]| {
            let selection = Selection {
                extensions: patterns(extensions),
                exclude_extensions: patterns(exclude),
                tables: patterns(tables),
                ..Selection::default()
            };
            let choices =
                selection.choose(&names(), |_| None, |table| (table == 1).then_some("cron"));
            (selection.takes_extension("cron"), choices.unwrap())
        };
        use Choice::{LeftOut, Whole};
        assert_eq!(of(&[], &[], &[]), (None, vec![Whole; 4]));
        assert_eq!(of(&["cron"], &[], &[]), (Some(true), vec![Whole; 4]));
        assert_eq!(of(&["cr*"], &[], &["a.x"]).1, [Whole, Whole, LeftOut, LeftOut]);
        assert_eq!(of(&["other"], &[], &[]), (Some(false), vec![Whole, LeftOut, Whole, Whole]));
        assert_eq!(of(&["cron"], &["cron"], &[]).0, Some(false));
        let selection = Selection { extensions: patterns(&["corn"]), ..Selection::default() };
        assert!(!selection.is_everything() && selection.is_inclusive());
        let error = selection.check_extensions(&[String::from("cron")]).unwrap_err();
        assert_eq!(error.next_step(), Some("did you mean \"cron\"?"));
    }

    #[test]
    fn a_pattern_without_match_names_the_nearest() {
        let selection = Selection { tables: patterns(&["x_2052"]), ..Selection::default() };
        let error = selection.choose(&names(), |_| None, |_| None).unwrap_err();
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
            selection
                .choose(&names, |_| None, |_| None)
                .unwrap_err()
                .next_step()
                .map(str::to_owned)
                .unwrap()
        };
        assert_eq!(hint("Kunde"), "did you mean '\"Kunde\"'?");
        assert_eq!(hint("dot.in"), "did you mean '\"dot.in\"'?");
        assert_eq!(hint("public.kunde"), "did you mean 'public.\"Kunde\"'?");
        assert_eq!(hint("änderungen"), "did you mean \"Änderungen\"?");
        assert!(hint("x").starts_with("there is "), "one letter is no likeness: {}", hint("x"));
        for suggested in ["\"Kunde\"", "\"dot.in\"", "public.\"Kunde\"", "Änderungen"] {
            let selection = Selection { tables: patterns(&[suggested]), ..Selection::default() };
            selection.choose(&names, |_| None, |_| None).unwrap();
        }
    }
}
