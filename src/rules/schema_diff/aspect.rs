//! What a difference is about, so that a caller can leave out what does not matter to him.

use crate::model::catalog::{Address, Property};
use crate::model::schema::ObjectClass;
use serde::{Serialize, Serializer};
use std::fmt;

/// What a difference is about. The kebab-case form is the argument of `--ignore`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aspect {
    /// What the object is and does: everything that is in no other aspect.
    Definition,
    /// The order of a table's columns, where the columns are the same.
    ColumnOrder,
    /// Who owns it.
    Owners,
    /// Who may do what with it, and default privileges.
    Privileges,
    /// Comments.
    Comments,
    /// How rows are kept: storage parameters, compression, access method, cluster mark.
    Storage,
    /// What the planner is told to find out: targets, options of columns, extended statistics.
    Statistics,
    /// Where rows are kept.
    Tablespaces,
    /// Replica identity, publications and subscriptions.
    Replication,
    /// Security labels.
    SecurityLabels,
    /// Settings of the database, and of roles in it.
    DatabaseSettings,
    /// The names of NOT NULL constraints, which they have from PostgreSQL 18 on.
    NotNullNames,
    /// The versions of extensions.
    ExtensionVersions,
    /// Whether materialized views have been filled.
    Populated,
}

impl Aspect {
    /// All that can be left out.
    pub const IGNORABLE: [Self; 13] = [
        Self::ColumnOrder,
        Self::Owners,
        Self::Privileges,
        Self::Comments,
        Self::Storage,
        Self::Statistics,
        Self::Tablespaces,
        Self::Replication,
        Self::SecurityLabels,
        Self::DatabaseSettings,
        Self::NotNullNames,
        Self::ExtensionVersions,
        Self::Populated,
    ];

    /// Its name on the command line and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Definition => "definition",
            Self::ColumnOrder => "column-order",
            Self::Owners => "owners",
            Self::Privileges => "privileges",
            Self::Comments => "comments",
            Self::Storage => "storage",
            Self::Statistics => "statistics",
            Self::Tablespaces => "tablespaces",
            Self::Replication => "replication",
            Self::SecurityLabels => "security-labels",
            Self::DatabaseSettings => "database-settings",
            Self::NotNullNames => "not-null-names",
            Self::ExtensionVersions => "extension-versions",
            Self::Populated => "populated",
        }
    }

    /// What it is about that an object is there or not.
    pub fn of_object(object: &Address) -> Self {
        match object.class {
            ObjectClass::Privileges | ObjectClass::DefaultPrivileges => Self::Privileges,
            ObjectClass::ExtendedStatistics => Self::Statistics,
            ObjectClass::Tablespace => Self::Tablespaces,
            ObjectClass::Publication | ObjectClass::Subscription => Self::Replication,
            ObjectClass::SecurityLabel => Self::SecurityLabels,
            ObjectClass::DatabaseSetting => Self::DatabaseSettings,
            ObjectClass::DatabaseComment => Self::Comments,
            ObjectClass::MaterializedViewData => Self::Populated,
            _ => Self::Definition,
        }
    }

    /// What a property of an object, or of one of its columns, is about.
    pub fn of_property(object: &Address, of_column: bool, property: Property) -> Self {
        let is_view = object.class == ObjectClass::View;
        match property {
            Property::Owner => Self::Owners,
            Property::Privileges => Self::Privileges,
            Property::Comment | Property::OtherComments => Self::Comments,
            Property::Options if of_column => Self::Statistics,
            // Those of a view say whose privileges count.
            Property::Options if is_view => Self::Definition,
            Property::Options
            | Property::Storage
            | Property::Compression
            | Property::AccessMethod
            | Property::Clustered => Self::Storage,
            Property::Statistics => Self::Statistics,
            Property::Tablespace => Self::Tablespaces,
            Property::ReplicaIdentity => Self::Replication,
            Property::NotNullName => Self::NotNullNames,
            Property::Version => Self::ExtensionVersions,
            Property::Populated => Self::Populated,
            _ => Self::of_object(object),
        }
    }
}

impl fmt::Display for Aspect {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl Serialize for Aspect {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
