//! What there is to know about the server at the other end.

use serde::{Deserialize, Serialize};

/// Facts about the database and its server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerFacts {
    /// The database's name.
    pub database: String,
    /// `server_version`, for people.
    pub server_version: String,
    /// `server_version_num`: 150018 is 15.18.
    pub server_version_num: u32,
    /// `system_identifier` of the cluster, where the role may read it.
    pub system_identifier: Option<String>,
    /// The database's encoding: the encoding of every row in the archive.
    pub encoding: String,
    /// `LC_COLLATE` of the database.
    pub collate: String,
    /// `LC_CTYPE` of the database.
    pub ctype: String,
    /// `c` (libc), `i` (ICU), `b` (builtin) as in `pg_database.datlocprovider`; `c` before 15.
    pub locale_provider: char,
    /// The ICU or builtin locale, where there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub locale: Option<String>,
    /// Whether the server is a standby.
    pub in_recovery: bool,
    /// The role that read the database.
    pub role: String,
    /// Whether that role is a superuser.
    pub superuser: bool,
}

impl ServerFacts {
    /// The major version: 15 for 150018.
    pub fn major(&self) -> u32 {
        self.server_version_num / 10_000
    }
}

/// What a new database of the same kind needs besides encoding and locale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseProperties {
    /// Its owner.
    pub owner: String,
    /// Its own tablespace, where that is not `pg_default`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tablespace: Option<String>,
    /// How many sessions it takes at most, where that is limited.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub connection_limit: Option<i32>,
    /// Whether everybody who may create databases may copy it.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub is_template: bool,
    /// Whether nobody may connect.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub closed: bool,
    /// Rules that its ICU locale is tailored with.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub icu_rules: Option<String>,
}
