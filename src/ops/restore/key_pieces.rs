//! What several sessions make after the rows, in pieces: whole objects, and of a key or an index with
//! settings, where others are made meanwhile, first its index and then the rest.

use crate::model::name::QualifiedName;
use crate::model::schema::{ObjectClass, SchemaObject, Section, Statement};
use crate::pg::ident::{quote, quote_qualified};
use crate::rules::key_by_index::{self, KeyByIndex};
use crate::rules::lock_plan::{Hold, Work};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of COPY text from which the indexes of a table are worth another statement each.
const LARGE: u64 = 1 << 20;

/// Bytes of COPY text of every table.
pub type Sizes<'a> = BTreeMap<&'a QualifiedName, u64>;

/// What one session makes without a pause.
pub struct Piece<'a> {
    /// Position of the object.
    pub object: usize,
    /// The object, with the statements of this piece.
    pub makes: Cow<'a, SchemaObject>,
    pub step: Step,
}

/// Which part of its object a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Whole,
    /// The index, which may be made beside others of its table.
    Index,
    /// What comes after the piece that makes the index: the key that takes it over, its settings.
    Rest {
        index: usize,
    },
}

/// The pieces of all indexes and keys that wait for nothing else that comes after the rows.
pub fn of<'a>(objects: &'a [SchemaObject], sizes: &Sizes<'_>) -> Vec<Piece<'a>> {
    let chosen = independent(objects);
    let mut indexes: BTreeMap<&QualifiedName, usize> = BTreeMap::new();
    for table in chosen.iter().filter_map(|object| indexed(&objects[*object])) {
        *indexes.entry(table).or_default() += 1;
    }
    let pays = |table: &&QualifiedName| {
        sizes.get(table).is_some_and(|size| *size >= LARGE) && indexes.get(table) > Some(&1)
    };
    let mut pieces = Vec::new();
    for position in chosen {
        let object = &objects[position];
        let parts = indexed(object).filter(pays).and_then(|table| divided(object, table));
        let Some((index, rest)) = parts else {
            pieces.push(Piece {
                object: position,
                makes: Cow::Borrowed(object),
                step: Step::Whole,
            });
            continue;
        };
        let step = Step::Rest { index: pieces.len() };
        pieces.push(Piece { object: position, makes: Cow::Owned(index), step: Step::Index });
        pieces.push(Piece { object: position, makes: Cow::Owned(rest), step });
    }
    pieces
}

/// What each piece needs and holds.
pub fn work(objects: &[SchemaObject], pieces: &[Piece<'_>], sizes: &Sizes<'_>) -> Vec<Work> {
    // Of two pieces of an object the later one is that which others wait for.
    let last: BTreeMap<usize, usize> =
        pieces.iter().enumerate().map(|(position, piece)| (piece.object, position)).collect();
    pieces.iter().map(|piece| work_of(objects, piece, &last, sizes)).collect()
}

fn work_of(
    objects: &[SchemaObject],
    piece: &Piece<'_>,
    last: &BTreeMap<usize, usize>,
    sizes: &Sizes<'_>,
) -> Work {
    let object = &objects[piece.object];
    let table = object.part_of.as_ref();
    let mut locks: Vec<(QualifiedName, Hold)> =
        table.map(|table| (table.clone(), hold(piece))).into_iter().collect();
    if matches!(object.class, ObjectClass::ForeignKey | ObjectClass::IndexAttach) {
        let others: BTreeSet<&QualifiedName> = object
            .depends_on
            .iter()
            .filter_map(|needed| objects.get(*needed)?.part_of.as_ref())
            .filter(|other| Some(*other) != table)
            .collect();
        locks.extend(others.into_iter().map(|other| (other.clone(), Hold::Briefly)));
    }
    let mut after: BTreeSet<usize> =
        object.depends_on.iter().filter_map(|needed| last.get(needed).copied()).collect();
    let mut weight = table.and_then(|table| sizes.get(table).copied()).unwrap_or_default();
    let mut at_once = false;
    if let Step::Rest { index } = piece.step {
        after.insert(index);
        (weight, at_once) = (0, true);
    }
    Work { after, locks, weight, at_once }
}

/// CREATE INDEX lets others do the same; keys, and marks that an index gets afterwards (CLUSTER ON,
/// REPLICA IDENTITY), want the table for themselves.
fn hold(piece: &Piece<'_>) -> Hold {
    let is_index_alone =
        piece.makes.class == ObjectClass::Index && piece.makes.statements.len() < 2;
    match piece.step {
        Step::Index => Hold::Shared,
        Step::Whole if is_index_alone => Hold::Shared,
        Step::Whole | Step::Rest { .. } => Hold::Alone,
    }
}

/// The table of an object whose index may be made beside others.
fn indexed(object: &SchemaObject) -> Option<&QualifiedName> {
    use ObjectClass::{Index, PrimaryKey, Unique};
    object.part_of.as_ref().filter(|_| matches!(object.class, Index | PrimaryKey | Unique))
}

/// The index of an object, and the rest of it; none where the index is all, or cannot be made alone.
fn divided(object: &SchemaObject, table: &QualifiedName) -> Option<(SchemaObject, SchemaObject)> {
    let (first, others) = object.statements.split_first()?;
    let with = |statements: Vec<Statement>| SchemaObject { statements, ..object.clone() };
    if object.class == ObjectClass::Index {
        return (!others.is_empty()).then(|| (with(vec![first.clone()]), with(others.to_vec())));
    }
    let KeyByIndex { index, key } =
        key_by_index::split(&first.sql, &quote_qualified(table), &quote(&object.name))?;
    let rest = std::iter::once(Statement::define(key)).chain(others.iter().cloned()).collect();
    Some((with(vec![Statement::define(index)]), with(rest)))
}

/// Positions of the indexes and keys that wait for nothing else that comes after the rows.
fn independent(objects: &[SchemaObject]) -> Vec<usize> {
    let is_key = |object: &SchemaObject| {
        use ObjectClass::{Exclusion, ForeignKey, Index, IndexAttach, PrimaryKey, Unique};
        matches!(object.class, Index | PrimaryKey | Unique | Exclusion | IndexAttach | ForeignKey)
    };
    let mut chosen: BTreeSet<usize> = BTreeSet::new();
    // The list is in an order in which each object comes after what it needs.
    for (position, object) in objects.iter().enumerate() {
        let ready = |needed: &usize| {
            let is_late = objects.get(*needed).is_some_and(|o| o.section == Section::PostData);
            !is_late || chosen.contains(needed)
        };
        if object.section == Section::PostData
            && is_key(object)
            && object.depends_on.iter().all(ready)
        {
            chosen.insert(position);
        }
    }
    chosen.into_iter().collect()
}
