//! Privileges as objects of their own, at the very end.

use super::collection::{Collection, Draft, Key};
use super::database::{CURRENT_DATABASE, on_current_database};
use super::dependencies::Graph;
use crate::error::Result;
use crate::model::catalog::{Address, Description, Property, privileges};
use crate::model::name::QualifiedName;
use crate::model::schema::{ObjectClass, Purpose, Statement};
use crate::pg::access;
use crate::pg::client::Client;

/// Collects one object per access list that differs from what its object was created with; the
/// members of extensions and the system's own objects included.
pub(super) fn collect(
    client: &mut Client,
    major: u32,
    out: &mut Collection,
    graph: &Graph,
) -> Result<()> {
    for mut held in access::read(client, false)? {
        let unusual = held.is_changed();
        if major < 15 && held.is_public_schema() {
            held.assume_open_schema();
        }
        if !held.is_changed() {
            continue;
        }
        let key = Key { catalog: held.catalog, oid: held.oid };
        let is_database = held.list.kind == access::DATABASE;
        let is_system = is_database || held.oid < FIRST_USER_OID;
        if !is_system && out.maker(key).is_none() && graph.extension_of(key).is_none() {
            // On something that is not carried: lost with it, as is said of the object.
            if !out.accounts_for(key) {
                let text = format!("privileges on {}", held.list.target);
                out.leave_out(ObjectClass::Unknown, None, text);
            }
            continue;
        }
        let statements = access::delta(
            if is_database { CURRENT_DATABASE } else { &held.list.target },
            held.list.column.as_deref(),
            &held.list.owner,
            &held.initial,
            &held.list.grants,
        );
        let mut draft = Draft::new(
            ObjectClass::Privileges,
            held.schema.as_deref(),
            held.list.column.as_deref().unwrap_or(&held.name),
        )
        .needs(key)
        .after_data();
        if held.list.column.is_some() {
            let schema = held.schema.as_deref().unwrap_or_default();
            draft = draft.part_of(QualifiedName::new(schema, held.name.as_str()));
        }
        // Members of extensions and objects of the system have no other description.
        let of = match out.address(key) {
            Some(of) => of,
            None if is_database => Address::database(),
            None => Address {
                class: ObjectClass::Privileges,
                schema: held.schema.clone(),
                on: None,
                name: held.list.target.clone(),
            },
        };
        let mut description = Description::new(of);
        if let (Some(column), true) = (&held.list.column, unusual) {
            description.column(column).set(Property::Privileges, privileges(&held.list));
        } else if unusual {
            description.set(Property::Privileges, privileges(&held.list));
        }
        let object = draft.object_mut();
        object.descriptions.push(description);
        object.statements = statements
            .into_iter()
            .map(|sql| if is_database { on_current_database(&sql) } else { sql })
            .map(|sql| Statement { purpose: Purpose::Privilege, sql })
            .collect();
        object.access = Some(Box::new(held.list));
        out.add_without_row(draft);
    }
    Ok(())
}

/// The first OID that initdb does not use.
pub(super) const FIRST_USER_OID: u32 = 16384;
