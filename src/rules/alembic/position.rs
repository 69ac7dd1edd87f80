//! Where a database stands: the rows of its version table against the graph of the files.

use super::graph::Graph;
use crate::model::name::{counted, enumerate, shell_word};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Something that keeps a database from standing at the one head of the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// There is no version table.
    NoTable,
    /// The version table is empty.
    Unstamped,
    /// A row is there more than once.
    Duplicate {
        /// Its revision.
        row: String,
    },
    /// A row names a revision that no file has.
    Unknown {
        /// The row.
        row: String,
    },
    /// A row holds the beginning of a revision's id, which Alembic understands only in part.
    Partial {
        /// The row.
        row: String,
        /// The revision.
        id: String,
    },
    /// A row names a revision that another row says is applied already.
    Overlap {
        /// The row.
        row: String,
        /// The other one.
        newer: String,
    },
    /// Revisions of the files are not applied.
    Behind {
        /// In the order in which they would be.
        missing: Vec<String>,
    },
    /// The files end in several heads.
    SeveralHeads {
        /// The heads.
        heads: Vec<String>,
    },
    /// There is not a single revision among the files.
    NoRevisions,
}

impl Finding {
    /// One word for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoTable => "no-version-table",
            Self::Unstamped => "unstamped",
            Self::Duplicate { .. } => "duplicate-row",
            Self::Unknown { .. } => "unknown-revision",
            Self::Partial { .. } => "partial-revision",
            Self::Overlap { .. } => "overlapping-row",
            Self::Behind { .. } => "behind",
            Self::SeveralHeads { .. } => "several-heads",
            Self::NoRevisions => "no-revisions",
        }
    }

    /// The revisions that it is about.
    pub fn revisions(&self) -> Vec<&str> {
        match self {
            Self::NoTable | Self::Unstamped | Self::NoRevisions => Vec::new(),
            Self::Duplicate { row } | Self::Unknown { row } => vec![row],
            Self::Partial { row, id } => vec![row, id],
            Self::Overlap { row, newer } => vec![row, newer],
            Self::Behind { missing: ids } | Self::SeveralHeads { heads: ids } => {
                ids.iter().map(String::as_str).collect()
            }
        }
    }

    /// What to do next.
    pub fn next_step(&self) -> String {
        match self {
            Self::NoTable | Self::Unstamped => String::from(
                "on an empty database run `alembic upgrade head`; where the tables are there, find out which revision they are at, then `alembic stamp` it",
            ),
            Self::Duplicate { row } => {
                format!(
                    "delete all rows but one that say {row}, and give the table its primary key back"
                )
            }
            Self::Unknown { .. } => String::from(
                "check out the code that the database was migrated with, or take the file from an archive with `pgark extract ARCHIVE --migrations`; never stamp over it",
            ),
            Self::Partial { row, id } => format!("set the row {row} to {id}, the whole id"),
            Self::Overlap { row, newer } => {
                format!("delete the row {row}: {newer} says already that it is applied")
            }
            Self::Behind { .. } => String::from("run `alembic upgrade head`"),
            Self::SeveralHeads { .. } => {
                String::from("join them with `alembic merge heads`, then `alembic upgrade head`")
            }
            Self::NoRevisions => {
                String::from("look at version_locations: revisions are expected in another folder")
            }
        }
    }

    /// The same for a project that is in another section of the ini file.
    pub fn next_step_in(&self, section: &str) -> String {
        in_section(&self.next_step(), section)
    }

    /// Whether files and database agree all the same.
    pub fn is_agreement(&self) -> bool {
        matches!(self, Self::SeveralHeads { .. })
    }
}

/// What is to be typed, where the section of the ini file is not Alembic's usual one.
pub fn in_section(next_step: &str, section: &str) -> String {
    match section {
        "alembic" => next_step.to_owned(),
        _ => next_step.replace("`alembic ", &format!("`alembic -n {} ", shell_word(section))),
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTable => write!(out, "there is no version table (alembic_version)"),
            Self::Unstamped => write!(out, "unstamped: the version table is empty"),
            Self::Duplicate { row } => write!(out, "revision {row} is there in more than one row"),
            Self::Unknown { row } => write!(out, "revision {row} is in no file"),
            Self::Partial { row, id } => {
                write!(out, "{row} is only the beginning of revision {id}")
            }
            Self::Overlap { row, newer } => {
                write!(out, "rows overlap: {row} is needed by {newer}, which is there as well")
            }
            Self::Behind { missing } => {
                write!(
                    out,
                    "behind by {}: {}",
                    counted(missing.len(), "revision"),
                    enumerate(missing)
                )
            }
            Self::SeveralHeads { heads } => {
                write!(out, "the files end in {} heads: {}", heads.len(), enumerate(heads))
            }
            Self::NoRevisions => write!(out, "the project holds no revision"),
        }
    }
}

