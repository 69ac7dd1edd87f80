//! Which objects of a schema go with the chosen tables.

use super::selection::{Choice, Selection};
use crate::error::{Error, Result};
use crate::model::name::QualifiedName;
use crate::model::schema::{NotCarried, ObjectClass, SchemaObject};

/// The objects that are kept, renumbered, and what was left out, for the manifest.
pub struct Selected {
    /// Kept, in their order.
    pub objects: Vec<SchemaObject>,
    /// Tables that were left out, and objects that had to go because they need one of those.
    pub left_out: Vec<String>,
}

/// What becomes of an object.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Kept,
    Removed,
    /// Kept if something kept needs it.
    IfNeeded,
}

/// Keeps the chosen tables with their parts and all that those need. Without `--table` and
/// `--schema`, everything is kept but what was excluded and what needs it.
///
/// `choice` gives what was decided about a table, or `None` for what is not a table.
///
/// # Errors
/// A chosen table needs something that was left out.
pub fn select(
    objects: Vec<SchemaObject>,
    selection: &Selection,
    choice: impl Fn(&QualifiedName) -> Option<Choice>,
) -> Result<Selected> {
    let table_of = |object: &SchemaObject| match object.class {
        ObjectClass::Table => own_name(object),
        _ => object.part_of.clone(),
    };
    let seed = |object: &SchemaObject| match table_of(object).and_then(|name| choice(&name)) {
        Some(Choice::LeftOut) => Fate::Removed,
        // A table does not bring its publication, which is of the whole database.
        Some(_) if object.class == ObjectClass::PublicationTable => Fate::IfNeeded,
        Some(_) => Fate::Kept,
        None if object.class == ObjectClass::ForeignTable => match own_name(object) {
            Some(name) if selection.takes_relation(&name) => Fate::Kept,
            Some(_) if selection.is_inclusive() => Fate::Removed,
            _ => Fate::IfNeeded,
        },
        None if object.class == ObjectClass::Extension => {
            match selection.takes_extension(&object.name) {
                Some(true) => Fate::Kept,
                Some(false) => Fate::Removed,
                None if selection.is_inclusive() => Fate::Kept,
                None => Fate::IfNeeded,
            }
        }
        None if !stands_alone(object.class) => Fate::IfNeeded,
        None => match &object.schema {
            Some(schema) if selection.takes_schema(schema) => Fate::Kept,
            Some(_) if selection.is_inclusive() => Fate::Removed,
            None if selection.is_inclusive() => Fate::Kept,
            _ => Fate::IfNeeded,
        },
    };
    let seeds: Vec<Fate> = objects.iter().map(seed).collect();
    let mut fates = seeds.clone();
    for (position, object) in objects.iter().enumerate() {
        if object.class == ObjectClass::SequenceOwner && fates[position] == Fate::Removed {
            for needed in &object.depends_on {
                if objects[*needed].class == ObjectClass::Sequence {
                    fates[*needed] = Fate::Removed;
                }
            }
        }
    }
    // Objects stand after what they need, so one pass in each direction is enough.
    for (position, object) in objects.iter().enumerate() {
        if let Some(gone) = object.depends_on.iter().find(|needed| fates[**needed] == Fate::Removed)
        {
            if object.class == ObjectClass::Table && fates[position] == Fate::Kept {
                return Err(Error::refused(format!(
                    "{object} is selected, and needs {}, which is left out",
                    objects[*gone]
                ))
                .hint("select that too, or exclude the table"));
            }
            fates[position] = Fate::Removed;
        }
    }
    for position in (0..objects.len()).rev() {
        if fates[position] == Fate::Kept {
            keep_needed(&objects, &mut fates, position);
        }
    }
    // A domain is what its conditions make of it, wherever their functions lie.
    while let Some(position) = (0..objects.len()).find(|position| {
        fates[*position] == Fate::IfNeeded
            && objects[*position].class == ObjectClass::DomainConstraint
            && is_of_kept_domain(&objects, &fates, *position)
    }) {
        fates[position] = Fate::Kept;
        keep_needed(&objects, &mut fates, position);
    }
    for (position, object) in objects.iter().enumerate() {
        let needs_met = || object.depends_on.iter().all(|needed| fates[*needed] == Fate::Kept);
        if fates[position] == Fate::IfNeeded
            && !stands_alone(object.class)
            && !object.depends_on.is_empty()
            && needs_met()
        {
            fates[position] = Fate::Kept;
        }
    }
    Ok(split(objects, &seeds, &fates))
}

fn is_of_kept_domain(objects: &[SchemaObject], fates: &[Fate], constraint: usize) -> bool {
    let needed = objects[constraint].depends_on.iter();
    let mut domains = needed.filter(|needed| objects[**needed].class == ObjectClass::Domain);
    domains.any(|domain| {
        fates[*domain] == Fate::Kept
            && objects[constraint]
                .part_of
                .as_ref()
                .is_some_and(|of| of.name == objects[*domain].name)
    })
}

/// What becomes of an object that no archive carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uncarried {
    /// It would be missing: the backup refuses, unless that is allowed.
    Missing,
    /// It is not among what was asked for.
    NotChosen,
    /// It belongs to something that was left out by name, and goes with it.
    Gone,
}

