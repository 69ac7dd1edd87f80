//! The schema of a database as a list of objects, each with the statements that make it.

use super::catalog::Description;
use super::name::{Printable, QualifiedName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// What kind of object a [`SchemaObject`] is. The kebab-case form is used in the manifest, in
/// messages and as the argument of `--allow-missing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "each variant is PostgreSQL's own name of the class")]
pub enum ObjectClass {
    // Carried: in the order in which they are created when nothing else decides.
    Schema,
    Extension,
    AccessMethod,
    Collation,
    /// The name of a type alone: for good, or until its functions are there.
    ShellType,
    Enum,
    Domain,
    CompositeType,
    BaseType,
    RangeType,
    Language,
    Transform,
    Cast,
    Function,
    Procedure,
    Aggregate,
    Operator,
    OperatorFamily,
    /// What users added to an operator family that is the system's or an extension's.
    OperatorFamilyMember,
    OperatorClass,
    Conversion,
    TextSearchParser,
    TextSearchTemplate,
    TextSearchDictionary,
    TextSearchConfiguration,
    ForeignDataWrapper,
    ForeignServer,
    UserMapping,
    DomainConstraint,
    Sequence,
    Table,
    ForeignTable,
    /// Columns that need something which needs the rest of their table.
    Column,
    SequenceOwner,
    Default,
    Check,
    NotNull,
    PartitionAttach,
    View,
    MaterializedView,
    Index,
    PrimaryKey,
    Unique,
    Exclusion,
    IndexAttach,
    TableSetting,
    ExtendedStatistics,
    Rule,
    Trigger,
    ForeignKey,
    /// `ENABLE` and `FORCE ROW LEVEL SECURITY` of one table.
    RowSecurity,
    Policy,
    Publication,
    /// One table of a publication.
    PublicationTable,
    /// One schema of a publication.
    PublicationSchema,
    Subscription,
    DatabaseComment,
    /// On something that no other object here makes: the database, or a part of an extension.
    SecurityLabel,
    Privileges,
    /// What future objects are created with; after all that is created here.
    DefaultPrivileges,
    /// Filling a materialized view; after the privileges, because its owner reads for it.
    MaterializedViewData,
    /// `ALTER DATABASE … SET`, `ALTER ROLE … IN DATABASE … SET`; they hold for new sessions.
    DatabaseSetting,
    /// After everything else, so that none of it sets one off.
    EventTrigger,
    // Not carried: `backup` refuses them unless they are allowed by name.
    /// Left by a `CREATE INDEX CONCURRENTLY` that failed; never carried, and always named.
    InvalidIndex,
    /// Carried now: archives of older programs name it among what they do not carry.
    Tablespace,
    /// User changes to an object that belongs to an extension (dump-correctness P20).
    ExtensionDelta,
    /// Something whose catalog letter this version of pgark does not know.
    Unknown,
}

impl fmt::Display for ObjectClass {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(out)
    }
}

/// Whether an object is created before the rows are loaded or after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Section {
    /// Before the rows: types, functions, tables, views.
    PreData,
    /// After the rows: indexes, constraints, triggers, privileges.
    PostData,
}

/// Why a statement is there, so that a restore can leave out owners or privileges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Makes the object, or sets one of its properties.
    Define,
    /// Gives the object to its owner.
    Owner,
    /// Sets or removes a comment.
    Comment,
    /// Grants or revokes privileges.
    Privilege,
    /// Sets a security label, which needs a provider that the server has loaded.
    SecurityLabel,
}

/// One SQL statement, without a final semicolon, with every identifier quoted and qualified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Why it is there.
    pub purpose: Purpose,
    /// The statement; exactly one, as the extended protocol demands.
    pub sql: String,
}

impl Statement {
    /// A statement that makes an object or sets a property of it.
    pub fn define(sql: impl Into<String>) -> Self {
        Self { purpose: Purpose::Define, sql: sql.into() }
    }
}

