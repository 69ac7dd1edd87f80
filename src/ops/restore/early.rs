//! What comes before the rows. What no rows hang on is put off where the server refuses it: it is tried
//! again after them, and the rows do not wait for it.

use super::owners::Owners;
use super::{Options, late, piecemeal};
use crate::archive::manifest::Manifest;
use crate::error::Result;
use crate::model::schema::{ObjectClass, SchemaObject, Section};
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::Observer;
use crate::pg::session::Session;
use std::collections::BTreeSet;

/// What has not come as it was.
#[derive(Default)]
pub struct Early {
    /// Positions of the objects that are put off, and of what needs them.
    pub put_off: BTreeSet<usize>,
    /// What the server has refused of objects that are there.
    pub refused: Vec<String>,
}

/// Creates the objects that come before the rows.
///
/// # Errors
/// The server's, for what rows hang on; a lost connection, or a signal.
pub fn create(
    session: &mut Session,
    manifest: &Manifest,
    objects: &[SchemaObject],
    options: &Options,
    owners: &mut Owners,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Early> {
    let needed = needed_by_rows(manifest, objects);
    let mut early = Early::default();
    for (position, object) in objects.iter().enumerate() {
        if object.section != Section::PreData {
            continue;
        }
        interrupt.check()?;
        let is_needed = needed.contains(&position);
        if !is_needed && object.depends_on.iter().any(|needed| early.put_off.contains(needed)) {
            early.put_off.insert(position);
            continue;
        }
        let made = match is_needed && options.search_path.is_empty() {
            true => piecemeal::create_required(session, object, options),
            false => piecemeal::create(session, object, options),
        };
        match made {
            Ok(refused) => {
                early.refused.extend(refused);
                owners.made(session, object)?;
            }
            Err(error) if is_needed || session.client.is_closed() => {
                return Err(error);
            }
            Err(error) => {
                interrupt.check()?;
                let reason = late::reason(&error);
                observer.warn(&format!("{object} is put off until the rows are there: {reason}"));
                early.put_off.insert(position);
            }
        }
    }
    Ok(early)
}

/// Positions of what rows cannot be loaded without: where they lie, and all that this needs.
fn needed_by_rows(manifest: &Manifest, objects: &[SchemaObject]) -> BTreeSet<usize> {
    use ObjectClass::{
        Column, DomainConstraint, Extension, PartitionAttach, Schema, Sequence, Table,
    };
    let holds_rows = |object: &SchemaObject| match object.class {
        Schema | Sequence | Table | Column | PartitionAttach => true,
        Extension => manifest.tables.iter().any(|t| t.extension.as_ref() == Some(&object.name)),
        _ => false,
    };
    let mut needed = BTreeSet::new();
    // Each object stands after what it needs.
    for (position, object) in objects.iter().enumerate().rev() {
        if object.section == Section::PreData && (holds_rows(object) || needed.contains(&position))
        {
            needed.insert(position);
            // What only restricts values may come when they are there.
            let is_wanted = |needed: &usize| objects[*needed].class != DomainConstraint;
            needed.extend(object.depends_on.iter().copied().filter(is_wanted));
        }
    }
    needed
}
