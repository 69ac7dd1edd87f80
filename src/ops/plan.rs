//! The order in which rows are read: every table cut into ranges of heap pages, the largest first.

use super::observer::Item;
use crate::model::condition::Condition;
use crate::model::copy_format::CopyFormat;
use crate::model::name::QualifiedName;
use crate::model::table::Column;
use crate::pg::catalog::CatalogTable;
use crate::pg::copy::RowSource;
use crate::rules::copy_binary;
use crate::rules::selection::Choice;

/// Heap pages per range: 16 MiB with the usual blocks. Ranges begin at fixed pages whatever the
/// table's size, so that a later archive can tell which ranges did not change.
const PAGES_PER_RANGE: u64 = 2048;

/// What a page is taken for where bytes are estimated.
const PAGE_BYTES: u64 = 8192;

/// Tables of up to so many pages go together: up to so many pages, and so many tables.
const SMALL_PAGES: u64 = 128;
const TABLES_TOGETHER: usize = 64;

/// From this major version on, a condition on `ctid` reads only the pages it names; before, every
/// range would read the whole table (dump-correctness 3.2).
const TID_RANGE_SCANS: u32 = 14;

/// One table of the archive.
#[derive(Debug)]
pub struct PlannedTable {
    /// Its schema and name.
    pub name: QualifiedName,
    /// The columns of its rows.
    pub columns: Vec<Column>,
    /// Whether its rows are read.
    pub data: bool,
    /// See `TableEntry`.
    pub extension: Option<String>,
    /// See `TableEntry`.
    pub condition: Option<Condition>,
    /// See `TableEntry`.
    pub load_through: Option<QualifiedName>,
    /// How its rows travel.
    pub format: CopyFormat,
    /// Folder of its chunks in the archive.
    pub folder: String,
    /// Heap pages.
    pages: u64,
}

impl PlannedTable {
    /// Some of its rows.
    pub fn rows(&self, pages: Option<(u64, Option<u64>)>) -> RowSource<'_> {
        RowSource {
            table: &self.name,
            columns: &self.columns,
            pages,
            condition: self.condition.as_ref(),
            format: self.format,
        }
    }
}

/// Some rows of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Position of the table in the plan.
    pub table: usize,
    /// Number of the range, from 1.
    pub range: u64,
    /// Heap pages; `None` is the whole table.
    pub pages: Option<(u64, Option<u64>)>,
}

/// What one worker reads at a time: a range of a large table, or several small tables whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// What is read, in this order.
    pub pieces: Vec<Piece>,
    /// Pages of the table, or of all the small ones together.
    weight: u64,
}

/// Tables and tasks.
#[derive(Debug)]
pub struct Plan {
    /// The tables, by name.
    pub tables: Vec<PlannedTable>,
    /// The tasks, the largest first, so that no worker is left with a large one at the end.
    pub tasks: Vec<Task>,
    /// About how many bytes will be read.
    pub estimated_bytes: u64,
}

impl Plan {
    /// The same for rows that no archive will hold: in the binary format where every version of
    /// PostgreSQL sends and takes the same of all columns.
    pub fn in_binary(mut self) -> Self {
        for table in &mut self.tables {
            let types = table.columns.iter().map(|column| column.type_name.as_str());
            if copy_binary::Format::of(types).is_some() {
                table.format = CopyFormat::Binary;
            }
        }
        self
    }

    /// A piece as the observer hears of it.
    pub fn item(&self, piece: Piece) -> Item<'_> {
        let table = &self.tables[piece.table];
        let (parts, pages) = match piece.pages {
            None => (1, table.pages),
            Some((from, to)) => {
                let to = to.unwrap_or(table.pages);
                (table.pages.div_ceil(PAGES_PER_RANGE), to.saturating_sub(from))
            }
        };
        Item { name: &table.name, parts, bytes: pages * PAGE_BYTES }
    }
}

