//! The first half of a backup: locks, snapshot, what may not be read, and the schema.

use super::{Source, filter};
use crate::archive::manifest::LargeObject;
use crate::error::{Error, Kind, Result};
use crate::model::name::{Printable, QualifiedName, counted, enumerate};
use crate::model::schema::{NotCarried, ObjectClass, SchemaObject};
use crate::model::server::DatabaseProperties;
use crate::model::table::SequenceState;
use crate::ops::interrupt::Interrupt;
use crate::ops::lock_wait;
use crate::ops::observer::Observer;
use crate::ops::steady::{self, Limits};
use crate::pg::catalog::{self, CatalogTable};
use crate::pg::session::{Purpose, Session};
use crate::pg::snapshot::{self, Snapshot};
use crate::pg::{database, ddl, extensions, names, target};
use crate::rules::object_selection::Uncarried;
use crate::rules::pattern::Pattern;
use crate::rules::selection::{Choice, Selection};
use crate::rules::{object_selection, order, role_names};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// A snapshot and the schema under it.
pub struct Taken {
    pub snapshot: Snapshot,
    /// The snapshot's tables.
    pub tables: Vec<CatalogTable>,
    /// What is to happen to each of them.
    pub choices: Vec<Choice>,
    /// The objects in the order in which they are restored.
    pub objects: Vec<SchemaObject>,
    pub roles: Vec<String>,
    pub database: DatabaseProperties,
    pub not_carried: Vec<NotCarried>,
    pub left_out: Vec<String>,
    pub with_large_objects: bool,
    /// Those that go with what was chosen.
    pub sequences: Vec<SequenceState>,
}

impl Taken {
    /// Every role that is named: without it, a part of what is taken cannot be restored.
    pub fn all_roles(&self, large_objects: &[LargeObject]) -> Vec<String> {
        let mut roles: BTreeSet<String> = self.roles.iter().cloned().collect();
        roles.insert(self.database.owner.clone());
        for object in large_objects {
            roles.insert(object.owner.clone());
            roles.extend(object.access.iter().flat_map(role_names::in_access));
        }
        roles.into_iter().collect()
    }

    /// Ends the transaction of the snapshot, from which all rows have come.
    ///
    /// # Errors
    /// [`Kind::Failed`] for tables that had other files in the end.
    pub fn end(&self, leader: &mut Session) -> Result<()> {
        let changed = snapshot::rewritten(leader, &self.locked())?;
        if !changed.is_empty() {
            return Err(Error::failed(format!(
                "tables were rewritten under pgark's locks: {}",
                enumerate(&changed)
            )));
        }
        leader.execute("COMMIT")
    }

    /// OIDs of the tables that are locked.
    pub fn locked(&self) -> BTreeSet<u32> {
        to_lock(&self.tables, &self.choices)
    }
}

/// Whether a sequence goes with what was chosen; `None` is everything.
pub fn takes_sequence(
    chosen: Option<&BTreeSet<QualifiedName>>,
    tables: &[CatalogTable],
    choices: &[Choice],
    sequence: &SequenceState,
) -> bool {
    let Some(chosen) = chosen else { return true };
    let owner = sequence
        .owned_by
        .as_ref()
        .and_then(|owner| tables.iter().position(|table| table.name == owner.table));
    match owner {
        Some(table) => choices[table] != Choice::LeftOut,
        None => chosen.contains(&sequence.name),
    }
}

