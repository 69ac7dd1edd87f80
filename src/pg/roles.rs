//! The server's roles: what they are, and making those that are missing.

use super::catalog;
use super::failure::server;
use super::ident::{literal, quote};
use super::session::Session;
use crate::error::{Kind, Result};
use crate::model::role::{Membership, RoleAttribute, RoleDefinition};
use crate::pg::client::Client;
use crate::pg::record::{Record, Unread};
use std::collections::{BTreeMap, BTreeSet};

/// The attributes, in the order of the columns that [`definitions`] reads.
const ATTRIBUTES: [RoleAttribute; 7] = [
    RoleAttribute::Superuser,
    RoleAttribute::CreateDb,
    RoleAttribute::CreateRole,
    RoleAttribute::NoInherit,
    RoleAttribute::Login,
    RoleAttribute::Replication,
    RoleAttribute::BypassRls,
];

/// The names of all roles.
pub fn names(client: &mut Client) -> Result<BTreeSet<String>> {
    let sql = "SELECT rolname::text FROM pg_catalog.pg_roles";
    let names = client.query(sql, &[], |row| row.at(0));
    Ok(names.map_err(|error| server("cannot read the roles", error))?.into_iter().collect())
}

/// What `names` are, and the roles that they are members of, directly or not. The server's own
/// roles (`pg_…`) are everywhere, and not among them. An administrator's bare right to hand out a
/// role is no membership here.
pub fn definitions(client: &mut Client, names: &[String]) -> Result<Vec<RoleDefinition>> {
    let mut member_of = memberships(client)?;
    let mut wanted: BTreeSet<String> = names.iter().cloned().collect();
    let mut open: Vec<String> = names.to_vec();
    while let Some(name) = open.pop() {
        for membership in member_of.get(&name).into_iter().flatten() {
            if wanted.insert(membership.role.clone()) {
                open.push(membership.role.clone());
            }
        }
    }
    let wanted: Vec<String> = wanted.into_iter().collect();
    client
        .query(
            "SELECT rolname::text, rolsuper, rolcreatedb, rolcreaterole, NOT rolinherit,
                    rolcanlogin, rolreplication, rolbypassrls,
                    CASE WHEN rolconnlimit >= 0 THEN rolconnlimit END, rolvaliduntil::text,
                    pg_catalog.shobj_description(oid, 'pg_authid')
             FROM pg_catalog.pg_roles
             WHERE rolname::text = ANY ($1) AND NOT pg_catalog.starts_with(rolname::text, 'pg_')
             ORDER BY rolname",
            &[&wanted],
            |row| {
                let name: String = row.at(0)?;
                let member_of = member_of.remove(&name).unwrap_or_default();
                Ok(RoleDefinition {
                    name,
                    attributes: attributes(row)?,
                    connection_limit: row.at(8)?,
                    valid_until: row.at(9)?,
                    comment: row.at(10)?,
                    member_of,
                })
            },
        )
        .map_err(|error| server("cannot read the roles", error))
}

fn attributes(row: &Record) -> Result<Vec<RoleAttribute>, Unread> {
    let mut attributes = Vec::new();
    for (position, attribute) in (1..).zip(ATTRIBUTES) {
        if row.at(position)? {
            attributes.push(attribute);
        }
    }
    Ok(attributes)
}

/// All memberships by member. What several roles have granted is one.
fn memberships(client: &mut Client) -> Result<BTreeMap<String, Vec<Membership>>> {
    // Before 16, members inherit by their own attribute, and may SET ROLE.
    let memberships: Vec<(String, Membership)> = client
        .query(
            "SELECT m.member, m.role, bool_or(m.admin_option), bool_or(m.inherit), bool_or(m.set)
             FROM (SELECT pg_catalog.pg_get_userbyid(member)::text AS member,
                          pg_catalog.pg_get_userbyid(roleid)::text AS role, admin_option,
                          (pg_catalog.to_jsonb(a)->>'inherit_option')::boolean AS inherit,
                          (pg_catalog.to_jsonb(a)->>'set_option')::boolean AS set
                   FROM pg_catalog.pg_auth_members AS a) AS m
             WHERE coalesce(m.inherit, true) OR coalesce(m.set, true)
             GROUP BY 1, 2 ORDER BY m.member COLLATE \"C\", m.role COLLATE \"C\"",
            &[],
            |row| {
                let membership = Membership {
                    role: row.at(1)?,
                    admin: row.at(2)?,
                    inherit: row.at(3)?,
                    set: row.at(4)?,
                };
                Ok((row.at(0)?, membership))
            },
        )
        .map_err(|error| server("cannot read the memberships of roles", error))?;
    let mut found: BTreeMap<String, Vec<Membership>> = BTreeMap::new();
    for (member, membership) in memberships {
        found.entry(member).or_default().push(membership);
    }
    Ok(found)
}