/// Plans the reading of the chosen tables.
pub fn make(tables: &[CatalogTable], choices: &[Choice], major: u32) -> Plan {
    let mut chosen: Vec<(&CatalogTable, Choice)> = tables
        .iter()
        .zip(choices.iter().copied())
        .filter(|(table, choice)| !table.partitioned && *choice != Choice::LeftOut)
        .collect();
    chosen.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    let width = chosen.len().to_string().len().max(4);
    let mut plan = Plan { tables: Vec::new(), tasks: Vec::new(), estimated_bytes: 0 };
    for (position, (table, choice)) in chosen.into_iter().enumerate() {
        let through = table.load_through.and_then(|oid| tables.iter().find(|t| t.oid == oid));
        plan.tables.push(PlannedTable {
            name: table.name.clone(),
            columns: table.columns.clone(),
            data: choice == Choice::Whole,
            extension: table.extension.clone(),
            condition: table.condition.clone(),
            load_through: through.map(|table| table.name.clone()),
            format: CopyFormat::Text,
            folder: format!("data/{:0width$}-{}", position + 1, slug(&table.name.to_string())),
            pages: table.pages,
        });
        if choice == Choice::Whole && table.pages > 0 {
            let can_be_cut = table.condition.as_ref().is_none_or(|c| c.expression().is_some());
            let cut = major >= TID_RANGE_SCANS && can_be_cut;
            plan.tasks.extend(tasks(position, table.pages, cut));
            plan.estimated_bytes += table.pages * PAGE_BYTES;
        }
    }
    plan.tasks = together(std::mem::take(&mut plan.tasks));
    plan.tasks.sort_by_key(|task| std::cmp::Reverse(task.weight));
    plan
}

/// Puts small tables together, so that a round trip to the server serves many of them.
fn together(tasks: Vec<Task>) -> Vec<Task> {
    let mut put: Vec<Task> = Vec::new();
    let mut open: Option<Task> = None;
    for task in tasks {
        if task.weight > SMALL_PAGES {
            put.push(task);
            continue;
        }
        let batch = open.get_or_insert(Task { pieces: Vec::new(), weight: 0 });
        batch.weight += task.weight;
        batch.pieces.extend(task.pieces);
        if batch.weight > SMALL_PAGES || batch.pieces.len() >= TABLES_TOGETHER {
            put.extend(open.take());
        }
    }
    put.extend(open);
    put
}

/// The last range has no end: no row can escape because the heap grew meanwhile.
fn tasks(table: usize, pages: u64, cut: bool) -> Vec<Task> {
    if !cut || pages <= PAGES_PER_RANGE {
        let pieces = vec![Piece { table, range: 1, pages: None }];
        return vec![Task { pieces, weight: pages }];
    }
    let ranges = pages.div_ceil(PAGES_PER_RANGE);
    (0..ranges)
        .map(|range| {
            let from = range * PAGES_PER_RANGE;
            let to = (range + 1 < ranges).then_some(from + PAGES_PER_RANGE);
            // A range of a large table comes before any whole small table: all weigh as their table.
            let pieces = vec![Piece { table, range: range + 1, pages: Some((from, to)) }];
            Task { pieces, weight: pages }
        })
        .collect()
}

/// `text` as a part of a file's name: letters, digits and a few signs, never a dot at the start.
/// Different names may become equal; what they name is told apart by a number beside it.
pub fn slug(text: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let slug: String = text.chars().map(safe).take(60).collect();
    match slug.strip_prefix('.') {
        Some(rest) => format!("_{rest}"),
        None => slug,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_every_page_once() {
        for pages in [1, 2048, 2049, 4096, 10_000] {
            let mut next = 0;
            let tasks = tasks(0, pages, true);
            for (position, task) in tasks.iter().enumerate() {
                let [piece] = task.pieces.as_slice() else { panic!("{task:?}") };
                let (from, to) = piece.pages.unwrap_or((0, None));
                assert_eq!((from, piece.range), (next, position as u64 + 1));
                assert_eq!(to.is_none(), position + 1 == tasks.len(), "the last has no end");
                next = to.unwrap_or(u64::MAX);
            }
            assert_eq!(next, u64::MAX);
        }
    }

    #[test]
    fn small_tables_go_together_and_none_is_lost() {
        let sizes = (0..300).map(|table| if table % 10 == 0 { 5000 } else { 1 + table as u64 % 7 });
        let single: Vec<Task> =
            sizes.enumerate().flat_map(|(table, pages)| tasks(table, pages, true)).collect();
        let pieces = |tasks: &[Task]| {
            let mut pieces: Vec<(usize, u64)> = Vec::new();
            for piece in tasks.iter().flat_map(|task| &task.pieces) {
                pieces.push((piece.table, piece.range));
            }
            pieces.sort_unstable();
            pieces
        };
        let joined = together(single.clone());
        assert_eq!(pieces(&joined), pieces(&single));
        assert!(joined.len() < single.len() - 200);
        assert!(joined.iter().all(|task| task.pieces.len() <= TABLES_TOGETHER));
    }

    #[test]
    fn names_of_files_are_harmless() {
        assert_eq!(slug("../../etc/passwd\n"), "_._.._etc_passwd_");
        assert_eq!(slug("public.größe"), "public.gr__e");
        assert!(slug(&"x".repeat(500)).len() == 60);
    }
}
