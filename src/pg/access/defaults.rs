//! The privileges that future objects are created with: `ALTER DEFAULT PRIVILEGES`.
//!
//! For all schemas they are a change of what objects of a class are created with anyway; for one
//! schema they come on top of that, so an entry without grants does not exist.

use super::adopt;
use super::delta::delta;
use super::held::{grants, list};
use crate::error::{Error, Result};
use crate::model::schema::{AccessList, Grant};
use crate::pg::client::Client;
use crate::pg::failure::{Reason, server};
use crate::pg::ident::quote;
use crate::pg::session::shorten;

/// One row of `pg_default_acl`.
pub(crate) struct FutureObjects {
    /// The row's OID, and its schema's.
    pub oid: u32,
    pub schema_oid: Option<u32>,
    /// What future objects are created with.
    pub list: AccessList,
    /// What they would be created with otherwise.
    pub initial: Vec<Grant>,
    /// Whether the session's role may change it.
    pub changeable: bool,
}

impl FutureObjects {
    /// The statements that turn what objects are created with otherwise into this.
    pub fn statements(&self) -> Vec<String> {
        statements(&self.list, &self.initial, &self.list.grants)
    }
}

/// Reads the privileges of future objects, in the order of role, schema and class.
pub(crate) fn future_objects(client: &mut Client) -> Result<Vec<FutureObjects>> {
    fn failed(reason: impl Into<Reason>) -> Error {
        server("cannot read the default privileges", reason)
    }
    let usual = "acldefault(CASE d.defaclobjtype WHEN 'S' THEN 's' ELSE d.defaclobjtype END,
                            d.defaclrole)";
    let sql = format!(
        "SELECT d.oid, d.defaclnamespace AS schema_oid, n.nspname::text AS schema,
                pg_get_userbyid(d.defaclrole)::text AS role, d.defaclobjtype::text AS kind,
                {} AS actual, {} AS initial, pg_has_role(d.defaclrole, 'USAGE') AS changeable
         FROM pg_catalog.pg_default_acl AS d
         LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = d.defaclnamespace
         ORDER BY role, schema NULLS FIRST, kind",
        list("d.defaclacl"),
        list(usual)
    );
    let mut found = Vec::new();
    for row in client.stream(&sql).map_err(failed)? {
        let row = row.map_err(failed)?;
        let text = |column: &str| row.get::<Option<String>>(column).map_err(failed);
        let kind = text("kind")?.and_then(|kind| kind.chars().next()).unwrap_or(' ');
        let target = class(kind).ok_or_else(|| {
            Error::failed(format!("this pgark does not know default privileges on \"{kind}\""))
                .hint("use a newer version of pgark")
        })?;
        let schema = text("schema")?;
        let initial = if schema.is_none() { grants(text("initial")?)? } else { Vec::new() };
        found.push(FutureObjects {
            oid: row.get("oid").map_err(failed)?,
            schema_oid: match schema {
                Some(_) => row.get("schema_oid").map_err(failed)?,
                None => None,
            },
            list: AccessList {
                target: target.to_owned(),
                in_schema: schema,
                column: None,
                kind,
                owner: text("role")?.unwrap_or_default(),
                grants: grants(text("actual")?)?,
            },
            initial,
            changeable: row.get("changeable").map_err(failed)?,
        });
    }
    Ok(found)
}

/// The privileges of future objects as they are.
pub fn read_defaults(client: &mut Client) -> Result<Vec<AccessList>> {
    Ok(future_objects(client)?.into_iter().map(|future| future.list).collect())
}

/// Makes the privileges of future objects exactly `wanted`, which was read from a server of
/// `source_major`, and gives what must be left as it is: those of roles that the session's role
/// may not act for.
///
/// # Errors
/// The first statement that the server refuses.
pub fn apply_defaults(
    client: &mut Client,
    source_major: u32,
    wanted: &[AccessList],
) -> Result<Vec<String>> {
    let mut there = future_objects(client)?;
    let mut todo = Vec::new();
    for list in wanted {
        let found = there.iter().position(|future| place(&future.list) == place(list));
        let present = match found.map(|position| there.remove(position)) {
            Some(future) => future.list.grants,
            None if list.in_schema.is_some() => Vec::new(),
            None => usual(client, list)?,
        };
        let adopted = adopt(list, &list.owner, source_major, &present);
        todo.extend(statements(list, &present, &adopted));
    }
    let mut left = Vec::new();
    for future in there {
        if future.changeable {
            todo.extend(statements(&future.list, &future.list.grants, &future.initial));
        } else {
            left.push(format!("on {} of role {}", future.list.target, future.list.owner));
        }
    }
    for sql in todo {
        client
            .execute(sql.as_str(), &[])
            .map_err(|error| server(format!("the server refused: {}", shorten(&sql)), error))?;
    }
    Ok(left)
}

/// What tells the rows apart.
fn place(list: &AccessList) -> (&str, Option<&str>, char) {
    (&list.owner, list.in_schema.as_deref(), list.kind)
}

fn statements(list: &AccessList, present: &[Grant], wanted: &[Grant]) -> Vec<String> {
    let schema = match &list.in_schema {
        Some(schema) => format!(" IN SCHEMA {}", quote(schema)),
        None => String::new(),
    };
    delta(&list.target, None, &list.owner, present, wanted)
        .into_iter()
        .map(|sql| {
            format!("ALTER DEFAULT PRIVILEGES FOR ROLE {}{schema} {sql}", quote(&list.owner))
        })
        .collect()
}

/// What objects of a class are created with when nobody has said otherwise.
fn usual(client: &mut Client, wanted: &AccessList) -> Result<Vec<Grant>> {
    let kind = if wanted.kind == 'S' { 's' } else { wanted.kind };
    let sql = format!(
        "SELECT {} FROM pg_catalog.pg_roles AS r WHERE r.rolname = $1",
        list(&format!("acldefault('{kind}', r.oid)"))
    );
    let failed = |error| {
        server(format!("cannot look up the default privileges of role {}", wanted.owner), error)
    };
    grants(client.query_one(&sql, &[&wanted.owner], |row| row.at(0)).map_err(failed)?)
}

/// The word of `ALTER DEFAULT PRIVILEGES` for a letter of `pg_default_acl.defaclobjtype`.
fn class(letter: char) -> Option<&'static str> {
    Some(match letter {
        'r' => "TABLES",
        'S' => "SEQUENCES",
        'f' => "FUNCTIONS",
        'T' => "TYPES",
        'n' => "SCHEMAS",
        'L' => "LARGE OBJECTS",
        _ => return None,
    })
}