/// Compares the rows of a version table, or `None` where there is none, with the files. Nothing is
/// found where the database stands at the one head. The graph must be sound.
pub fn compare(graph: &Graph, rows: Option<&[String]>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows.unwrap_or_default() {
        *times.entry(row).or_default() += 1;
    }
    let mut known = BTreeSet::new();
    for (row, count) in &times {
        if *count > 1 {
            findings.push(Finding::Duplicate { row: (*row).to_owned() });
        }
        match graph.find(row) {
            Ok(id) if id == *row => {
                known.insert(id);
            }
            Ok(id) => {
                findings.push(Finding::Partial { row: (*row).to_owned(), id: id.to_owned() });
                known.insert(id);
            }
            Err(_) => findings.push(Finding::Unknown { row: (*row).to_owned() }),
        }
    }
    for id in &known {
        let above = graph.descendants([*id]);
        if let Some(newer) = known.iter().find(|other| *other != id && above.contains(*other)) {
            findings.push(Finding::Overlap { row: (*id).to_owned(), newer: (*newer).to_owned() });
        }
    }
    match rows {
        None => findings.push(Finding::NoTable),
        Some([]) => findings.push(Finding::Unstamped),
        Some(_) => {}
    }
    if graph.is_empty() {
        findings.push(Finding::NoRevisions);
    }
    let applied = graph.ancestors(known);
    let missing = graph.order().into_iter().filter(|file| !applied.contains(file.id.as_str()));
    let missing: Vec<String> = missing.map(|file| file.id.clone()).collect();
    if !missing.is_empty() {
        findings.push(Finding::Behind { missing });
    }
    let heads = graph.heads();
    if heads.len() > 1 {
        let heads = heads.into_iter().map(str::to_owned).collect();
        findings.push(Finding::SeveralHeads { heads });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::graph::tests::graph;
    use super::*;

    fn kinds(graph: &Graph, rows: &[&str]) -> String {
        let rows: Vec<String> = rows.iter().map(|row| (*row).to_owned()).collect();
        let found = compare(graph, Some(&rows));
        let shown = |finding: &Finding| {
            assert!(!finding.next_step().is_empty() && !finding.to_string().is_empty());
            format!("{} {}", finding.kind(), finding.revisions().join(","))
        };
        found.iter().map(shown).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn every_position_has_its_findings() {
        let line = graph(&["aaaa1<", "bbbb2<aaaa1", "cccc3<bbbb2"]);
        for (rows, found) in [
            (&["cccc3"][..], ""),
            (&["aaaa1"], "behind bbbb2,cccc3"),
            (&[], "unstamped ; behind aaaa1,bbbb2,cccc3"),
            (&["zzzz"], "unknown-revision zzzz; behind aaaa1,bbbb2,cccc3"),
            (&["cccc3", "zzzz"], "unknown-revision zzzz"),
            (&["cccc3", "cccc3"], "duplicate-row cccc3"),
            (&["cccc"], "partial-revision cccc,cccc3"),
            (&["ccc"], "unknown-revision ccc; behind aaaa1,bbbb2,cccc3"),
            (&["aaaa1", "cccc3"], "overlapping-row aaaa1,cccc3"),
            (&["aaaa1", "bbbb2"], "overlapping-row aaaa1,bbbb2; behind cccc3"),
        ] {
            assert_eq!(kinds(&line, rows), found, "{rows:?}");
        }
        assert_eq!(compare(&line, None)[0], Finding::NoTable);
        assert_eq!(kinds(&graph(&[]), &[]), "unstamped ; no-revisions ");
    }

    #[test]
    fn several_heads_are_found_and_no_disagreement_where_all_are_applied() {
        let two = graph(&["a1<", "a2<a1", "b2<a1"]);
        assert_eq!(kinds(&two, &["a2", "b2"]), "several-heads a2,b2");
        assert_eq!(kinds(&two, &["a2"]), "behind b2; several-heads a2,b2");
        let rows = ["a2".to_owned(), "b2".to_owned()];
        assert!(compare(&two, Some(&rows)).iter().all(Finding::is_agreement));
        // What only depends on a head takes its row away; it stays a head.
        let leaning = graph(&["a1<", "a2<a1", "b1<", "b2<b1 !a2"]);
        assert_eq!(kinds(&leaning, &["b2"]), "several-heads a2,b2");
        assert_eq!(kinds(&leaning, &["a2", "b2"]), "overlapping-row a2,b2; several-heads a2,b2");
    }
}
