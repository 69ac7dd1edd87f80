//! Privileges: what they are, and the `GRANT`s and `REVOKE`s that make them what they should be.
//!
//! The statements are computed against what is there, never replayed blindly: a new object's
//! access list depends on the server's version and on `ALTER DEFAULT PRIVILEGES` of the target
//! (dump-correctness 2.10, P14).

mod defaults;
mod delta;
mod held;

use super::failure::server;
use crate::error::{Error, Kind, Result};
use crate::model::name::Printable;
use crate::model::schema::{AccessList, Grant};
use crate::pg::client::Client;
pub(crate) use defaults::future_objects;
pub use defaults::{apply_defaults, read_defaults};
pub(crate) use delta::delta;
use held::Held;
pub(crate) use held::read;
use std::collections::HashMap;

/// The letter of `acldefault` for databases.
pub(crate) const DATABASE: char = 'd';

/// The letter of `acldefault` for foreign-data wrappers.
const WRAPPER: char = 'F';

/// Which objects of the target [`reconcile`] looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those in the list alone.
    Listed,
    /// All: what is not in the list gets back the privileges that it is created with. Right
    /// after a restore into an empty database this undoes the target's default privileges.
    WholeDatabase,
}

/// The statements that make the privileges on the target equal to `wanted`; none when they are.
/// `source_major` is the version that `wanted` was read from: privileges that it did not know
/// stay with the owner, who has all.
///
/// # Errors
/// [`Kind::NotFound`] when the target lacks an object that `wanted` names.
pub fn reconcile(
    client: &mut Client,
    source_major: u32,
    wanted: &[AccessList],
    scope: Scope,
) -> Result<Vec<String>> {
    let held = read(client, true)?;
    let mut actual: HashMap<(&str, Option<&str>), &Held> =
        held.iter().map(|held| (place(&held.list), held)).collect();
    let mut statements = Vec::new();
    for list in wanted {
        let mut target = list.target.as_str();
        let (present, owner) = match actual.remove(&place(list)) {
            Some(held) => {
                target = &held.list.target;
                (held.list.grants.as_slice(), held.list.owner.as_str())
            }
            // A column has a list only when it has privileges of its own.
            None => match held.iter().find(|held| held.list.target == list.target) {
                Some(table) if list.column.is_some() => (&[][..], table.list.owner.as_str()),
                _ => {
                    return Err(Error::new(
                        Kind::NotFound,
                        format!("{} is not there to grant privileges on", Printable(&list.target)),
                    ));
                }
            },
        };
        let adopted = adopt(list, owner, source_major, present);
        statements.extend(delta(target, list.column.as_deref(), owner, present, &adopted));
    }
    if scope == Scope::WholeDatabase {
        // Who may connect to a database is not made by restoring into it.
        for held in held.iter().filter(|held| held.is_changed() && held.list.kind != DATABASE) {
            if actual.contains_key(&place(&held.list)) {
                let AccessList { target, column, owner, grants, .. } = &held.list;
                statements.extend(delta(target, column.as_deref(), owner, grants, &held.initial));
            }
        }
    }
    Ok(statements)
}

/// What tells access lists apart; the database is the one at hand, whatever its name.
fn place(list: &AccessList) -> (&str, Option<&str>) {
    let target = if list.kind == DATABASE { "DATABASE" } else { list.target.as_str() };
    (target, list.column.as_deref())
}

/// The access lists of what is there before a restore and gets privileges in it: the schema
/// `public`, the database itself, and foreign-data wrappers, which extensions have brought.
pub fn of_containers(client: &mut Client) -> Result<Vec<AccessList>> {
    let held = read(client, true)?;
    Ok(held
        .into_iter()
        .filter(|held| held.is_public_schema() || matches!(held.list.kind, DATABASE | WRAPPER))
        .map(|held| held.list)
        .collect())
}

/// Gives those of them that are still there the privileges that they had.
///
/// # Errors
/// As of [`apply`].
pub fn put_back_containers(client: &mut Client, major: u32, had: &[AccessList]) -> Result<()> {
    let there = of_containers(client)?;
    let is_there = |list: &&AccessList| there.iter().any(|other| place(other) == place(list));
    let had: Vec<AccessList> = had.iter().filter(is_there).cloned().collect();
    apply(client, major, &had, Scope::Listed).map(drop)
}

/// Applies what [`reconcile`] says, and makes sure that nothing is left to say.
///
/// # Errors
/// [`Kind::Differs`] when the privileges are still not equal: a grantor who is a superuser today
/// cannot grant in his own name.
pub fn apply(
    client: &mut Client,
    source_major: u32,
    wanted: &[AccessList],
    scope: Scope,
) -> Result<usize> {
    let statements = reconcile(client, source_major, wanted, scope)?;
    for sql in &statements {
        client.execute(sql.as_str(), &[]).map_err(|error| {
            server(format!("the server refused: {}", super::session::shorten(sql)), error)
        })?;
    }
    match reconcile(client, source_major, wanted, scope)?.first() {
        None => Ok(statements.len()),
        Some(left) => Err(Error::new(
            Kind::Differs,
            format!("the privileges cannot be made equal: {}", Printable(left)),
        )),
    }
}

/// The wanted grants in terms of the target: its owner for the owner (who differs for what an
/// extension made), and the owner's privileges that the source's version did not know.
fn adopt(wanted: &AccessList, owner: &str, source_major: u32, present: &[Grant]) -> Vec<Grant> {
    let rename = |role: &str| if role == wanted.owner { owner.to_owned() } else { role.to_owned() };
    let mut grants: Vec<Grant> = wanted
        .grants
        .iter()
        .map(|grant| Grant {
            grantee: grant.grantee.as_deref().map(rename),
            grantor: rename(&grant.grantor),
            ..grant.clone()
        })
        .collect();
    if source_major < 17 {
        let unknown = |grant: &&Grant| {
            grant.privilege == "MAINTAIN" && grant.grantee.as_deref() == Some(owner)
        };
        grants.extend(present.iter().filter(unknown).cloned());
    }
    grants
}

/// The statements that give a new large object, which its owner alone may read and write, the
/// privileges in `wanted`.
pub fn of_large_object(wanted: &AccessList) -> Vec<String> {
    let by_default: Vec<Grant> = ["SELECT", "UPDATE"]
        .into_iter()
        .map(|privilege| Grant {
            grantee: Some(wanted.owner.clone()),
            grantor: wanted.owner.clone(),
            privilege: privilege.to_owned(),
            grantable: false,
        })
        .collect();
    delta(&wanted.target, None, &wanted.owner, &by_default, &wanted.grants)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn grant(role: &str, privilege: &str) -> Grant {
        Grant {
            grantee: Some(role.to_owned()),
            grantor: role.to_owned(),
            privilege: privilege.to_owned(),
            grantable: false,
        }
    }

    #[test]
    fn an_older_source_leaves_the_owner_what_it_did_not_know() {
        let list = AccessList {
            target: String::from("TABLE t"),
            in_schema: None,
            column: None,
            kind: 'r',
            owner: String::from("old"),
            grants: vec![grant("old", "SELECT")],
        };
        let present = [grant("new", "SELECT"), grant("new", "MAINTAIN")];
        let set = |grants: &[Grant]| grants.iter().cloned().collect::<BTreeSet<Grant>>();
        assert_eq!(set(&adopt(&list, "new", 15, &present)), set(&present));
        assert_eq!(adopt(&list, "new", 17, &present), [present[0].clone()]);
    }
}