/// Makes those of `needed` that the server lacks and `known` defines, and the roles that these are
/// members of. Roles that are there stay as they are. Must run in a transaction.
///
/// # Errors
/// [`Kind::Refused`] where the session's role may not make a role as it was.
pub fn create_missing(
    session: &mut Session,
    needed: &[String],
    known: &[RoleDefinition],
) -> Result<Vec<String>> {
    let by_name: BTreeMap<&str, &RoleDefinition> =
        known.iter().map(|role| (role.name.as_str(), role)).collect();
    let all: Vec<String> =
        needed.iter().cloned().chain(known.iter().map(|r| r.name.clone())).collect();
    let missing: BTreeSet<String> =
        catalog::missing_roles(&mut session.client, &all)?.into_iter().collect();
    let mut created: BTreeSet<&str> = BTreeSet::new();
    let mut open: Vec<&str> = needed.iter().map(String::as_str).collect();
    while let Some(name) = open.pop() {
        let Some(role) = by_name.get(name).filter(|_| missing.contains(name)) else { continue };
        if created.insert(&role.name) {
            open.extend(role.member_of.iter().map(|membership| membership.role.as_str()));
        }
    }
    if created.is_empty() {
        return Ok(Vec::new());
    }
    if session.facts.major() >= 16 && !session.facts.superuser {
        // Who makes a role may hand it out, but not act for it.
        session.execute("SET LOCAL createrole_self_grant = 'set, inherit'")?;
    }
    let run = |session: &mut Session, role: &RoleDefinition, sql: &str| {
        session.run_single(sql, &format!("cannot create role \"{}\"", role.name)).map_err(|error| {
            match session.client.is_closed() {
                true => error,
                false => error
                    .of_kind(Kind::Refused)
                    .hint("create the role by hand, or restore as a role that may create it"),
            }
        })
    };
    let roles: Vec<&RoleDefinition> = created.iter().map(|name| by_name[name]).collect();
    for role in &roles {
        run(session, role, &create(role))?;
        if let Some(comment) = &role.comment {
            let sql = format!("COMMENT ON ROLE {} IS {}", quote(&role.name), literal(comment));
            run(session, role, &sql)?;
        }
    }
    for role in &roles {
        for membership in &role.member_of {
            run(session, role, &grant(role, membership))?;
        }
    }
    Ok(roles.iter().map(|role| role.name.clone()).collect())
}

fn create(role: &RoleDefinition) -> String {
    let mut sql = format!("CREATE ROLE {}", quote(&role.name));
    for attribute in &role.attributes {
        sql.push_str(match attribute {
            RoleAttribute::Superuser => " SUPERUSER",
            RoleAttribute::CreateDb => " CREATEDB",
            RoleAttribute::CreateRole => " CREATEROLE",
            RoleAttribute::NoInherit => " NOINHERIT",
            RoleAttribute::Login => " LOGIN",
            RoleAttribute::Replication => " REPLICATION",
            RoleAttribute::BypassRls => " BYPASSRLS",
        });
    }
    if let Some(limit) = role.connection_limit {
        sql.push_str(&format!(" CONNECTION LIMIT {limit}"));
    }
    if let Some(until) = &role.valid_until {
        sql.push_str(&format!(" VALID UNTIL {}", literal(until)));
    }
    sql
}

fn grant(role: &RoleDefinition, membership: &Membership) -> String {
    let mut options = Vec::new();
    let named = [("INHERIT", membership.inherit), ("SET", membership.set)];
    for (name, value) in named.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        options.push(format!("{name} {}", if value { "TRUE" } else { "FALSE" }));
    }
    if membership.admin {
        options.push(String::from("ADMIN OPTION"));
    }
    let with = if options.is_empty() { "" } else { " WITH " };
    let (of, to) = (quote(&membership.role), quote(&role.name));
    format!("GRANT {of} TO {to}{with}{}", options.join(", "))
}

/// Drops roles again that a restore has made, but for those that something depends on, which are
/// given back.
pub fn remove(session: &mut Session, roles: &[String]) -> Vec<String> {
    let stays = |role: &&String| session.execute(&format!("DROP ROLE {}", quote(role))).is_err();
    roles.iter().filter(stays).cloned().collect()
}