/// Connects, takes locks, snapshot and schema, and tells what of the database is not taken.
pub fn open(
    source: &Source,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<(Session, Taken)> {
    observer.phase("connecting", None);
    let mut leader = interrupt.open(&source.connection, None, Purpose::Catalog)?;
    leader.check_not_pooled()?;
    target::check_unmarked(&mut leader)?;
    let mut taken = take(&mut leader, source, observer, interrupt)?;
    if !taken.with_large_objects {
        // They belong to no table and to no schema.
        let count = catalog::count_large_objects(&mut leader.client)?;
        if count > 0 {
            observer.warn(&format!(
                "{} left out: --table and --schema do not take large objects",
                match count {
                    1 => String::from("1 large object is"),
                    count => format!("{count} large objects are"),
                }
            ));
            taken.left_out.push(counted(count as usize, "large object"));
        }
    }
    for object in &taken.not_carried {
        observer.warn(&format!("left out, as allowed: {} {}", object.class, object.name));
    }
    filter::warn_of_keys(&mut leader, &taken.tables, &taken.choices, observer)?;
    Ok((leader, taken))
}

/// Takes locks and snapshot and reads the schema, again and again until no definition changed
/// while it was read.
fn take(
    leader: &mut Session,
    source: &Source,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Taken> {
    names::check_readable(leader)?;
    let mut watcher = interrupt.open(&source.connection, None, Purpose::Catalog)?;
    let process = leader.process();
    steady::read(source.lock_timeout, interrupt, |limits| {
        let taken = lock_wait::told(&source.connection, None, process, observer, || {
            attempt(leader, &mut watcher, source, limits, observer, interrupt)
        });
        steady::let_go(leader, taken)
    })
}

/// `None`: definitions changed while they were read.
fn attempt(
    leader: &mut Session,
    watcher: &mut Session,
    source: &Source,
    limits: Limits,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Option<Taken>> {
    observer.phase("locking the tables", None);
    let mut choose = |tables: &[CatalogTable]| {
        let choices = choices(watcher, tables, source)?;
        check_readable(tables, &choices)?;
        Ok(to_lock(tables, &choices))
    };
    let check = || interrupt.check();
    let mut snapshot = snapshot::take(leader, limits.patience, &check, &mut choose)?;
    snapshot::limit_lock_waits(leader, limits.lock_wait)?;
    let mut tables = std::mem::take(&mut snapshot.tables);
    let choices = choices(watcher, &tables, source)?;
    check_standby(&tables, &choices, leader.facts.in_recovery)?;
    filter::apply(leader, &mut tables, &choices, source)?;

    observer.phase("reading the schema", None);
    // What is locked for reading definitions alone is free again afterwards: the chosen tables stay.
    leader.execute("SAVEPOINT before_schema")?;
    let before = snapshot::catalog_fingerprint(leader)?;
    let read = ddl::read(&mut leader.client, &leader.facts)
        .and_then(|schema| Ok((schema, catalog::sequences(&mut leader.client)?)));
    // A view that went away under the snapshot's eyes is an error of the reading, too.
    if before != snapshot::catalog_fingerprint(watcher)? {
        return Ok(None);
    }
    let (schema, mut positions) = read?;
    leader.execute("ROLLBACK TO SAVEPOINT before_schema")?;
    leader.execute("RELEASE SAVEPOINT before_schema")?;
    snapshot::limit_lock_waits(leader, source.lock_timeout)?;
    let allowed = Some(source.allow_missing.as_slice());
    let coverage = cover(leader, schema, &tables, &choices, &source.selection, allowed)?;
    let Coverage { objects, not_carried, left_out, sequences } = coverage;
    positions.retain(|position| takes_sequence(sequences.as_ref(), &tables, &choices, position));
    let roles: BTreeSet<String> = objects.iter().flat_map(role_names::named).collect();
    Ok(Some(Taken {
        snapshot,
        tables,
        choices,
        objects,
        roles: roles.into_iter().collect(),
        database: database::properties(leader, &leader.facts.database.clone())?.ok_or_else(gone)?,
        not_carried,
        left_out,
        with_large_objects: source.selection.is_inclusive(),
        sequences: positions,
    }))
}

/// What of a schema a selection takes, and what not.
pub struct Coverage {
    /// The objects, in the order in which they are restored.
    pub objects: Vec<SchemaObject>,
    /// What no archive carries, though it was asked for.
    pub not_carried: Vec<NotCarried>,
    /// What the selection leaves out, and what no archive can hold.
    pub left_out: Vec<String>,
    /// The sequences to take; `None` is all.
    pub sequences: Option<BTreeSet<QualifiedName>>,
}

/// Decides what of a schema goes into the archive.
///
/// # Errors
/// With `allowed`, if something cannot be carried whose class is not in it; a chosen table needs
/// something that is left out.
pub fn cover(
    session: &mut Session,
    schema: ddl::DatabaseSchema,
    tables: &[CatalogTable],
    choices: &[Choice],
    selection: &Selection,
    allowed: Option<&[ObjectClass]>,
) -> Result<Coverage> {
    let check = |not_carried: &[NotCarried]| match allowed {
        Some(allowed) => check_carried(not_carried, allowed),
        None => Ok(()),
    };
    let selection = &*with_children(session, selection)?;
    let mut not_carried = schema.not_carried;
    not_carried.extend(extension_rows(session, selection)?);
    let mut left_out = Vec::new();
    let mut sequences = None;
    let mut objects;
    let mut notes = schema.notes;
    if selection.is_everything() {
        check(&not_carried)?;
        objects = order::restore_order(schema.objects)?;
    } else {
        objects = order::restore_order(schema.objects)?;
        let by_name: BTreeMap<&QualifiedName, Choice> =
            tables.iter().map(|table| &table.name).zip(choices.iter().copied()).collect();
        let before = relations(&objects);
        let selected =
            object_selection::select(objects, selection, |name| by_name.get(name).copied())?;
        (objects, left_out) = (selected.objects, selected.left_out);
        let kept = relations(&objects);
        let of_view = |name: &QualifiedName| match (before.contains(name), kept.contains(name)) {
            (false, _) => None,
            (true, true) => Some(Choice::Whole),
            (true, false) => Some(Choice::LeftOut),
        };
        let fate_of = |object: &NotCarried| {
            let choice = |name: &QualifiedName| by_name.get(name).copied().or(of_view(name));
            object_selection::uncarried(object, selection, choice)
        };
        notes.retain(|note| fate_of(note) == Uncarried::Missing);
        not_carried.retain(|object| {
            let fate = fate_of(object);
            if fate == Uncarried::NotChosen {
                left_out.push(format!("{} {}", object.class, Printable(&object.name)));
            }
            fate == Uncarried::Missing
        });
        check(&not_carried)?;
        let is_sequence = |object: &&SchemaObject| object.class == ObjectClass::Sequence;
        sequences = Some(objects.iter().filter(is_sequence).filter_map(own_name).collect());
    }
    let without_rows = tables.iter().zip(choices).filter(|(_, c)| **c == Choice::WithoutRows);
    left_out.extend(without_rows.map(|(table, _)| format!("rows of {}", table.name)));
    left_out.extend(
        filter::chosen(tables)
            .map(|(table, condition)| format!("rows of {} but for those {condition}", table.name)),
    );
    left_out.extend(notes.into_iter().map(|note| note.name));
    Ok(Coverage { objects, not_carried, left_out, sequences })
}

/// Rows that go neither with the tables nor with the extension that their table belongs to.
fn extension_rows(leader: &mut Session, selection: &Selection) -> Result<Vec<NotCarried>> {
    let mut tables = catalog::extension_tables_with_rows(&mut leader.client)?;
    tables.retain(|(_, extension)| selection.takes_extension(extension) != Some(false));
    let left = |(table, extension): (QualifiedName, String)| NotCarried {
        class: ObjectClass::ExtensionDelta,
        name: format!("rows of {table}, which belongs to extension {extension}"),
        schema: Some(table.schema),
        table: Some(table.name),
    };
    Ok(tables.into_iter().map(left).collect())
}

fn own_name(object: &SchemaObject) -> Option<QualifiedName> {
    Some(QualifiedName::new(object.schema.clone()?, object.name.clone()))
}

/// Names of tables and views.
fn relations(objects: &[SchemaObject]) -> BTreeSet<QualifiedName> {
    use ObjectClass::{ForeignTable, MaterializedView, Table, View};
    let is_relation = |object: &&SchemaObject| {
        matches!(object.class, Table | ForeignTable | View | MaterializedView)
    };
    objects.iter().filter(is_relation).filter_map(own_name).collect()
}

fn gone() -> Error {
    Error::new(Kind::Server, "the database is not among the server's databases")
}

/// What the selection says of each table.
pub fn choices(
    session: &mut Session,
    tables: &[CatalogTable],
    source: &Source,
) -> Result<Vec<Choice>> {
    let names: Vec<QualifiedName> = tables.iter().map(|table| table.name.clone()).collect();
    let selection = &source.selection;
    selection.check_database(&session.facts.database)?;
    if let Some(pattern) = selection.unmatched(&names) {
        check_is_table(session, pattern)?;
    }
    if selection.of_extensions().next().is_some() {
        selection.check_extensions(&extensions::names(&mut session.client)?)?;
    }
    selection.check_matches(&names)?;
    with_children(session, selection)?
        .decide(&names, parents(tables), |table| tables[table].extension.as_deref())
}

/// The selection with the children that it speaks of.
pub fn with_children<'a>(
    session: &mut Session,
    selection: &'a Selection,
) -> Result<Cow<'a, Selection>> {
    if !selection.speaks_of_children() {
        return Ok(Cow::Borrowed(selection));
    }
    selection.with_children(&catalog::inherited(&mut session.client)?).map(Cow::Owned)
}

/// Fails where a pattern matches no table, but something else that has a name like one.
fn check_is_table(session: &mut Session, pattern: &Pattern) -> Result<()> {
    let others = catalog::other_relations(&mut session.client)?;
    let Some((name, kind)) = others.iter().find(|(name, _)| pattern.matches(name)) else {
        return Ok(());
    };
    let text = format!("no table matches \"{}\": {name} is {kind}", Printable(pattern.text()));
    Err(Error::new(Kind::NotFound, text)
        .hint("it goes with its schema (--schema), and a sequence with the table that owns it"))
}

/// Positions of the partitioned tables of partitions.
pub fn parents(tables: &[CatalogTable]) -> impl Fn(usize) -> Option<usize> {
    let positions: BTreeMap<u32, usize> =
        tables.iter().enumerate().map(|(position, table)| (table.oid, position)).collect();
    let parent = |table: &CatalogTable| positions.get(&table.partition_of?).copied();
    let parents: Vec<Option<usize>> = tables.iter().map(parent).collect();
    move |table| parents[table]
}

/// OIDs of the tables to lock.
fn to_lock(tables: &[CatalogTable], choices: &[Choice]) -> BTreeSet<u32> {
    tables
        .iter()
        .zip(choices)
        // A table whose rows are not read may be one that the role cannot lock.
        .filter(|(table, choice)| **choice != Choice::LeftOut && table.readable)
        .map(|(table, _)| table.oid)
        .collect()
}

/// Names every table that cannot be read, before a single row is.
fn check_readable(tables: &[CatalogTable], choices: &[Choice]) -> Result<()> {
    let names = |unwanted: &dyn Fn(&CatalogTable) -> bool| -> Vec<String> {
        let whole = tables.iter().zip(choices).filter(|(_, choice)| **choice == Choice::Whole);
        whole
            .filter(|(table, _)| !table.partitioned && unwanted(table))
            .map(|(table, _)| table.name.to_string())
            .collect()
    };
    let denied = names(&|table| !table.readable);
    if !denied.is_empty() {
        return Err(Error::failed(format!("no privilege to read {}", enumerate(&denied))).hint(
            "GRANT pg_read_all_data TO the backup role (PostgreSQL 14 and later), or USAGE on the schema and SELECT on the tables",
        ));
    }
    let hidden = names(&|table| table.rows_hidden);
    if !hidden.is_empty() {
        return Err(Error::refused(format!(
            "row-level security hides rows of {} from this role",
            enumerate(&hidden)
        ))
        .hint("ALTER ROLE the backup role BYPASSRLS, or leave the rows out with --exclude-data"));
    }
    Ok(())
}

/// Fails for tables whose rows a standby does not have.
pub fn check_standby(tables: &[CatalogTable], choices: &[Choice], in_recovery: bool) -> Result<()> {
    let unlogged: Vec<String> = tables
        .iter()
        .zip(choices)
        .filter(|(table, choice)| in_recovery && table.unlogged && **choice == Choice::Whole)
        .map(|(table, _)| table.name.to_string())
        .collect();
    if unlogged.is_empty() {
        return Ok(());
    }
    Err(Error::refused(format!(
        "a standby has no rows of unlogged tables: {}",
        enumerate(&unlogged)
    ))
    .hint("back up from the primary, or leave the rows out with --exclude-data"))
}

/// Fails for what cannot be carried, unless its class is allowed.
pub fn check_carried(not_carried: &[NotCarried], allowed: &[ObjectClass]) -> Result<()> {
    let refused: Vec<&NotCarried> =
        not_carried.iter().filter(|object| !allowed.contains(&object.class)).collect();
    if refused.is_empty() {
        return Ok(());
    }
    let names: Vec<String> =
        refused.iter().map(|object| format!("{} {}", object.class, object.name)).collect();
    let classes: BTreeSet<String> = refused.iter().map(|object| object.class.to_string()).collect();
    let flags: Vec<String> =
        classes.iter().map(|class| format!("--allow-missing {class}")).collect();
    let advice = [
        (ObjectClass::NotNull, "VALIDATE the NOT NULLs that are not valid; or, "),
        (
            ObjectClass::ExtensionDelta,
            "rows that the extension's own script has put there come with it in the target; ",
        ),
    ];
    let advice = advice.iter().filter(|(of, _)| refused.iter().any(|object| object.class == *of));
    let advice: String = advice.map(|(_, text)| *text).collect();
    let hint = format!("to back up without them, which the manifest will say: {}", flags.join(" "));
    Err(Error::refused(format!("this version of pgark cannot carry {}", enumerate(&names)))
        .hint(format!("{advice}{hint}")))
}