/// Decides on an object that no archive carries, so that a selection does not drop it in silence.
/// `choice` gives what was decided about the relation of this name.
pub fn uncarried(
    object: &NotCarried,
    selection: &Selection,
    choice: impl Fn(&QualifiedName) -> Option<Choice>,
) -> Uncarried {
    let taken = match (&object.schema, &object.table) {
        (Some(schema), Some(table)) => {
            let name = QualifiedName::new(schema, table);
            match choice(&name) {
                Some(choice) => choice != Choice::LeftOut,
                None => selection.takes_relation(&name),
            }
        }
        (Some(schema), None) => selection.takes_schema(schema),
        (None, _) => selection.is_inclusive(),
    };
    match (taken, selection.is_inclusive()) {
        (true, _) => Uncarried::Missing,
        (false, true) => Uncarried::Gone,
        (false, false) => Uncarried::NotChosen,
    }
}

fn keep_needed(objects: &[SchemaObject], fates: &mut [Fate], position: usize) {
    let mut open = vec![position];
    while let Some(position) = open.pop() {
        for needed in &objects[position].depends_on {
            if fates[*needed] == Fate::IfNeeded {
                fates[*needed] = Fate::Kept;
                open.push(*needed);
            }
        }
    }
}

/// The objects that are kept, and the names of the others.
pub(super) fn split(objects: Vec<SchemaObject>, seeds: &[Fate], fates: &[Fate]) -> Selected {
    let mut renumbered = vec![None; objects.len()];
    let mut next = 0;
    for (position, fate) in fates.iter().enumerate() {
        if *fate == Fate::Kept {
            renumbered[position] = Some(next);
            next += 1;
        }
    }
    let mut selected = Selected { objects: Vec::with_capacity(next), left_out: Vec::new() };
    for (position, mut object) in objects.into_iter().enumerate() {
        if fates[position] == Fate::Kept {
            object.depends_on =
                object.depends_on.iter().filter_map(|needed| renumbered[*needed]).collect();
            selected.objects.push(object);
        } else if is_always_named(object.class) || seeds[position] == Fate::Kept {
            selected.left_out.push(object.to_string());
        }
    }
    selected
}

/// Tables, and what is of the whole database: nobody is to think that it is there.
fn is_always_named(class: ObjectClass) -> bool {
    use ObjectClass::{EventTrigger, Extension, ForeignTable, Publication, Subscription, Table};
    matches!(class, Table | ForeignTable | Publication | Subscription | EventTrigger | Extension)
}

fn own_name(object: &SchemaObject) -> Option<QualifiedName> {
    Some(QualifiedName::new(object.schema.clone()?, object.name.clone()))
}

/// Objects that mean something by themselves; all others are parts of one of these.
fn stands_alone(class: ObjectClass) -> bool {
    use ObjectClass as C;
    !matches!(
        class,
        C::SequenceOwner
            | C::PartitionAttach
            | C::Column
            | C::Default
            | C::DomainConstraint
            | C::Check
            | C::NotNull
            | C::Index
            | C::PrimaryKey
            | C::Unique
            | C::Exclusion
            | C::IndexAttach
            | C::TableSetting
            | C::ExtendedStatistics
            | C::Rule
            | C::Trigger
            | C::ForeignKey
            | C::RowSecurity
            | C::Policy
            | C::PublicationTable
            | C::PublicationSchema
            | C::UserMapping
            | C::MaterializedViewData
            | C::Privileges
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::schema::Section;
    use crate::rules::pattern::Pattern;

    fn object(
        class: ObjectClass,
        name: &str,
        part_of: Option<&str>,
        needs: &[usize],
    ) -> SchemaObject {
        SchemaObject {
            class,
            schema: Some("s".into()),
            name: name.into(),
            part_of: part_of.map(|table| QualifiedName::new("s", table)),
            owner: None,
            tablespace: None,
            section: Section::PreData,
            depends_on: needs.to_vec(),
            statements: Vec::new(),
            placeholder: None,
            access: None,
            descriptions: Vec::new(),
        }
    }

    fn schema() -> Vec<SchemaObject> {
        use ObjectClass as C;
        vec![
            object(C::Enum, "color", None, &[]),
            object(C::Enum, "size", None, &[]),
            object(C::Table, "a", None, &[0]),
            object(C::Table, "b", None, &[1]),
            object(C::View, "v", None, &[3]),
            object(C::Index, "a_i", Some("a"), &[2]),
            object(C::ForeignKey, "a_b", Some("a"), &[2, 3]),
            object(C::Privileges, "a", None, &[2]),
        ]
    }

    fn kept(selection: &Selection, chosen: &[&str]) -> (Vec<String>, Vec<String>) {
        let choice = |name: &QualifiedName| match name.name.as_str() {
            table @ ("a" | "b") if chosen.contains(&table) => Some(Choice::Whole),
            "a" | "b" => Some(Choice::LeftOut),
            _ => None,
        };
        let selected = select(schema(), selection, choice).unwrap();
        (selected.objects.iter().map(ToString::to_string).collect(), selected.left_out)
    }

    #[test]
    fn a_chosen_table_brings_what_it_needs_and_its_parts() {
        let selection =
            Selection { tables: vec![Pattern::new("a").unwrap()], ..Selection::default() };
        let (kept, left_out) = kept(&selection, &["a"]);
        assert_eq!(kept, ["enum s.color", "table s.a", "index s.a_i on s.a", "privileges s.a"]);
        assert_eq!(left_out, ["table s.b", "foreign-key s.a_b on s.a"]);
    }

    #[test]
    fn an_excluded_table_takes_along_what_needs_it() {
        let selection =
            Selection { exclude_tables: vec![Pattern::new("b").unwrap()], ..Selection::default() };
        let (kept, left_out) = kept(&selection, &["a"]);
        assert!(kept.contains(&"enum s.size".to_owned()));
        assert_eq!(left_out, ["table s.b", "view s.v", "foreign-key s.a_b on s.a"]);
    }
}
