//! Roles, which belong to the server and not to a database.

use serde::{Deserialize, Serialize};

/// What there is to know about a role, apart from its password and its settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleDefinition {
    /// Its name.
    pub name: String,
    /// Where it differs from a role of which nothing is said.
    pub attributes: Vec<RoleAttribute>,
    /// How many sessions it may have at most, where that is limited.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub connection_limit: Option<i32>,
    /// Until when its password holds, as PostgreSQL writes it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub valid_until: Option<String>,
    /// Its comment.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub comment: Option<String>,
    /// The roles that it is a member of.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub member_of: Vec<Membership>,
}

/// What `CREATE ROLE` says of a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RoleAttribute {
    /// No right is asked of it.
    Superuser,
    /// It may create databases.
    CreateDb,
    /// It may create roles.
    CreateRole,
    /// It has the privileges of its roles only after `SET ROLE`.
    NoInherit,
    /// It may begin sessions.
    Login,
    /// It may replicate.
    Replication,
    /// Row-level security does not apply to it.
    BypassRls,
}

/// One role's membership of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Membership {
    /// The role that it is a member of.
    pub role: String,
    /// Whether it may give the membership on.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub admin: bool,
    /// Whether it has the role's privileges without `SET ROLE`; from PostgreSQL 16 on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub inherit: Option<bool>,
    /// Whether it may `SET ROLE`; from PostgreSQL 16 on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub set: Option<bool>,
}
