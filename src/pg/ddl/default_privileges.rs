//! `ALTER DEFAULT PRIVILEGES`: one object per role, schema and class of objects.

use super::collection::{Collection, Draft, Key};
use super::dependencies::Graph;
use crate::error::Result;
use crate::model::schema::{ObjectClass, Purpose, Statement};
use crate::pg::access;
use crate::pg::client::Client;

/// Collects the privileges of future objects. They come after everything that is created here, or
/// it would be created with them.
pub(super) fn collect(client: &mut Client, out: &mut Collection, graph: &Graph) -> Result<()> {
    for future in access::future_objects(client)? {
        let key = Key::default_privileges(future.oid);
        if graph.extension_of(key).is_some() {
            continue;
        }
        let name = format!("{} of {}", future.list.target.to_lowercase(), future.list.owner);
        let schema = future.list.in_schema.as_deref();
        let mut draft = Draft::new(ObjectClass::DefaultPrivileges, schema, name).after_data();
        if let Some(schema) = future.schema_oid {
            draft = draft.needs(Key::schema(schema));
        }
        let object = draft.object_mut();
        object.statements = future
            .statements()
            .into_iter()
            .map(|sql| Statement { purpose: Purpose::Privilege, sql })
            .collect();
        object.access = Some(Box::new(future.list));
        out.add(key, draft)?;
    }
    Ok(())
}
