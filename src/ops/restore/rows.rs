//! One table's rows among those that are there, and the proof of it.

use super::OnExisting;
use super::load;
use super::targets::Target;
use crate::archive::manifest::{Chunk, TableEntry};
use crate::archive::reader::ArchiveReader;
use crate::error::{Error, Kind, Result};
use crate::model::content::Content;
use crate::model::copy_format::CopyFormat;
use crate::model::name::{QualifiedName, enumerate};
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::Observer;
use crate::ops::scan;
use crate::pg::copy::{RowSource, copy_in_sql};
use crate::pg::rows;
use crate::pg::search_path::SearchPath;
use crate::pg::session::{Session, Statements};
use crate::rules::row_digest::RowDigester;
use std::collections::BTreeMap;

/// Rows can be matched with others only by a primary key, and not where the server decides which
/// partition they lie in.
///
/// # Errors
/// Names the tables with which it cannot be done.
pub fn check_ways(
    session: &mut Session,
    targets: &[Target<'_>],
    on_existing: OnExisting,
) -> Result<()> {
    if !matches!(on_existing, OnExisting::Skip | OnExisting::Upsert) {
        return Ok(());
    }
    let mut without = Vec::new();
    let mut with_rules = Vec::new();
    for target in targets {
        if rows::has_rules(&mut session.client, target.oid)? {
            with_rules.push(target.entry.name.to_string());
        }
        let keyless = rows::primary_key(&mut session.client, target.oid)?.is_empty();
        if keyless || target.entry.load_through.is_some() {
            without.push(target.entry.name.to_string());
        }
    }
    if !with_rules.is_empty() {
        return Err(Error::refused(format!(
            "rules act on inserted or updated rows of {}, among which none can be matched",
            enumerate(&with_rules)
        ))
        .hint("leave these tables out with --exclude-table, or choose truncate or append"));
    }
    if without.is_empty() {
        return Ok(());
    }
    Err(Error::refused(format!(
        "rows cannot be told apart without a primary key of the table itself in {}",
        enumerate(&without)
    ))
    .hint("leave these tables out with --exclude-table, or choose truncate or append"))
}

/// Empties the targets. A partitioned table whose partitions are all among them is emptied as a
/// whole, because a foreign key to it is to the whole.
pub fn empty(session: &mut Session, targets: &[Target<'_>]) -> Result<()> {
    let mut whole: BTreeMap<&QualifiedName, usize> = BTreeMap::new();
    for root in targets.iter().filter_map(|target| target.above.last()) {
        *whole.entry(root).or_default() += 1;
    }
    let mut complete = Vec::new();
    for (root, count) in whole {
        if rows::leaf_count(session, root)? == count {
            complete.push(root);
        }
    }
    let mut names: Vec<(&QualifiedName, bool)> =
        complete.iter().map(|root| (*root, true)).collect();
    for target in targets {
        if let Some(condition) = target.entry.extension_rows() {
            rows::delete(session, &target.entry.name, condition)?;
        } else if !target.above.last().is_some_and(|root| complete.contains(&root)) {
            names.push((&target.entry.name, false));
        }
    }
    rows::truncate(session, &names).map_err(|error| {
        error.hint(
            "a table that is not restored refers to one that is: restore it too, or use upsert",
        )
    })
}

/// One table's rows on their way.
pub struct Load<'a> {
    pub reader: &'a ArchiveReader,
    pub entry: &'a TableEntry,
    /// Whether they may go in several statements.
    pub split: bool,
    /// Where functions look while the rows are loaded.
    pub search_path: &'a SearchPath,
    pub observer: &'a dyn Observer,
    pub interrupt: &'a Interrupt,
}

impl Load<'_> {
    /// Loads the rows, proves what came of it, and gives the number of rows that were put there.
    pub fn run(&self, session: &mut Session, oid: u32, on_existing: OnExisting) -> Result<u64> {
        let entry = self.entry;
        let encoding = self.reader.manifest().source.encoding.clone();
        // Names are read before the session's encoding changes.
        let key = rows::primary_key(&mut session.client, oid)?;
        let fixed = rows::fixed_columns(&mut session.client, oid)?;
        session.use_encoding(&encoding)?;
        let rows = match (on_existing, &entry.load_through) {
            // Proved when all partitions are loaded.
            (_, Some(root)) => self.copy_in(session, root, self.split)?,
            (OnExisting::Error | OnExisting::Truncate, None) => {
                let rows = self.copy_in(session, &entry.name, self.split)?;
                expect(&entry.name, content(session, entry)?, entry.content)?;
                rows
            }
            (OnExisting::Append, None) => {
                let before = content(session, entry)?;
                let rows = self.copy_in(session, &entry.name, self.split)?;
                expect(&entry.name, content(session, entry)?, sum(before, entry.content))?;
                rows
            }
            (OnExisting::Skip, None) => {
                let before = content(session, entry)?;
                self.stage(session)?;
                let sql = rows::insert_new_sql(session, &entry.name, &entry.columns, &key);
                let put = read(session, &sql, entry)?;
                expect(&entry.name, content(session, entry)?, sum(before, put))?;
                rows::unstage(session)?;
                put.rows
            }
            (OnExisting::Upsert, None) => {
                self.stage(session)?;
                let sql = rows::upsert_sql(session, &entry.name, &entry.columns, &key, &fixed);
                expect(&entry.name, read(session, &sql, entry)?, entry.content)?;
                rows::unstage(session)?;
                entry.content.rows
            }
        };
        session.use_encoding("UTF8")?;
        Ok(rows)
    }

    fn stage(&self, session: &mut Session) -> Result<()> {
        rows::stage(session, &self.entry.name, &self.entry.columns)?;
        self.copy_in(session, &rows::staged_name(), true).map(drop)
    }

    /// A chunk at a time where that may be: the server says what it does not take at the end of a
    /// statement.
    fn copy_in(&self, session: &mut Session, into: &QualifiedName, split: bool) -> Result<u64> {
        let Self { reader, entry, observer, interrupt, search_path, .. } = self;
        let sql = copy_in_sql(into, &entry.columns, CopyFormat::Text, session.takes_plain_names());
        let chunks: Vec<&Chunk> = entry.chunks.iter().collect();
        let at_once = if split { 1 } else { chunks.len().max(1) };
        let mut rows = 0;
        for chunks in chunks.chunks(at_once) {
            rows += search_path.during(session, |session| {
                load::load(reader, session, &sql, entry, chunks, *observer, interrupt)
            })?;
        }
        Ok(rows)
    }
}