/// One object of a schema. Dependencies are positions in the list that holds the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaObject {
    /// What it is.
    pub class: ObjectClass,
    /// The schema it lies in; `None` for objects outside schemas.
    pub schema: Option<String>,
    /// Its own name; functions and procedures carry their argument types: `f(integer, text)`.
    pub name: String,
    /// The relation or domain it is a part of: for indexes, constraints, triggers, defaults …
    pub part_of: Option<QualifiedName>,
    /// The role that owns it, where the class has owners.
    pub owner: Option<String>,
    /// The tablespace that it or its index lies in, where that is not the database's own.
    pub tablespace: Option<String>,
    /// Before or after the rows.
    pub section: Section,
    /// Positions of the objects that must exist before this one.
    pub depends_on: Vec<usize>,
    /// What makes it, in order.
    pub statements: Vec<Statement>,
    /// For a view or function: a statement that makes an empty one of the same columns or arguments,
    /// which stands in while a cycle of dependencies is cut. `statements` then start with `CREATE OR
    /// REPLACE`.
    pub placeholder: Option<Statement>,
    /// For [`ObjectClass::Privileges`] and [`ObjectClass::DefaultPrivileges`]: what the access list
    /// must be in the end.
    pub access: Option<Box<AccessList>>,
    /// What it is, for comparisons; empty where its statements alone say so.
    pub descriptions: Vec<Description>,
}

impl fmt::Display for SchemaObject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ", self.class)?;
        if let Some(schema) = &self.schema {
            write!(out, "{}.", Printable(schema))?;
        }
        write!(out, "{}", Printable(&self.name))?;
        match &self.part_of {
            Some(owner) => write!(out, " on {owner}"),
            None => Ok(()),
        }
    }
}

/// Brings `objects` into an order: `order` says for each new place which object comes there, and
/// `needs` for each old place what is needed there. The objects are not copied: those of ten thousand
/// tables are large.
pub fn arrange(
    mut objects: Vec<SchemaObject>,
    needs: &[BTreeSet<usize>],
    order: &[usize],
) -> Vec<SchemaObject> {
    let mut position = vec![0; order.len()];
    for (new, old) in order.iter().enumerate() {
        position[*old] = new;
    }
    for (object, needs) in objects.iter_mut().zip(needs) {
        object.depends_on = needs.iter().map(|old| position[*old]).collect();
        object.depends_on.sort_unstable();
    }
    for place in 0..objects.len() {
        while position[place] != place {
            let to = position[place];
            objects.swap(place, to);
            position.swap(place, to);
        }
    }
    objects
}

/// The privileges on one object, as PostgreSQL keeps them in an `aclitem[]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessList {
    /// The object as `GRANT … ON` names it: `TABLE "public"."t"`, `FUNCTION "public"."f"(integer)`;
    /// `TABLES`, `FUNCTIONS` … for the privileges of future objects.
    pub target: String,
    /// For privileges of future objects in one schema: the schema.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub in_schema: Option<String>,
    /// For privileges on one column: the column's name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub column: Option<String>,
    /// The letter that `pg_catalog.acldefault` takes for this kind of object.
    pub kind: char,
    /// The owner, whose own privileges are in the list too; the role that creates future objects.
    pub owner: String,
    /// The grants, in the catalog's order, which keeps grant options ahead of what hangs on them.
    pub grants: Vec<Grant>,
}

/// A security label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecurityLabel {
    /// Who understands it: a library that the server has loaded.
    pub provider: String,
    /// What it says.
    pub label: String,
}

/// One privilege given by one role to another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Who has the privilege; `None` is PUBLIC.
    pub grantee: Option<String>,
    /// Who gave it.
    pub grantor: String,
    /// `SELECT`, `USAGE`, `EXECUTE` …
    pub privilege: String,
    /// Whether the grantee may give it on.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub grantable: bool,
}

/// An object that the archive does not carry, and where it is: a selection decides by that.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotCarried {
    /// What it is.
    pub class: ObjectClass,
    /// Its name as people write it.
    pub name: String,
    /// The schema that it lies in, or that what it belongs to lies in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub schema: Option<String>,
    /// The relation, in that schema, that it is or belongs to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub table: Option<String>,
}
