//! Whose rows go from the live database into the new revision, and whose do not: what the old
//! revisions insert is never lost unasked.

use super::{Options, Reference};
use crate::error::{Error, Kind, Result};
use crate::model::name::{QualifiedName, enumerate, shell_word};
use crate::ops::migrations::gate::Held;
use crate::ops::migrations::proof::{self, State};
use crate::pg::catalog::CatalogTable;
use crate::pg::ident::quote_qualified;
use crate::pg::seed;
use crate::pg::session::{Purpose, Session};
use crate::rules::pattern::Pattern;
use crate::rules::selection;
use std::collections::BTreeSet;

/// Tables whose live rows go into the new revision.
#[derive(Default)]
pub(super) struct Seeded {
    /// Their names.
    pub names: BTreeSet<QualifiedName>,
    /// Names of those whose rows do not.
    without: BTreeSet<QualifiedName>,
    /// All tables of the live database.
    pub tables: Vec<CatalogTable>,
}

impl Seeded {
    /// Finds the tables that `--seed` and `--no-seed` name.
    ///
    /// # Errors
    /// A pattern that no table matches; a table of too many rows, or that both name; `--no-seed` where rows come along.
    pub(super) fn find(options: &Options, held: &Held) -> Result<Self> {
        if options.reference == Reference::Chain && !options.without_rows.is_empty() {
            return Err(Error::new(
                Kind::Usage,
                "--no-seed is about rows that --reference live would leave out; without that, all rows of the old revisions come along",
            ));
        }
        if options.seeds.is_empty() && options.reference == Reference::Chain {
            return Ok(Self::default());
        }
        let mut session = Session::open(&options.connection, None, Purpose::Catalog)?;
        let tables = proof::tables(&mut session, &held.tables)?;
        let matching = |patterns: &[Pattern], what: &str| {
            let mut names = BTreeSet::new();
            for pattern in patterns {
                pattern.check_database(&session.facts.database)?;
                let found = tables.iter().filter(|table| pattern.matches(&table.name));
                let found: Vec<QualifiedName> = found.map(|table| table.name.clone()).collect();
                if found.is_empty() {
                    return Err(unknown(pattern, what, &tables));
                }
                names.extend(found);
            }
            Ok(names)
        };
        let names = matching(&options.seeds, "to take seed rows from")?;
        let without = matching(&options.without_rows, "to leave rows out of")?;
        if let Some(both) = names.intersection(&without).next() {
            let what = format!("both --seed and --no-seed name table {both}");
            return Err(Error::new(Kind::Usage, what));
        }
        for name in &names {
            seed::count(&mut session, name)?;
        }
        Ok(Self { names, without, tables })
    }

    /// Fails where rows of the old revisions, which build `state`, would be lost unasked. What the live
    /// database has no table for is none of its rows.
    ///
    /// # Errors
    /// [`Kind::Refused`], with the tables.
    pub(super) fn check(&self, state: &State) -> Result<()> {
        let is_lost = |name: &&QualifiedName| {
            let is_live = self.tables.iter().any(|table| table.name == **name);
            is_live && !self.names.contains(name) && !self.without.contains(name)
        };
        let lost: Vec<&QualifiedName> = state.rows.tables.keys().filter(is_lost).collect();
        match lost.is_empty() {
            true => Ok(()),
            false => Err(not_decided(&lost, state)),
        }
    }
}

fn unknown(pattern: &Pattern, what: &str, tables: &[CatalogTable]) -> Error {
    let error = Error::new(Kind::NotFound, format!("there is no table {} {what}", pattern.text()));
    match selection::meant(pattern, tables.iter().map(|table| &table.name)) {
        Some(meant) => error.hint(meant),
        None => error,
    }
}

fn not_decided(lost: &[&QualifiedName], state: &State) -> Error {
    let rows = |name: &&QualifiedName| {
        let count = state.rows.tables.get(*name).map_or(0, |content| content.rows);
        format!("{name} ({count} rows)")
    };
    let flag = |name: &&QualifiedName| format!("--seed {}", as_pattern(name));
    let flags = lost.iter().map(flag).collect::<Vec<_>>().join(" ");
    Error::refused(format!(
        "the old revisions insert rows, which with --reference live are not in the new one unless it is said which: {}",
        enumerate(&lost.iter().map(rows).collect::<Vec<_>>())
    ))
    .hint(format!("{flags} takes the live rows, --no-seed TABLE takes none"))
}

/// A pattern that names this table alone, for a shell.
fn as_pattern(name: &QualifiedName) -> String {
    let plain = |part: &str| part.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    match plain(&name.schema) && plain(&name.name) {
        true => format!("{}.{}", name.schema, name.name),
        false => shell_word(&quote_qualified(name)),
    }
}