/// Tables whose rows go through a partitioned table are where that has put them: only the sum of
/// its partitions can be compared, with the sum before and what the archive adds.
pub struct LoadedThrough {
    expected: BTreeMap<QualifiedName, Content>,
}

impl LoadedThrough {
    /// Reads what is there before the load.
    pub fn before(session: &mut Session, targets: &[Target<'_>]) -> Result<Self> {
        let mut expected = sums(session, targets)?;
        for target in targets {
            if let Some(sum) = target.entry.load_through.as_ref().and_then(|r| expected.get_mut(r))
            {
                *sum += target.entry.content;
            }
        }
        Ok(Self { expected })
    }

    /// Compares with what is there after it.
    pub fn prove(&self, session: &mut Session, targets: &[Target<'_>]) -> Result<()> {
        let there = sums(session, targets)?;
        self.expected.iter().try_for_each(|(root, expected)| {
            expect(root, there.get(root).copied().unwrap_or_default(), *expected)
        })
    }
}

fn sums(session: &mut Session, targets: &[Target<'_>]) -> Result<BTreeMap<QualifiedName, Content>> {
    let mut sums: BTreeMap<QualifiedName, Content> = BTreeMap::new();
    for target in targets {
        if let Some(root) = &target.entry.load_through {
            let there = content(session, target.entry)?;
            *sums.entry(root.clone()).or_default() += there;
        }
    }
    Ok(sums)
}

fn read(session: &mut Session, sql: &str, entry: &TableEntry) -> Result<Content> {
    let mut rows = RowDigester::default();
    session.copy_out(sql, &format!("cannot read table {}", entry.name), &mut |piece| {
        rows.update(piece);
        Ok(())
    })?;
    rows.finish()
}

fn content(session: &mut Session, entry: &TableEntry) -> Result<Content> {
    scan::content(
        session,
        &RowSource {
            table: &entry.name,
            columns: &entry.columns,
            pages: None,
            condition: entry.extension_rows(),
            format: CopyFormat::Text,
        },
    )
}

fn sum(mut one: Content, other: Content) -> Content {
    one += other;
    one
}

fn expect(table: &QualifiedName, there: Content, expected: Content) -> Result<()> {
    if there == expected { Ok(()) } else { Err(differs(table, there, expected)) }
}

fn differs(table: &QualifiedName, there: Content, expected: Content) -> Error {
    Error::new(
        Kind::Differs,
        format!(
            "table {table} is not as it should be after loading: {} rows with digest {} instead of {} with {}; nothing was changed",
            there.rows, there.digest, expected.rows, expected.digest
        ),
    )
    .hint("a trigger, rule or column default of the target may change the rows")
}
