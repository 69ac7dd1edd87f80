//! A schema as what it is, not as how it is made: objects with named properties, which can be
//! compared one by one. [`SchemaObject`] says how the same objects are made.

use super::lists::exact;
use super::name::{Printable, QualifiedName};
pub use super::properties::Properties;
use super::schema::{AccessList, ObjectClass, Purpose, SchemaObject};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What tells one object of a schema from all others. No OID and no position is in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// What it is.
    pub class: ObjectClass,
    /// The schema it lies in; `None` for objects outside schemas.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub schema: Option<String>,
    /// The relation or domain it is a part of: for constraints, indexes, triggers …
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub on: Option<QualifiedName>,
    /// Its own name; functions and procedures carry their argument types. Empty for the database.
    pub name: String,
}

impl Address {
    /// An object that lies in a schema.
    pub fn within(class: ObjectClass, name: &QualifiedName) -> Self {
        Self { class, schema: Some(name.schema.clone()), on: None, name: name.name.clone() }
    }

    /// A part of a relation or domain.
    pub fn part(class: ObjectClass, whole: &QualifiedName, name: impl Into<String>) -> Self {
        Self {
            class,
            schema: Some(whole.schema.clone()),
            on: Some(whole.clone()),
            name: name.into(),
        }
    }

    /// The database itself, whatever its name: two databases may differ in that alone.
    pub fn database() -> Self {
        Self { class: ObjectClass::DatabaseComment, schema: None, on: None, name: String::new() }
    }

    /// The object's own address.
    pub fn of(object: &SchemaObject) -> Self {
        if object.class == ObjectClass::DatabaseComment {
            return Self::database();
        }
        Self {
            class: object.class,
            schema: object.schema.clone(),
            on: object.part_of.clone(),
            name: object.name.clone(),
        }
    }

    /// Schema and name, for an object that is no part of another.
    pub fn qualified(&self) -> Option<QualifiedName> {
        match (&self.on, &self.schema) {
            (None, Some(schema)) => Some(QualifiedName::new(schema.as_str(), self.name.as_str())),
            _ => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::database() {
            return out.write_str("database");
        }
        write!(out, "{} ", self.class)?;
        match (&self.on, &self.schema) {
            (Some(whole), _) => write!(out, "{} on {whole}", Printable(&self.name)),
            (None, Some(schema)) => {
                write!(out, "{}.{}", Printable(schema), Printable(&self.name))
            }
            (None, None) => write!(out, "{}", Printable(&self.name)),
        }
    }
}

/// One thing that can be said of an object or a column. A property that is not there has
/// PostgreSQL's default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "PostgreSQL's own words, in the order in which they are shown")]
pub enum Property {
    // Of anything.
    Owner,
    Comment,
    /// Comments on what has no address of its own: copies of a constraint on partitions.
    OtherComments,
    /// One line per provider.
    SecurityLabels,
    Privileges,
    /// For an extension: the schema its objects lie in.
    InSchema,
    Version,
    /// What an extension's members are, and their parts: one line each, sorted.
    Members,
    DependsOnExtensions,
    // Of relations.
    Persistence,
    OfType,
    Inherits,
    PartitionKey,
    PartitionOf,
    AccessMethod,
    Tablespace,
    Options,
    ReplicaIdentity,
    RowSecurity,
    ForceRowSecurity,
    /// Of foreign tables.
    Server,
    /// What foreign tables and their columns tell their wrapper.
    ForeignOptions,
    Query,
    CheckOption,
    Populated,
    // Of columns, domains and ranges.
    Type,
    Collation,
    NotNull,
    NotNullName,
    /// Whether it stays when the one above goes, which it comes from as well.
    NotNullOfItsOwn,
    Default,
    Generated,
    Identity,
    Inherited,
    Storage,
    Compression,
    Statistics,
    // Of types.
    Labels,
    OperatorClass,
    DifferenceFunction,
    CanonicalFunction,
    MultirangeType,
    // Of constraints, indexes, triggers.
    Unique,
    Definition,
    NoInherit,
    Deferrable,
    Enforced,
    Validated,
    /// The tables below whose copies are valid, where the original is not.
    ValidatedBelow,
    /// What copies on partitions are called, where it is not the original's name.
    NamesBelow,
    /// Those behind a constraint that do not fire as usual: tables, functions, states.
    InternalTriggers,
    Enabled,
    EnabledOnPartitions,
    AttachedTo,
    Clustered,
    // Of routines.
    Language,
    Arguments,
    Returns,
    Window,
    Volatility,
    Strict,
    SecurityDefiner,
    Leakproof,
    Parallel,
    Cost,
    Rows,
    Support,
    Transforms,
    Settings,
    Library,
    Body,
    // Of sequences.
    Start,
    Increment,
    Minimum,
    Maximum,
    Cache,
    Cycle,
    OwnedBy,
    /// Statements that differ although every property is equal.
    Statements,
}

impl fmt::Display for Property {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(out)
    }
}

/// The value of a property.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// A word, a number, an expression, a text of several lines.
    Text(String),
    /// Several, in an order that counts where PostgreSQL's does, and else sorted.
    List(Vec<String>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<String>> for Value {
    fn from(list: Vec<String>) -> Self {
        Self::List(list)
    }
}

/// A column of a table, a view or a composite type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnDescription {
    /// Its name.
    pub name: String,
    /// Its place among the columns, from 1; `None` where only something is added to a column.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub position: Option<u32>,
    /// What is said of it.
    #[serde(skip_serializing_if = "Properties::is_empty", default)]
    pub properties: Properties,
}

/// What one [`SchemaObject`] says of an object: all of it, or what it adds to another's. A default
/// that is set by a statement of its own is still a property of the table's column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// The object.
    pub of: Address,
    /// What is said of it.
    #[serde(skip_serializing_if = "Properties::is_empty", default)]
    pub properties: Properties,
    /// What is said of its columns.
    #[serde(skip_serializing_if = "Vec::is_empty", default, deserialize_with = "exact")]
    pub columns: Vec<ColumnDescription>,
}

impl Description {
    /// Of an object of which nothing is said yet but that it is there.
    pub fn new(of: Address) -> Self {
        Self { of, properties: Properties::new(), columns: Vec::new() }
    }

    /// Says something.
    pub fn set(&mut self, property: Property, value: impl Into<Value>) -> &mut Self {
        self.properties.insert(property, value.into());
        self
    }

    /// Says something if there is something to say.
    pub fn set_some(&mut self, property: Property, value: Option<impl Into<Value>>) -> &mut Self {
        if let Some(value) = value {
            self.set(property, value);
        }
        self
    }

    /// Says `yes` if it is so.
    pub fn set_if(&mut self, property: Property, holds: bool) -> &mut Self {
        self.set_some(property, holds.then_some("yes"))
    }

    /// Adds to a list.
    pub fn add(&mut self, property: Property, item: impl Into<String>) -> &mut Self {
        self.properties.add(property, item.into());
        self
    }

    /// The column of that name.
    pub fn column(&mut self, name: &str) -> &mut ColumnDescription {
        let found = self.columns.iter().position(|column| column.name == name);
        let place = found.unwrap_or_else(|| {
            let column = ColumnDescription { name: name.to_owned(), ..Default::default() };
            self.columns.push(column);
            self.columns.len() - 1
        });
        &mut self.columns[place]
    }
}

impl ColumnDescription {
    /// Says something.
    pub fn set(&mut self, property: Property, value: impl Into<Value>) -> &mut Self {
        self.properties.insert(property, value.into());
        self
    }

    /// Says something if there is something to say.
    pub fn set_some(&mut self, property: Property, value: Option<impl Into<Value>>) -> &mut Self {
        if let Some(value) = value {
            self.set(property, value);
        }
        self
    }

    /// Adds to a list.
    pub fn add(&mut self, property: Property, item: impl Into<String>) -> &mut Self {
        self.properties.add(property, item.into());
        self
    }
}

/// An object with everything that is said of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatalogObject {
    /// Its properties.
    pub properties: Properties,
    /// Its columns, in their order.
    pub columns: Vec<ColumnDescription>,
    /// The statements that define it, sorted: what differs in them and in no property must not be
    /// taken for equal.
    pub statements: Vec<String>,
    /// The other objects that these statements make.
    pub made_besides: Vec<Address>,
}

/// All objects of a schema by address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    /// The objects.
    pub objects: BTreeMap<Address, CatalogObject>,
}

impl Catalog {
    /// Puts together what the objects say. One that says nothing is described by its statements.
    pub fn from_descriptions(objects: Vec<SchemaObject>) -> Self {
        let mut catalog = Self::default();
        for mut object in objects {
            let (own, owner) = (Address::of(&object), object.owner.take());
            let descriptions = std::mem::take(&mut object.descriptions);
            match descriptions.first().map(|first| first.of.clone()) {
                None => catalog.add_by_statement(object),
                Some(of) => {
                    let made = descriptions.iter().map(|description| &description.of);
                    let besides: Vec<Address> = made.filter(|made| **made != of).cloned().collect();
                    let maker = catalog.at(of);
                    maker.made_besides.extend(besides);
                    maker.statements.extend(definitions(object));
                    descriptions.into_iter().for_each(|description| catalog.merge(description));
                }
            }
            if let Some(owner) = owner {
                catalog.at(own).set(Property::Owner, owner);
            }
        }
        for object in catalog.objects.values_mut() {
            object.statements.sort();
            object.statements.shrink_to_fit();
            object.columns.sort_by_key(|column| column.position);
        }
        catalog
    }

    /// Describes every object by its statements alone, as is possible for every archive.
    pub fn from_statements(objects: Vec<SchemaObject>) -> Self {
        let mut catalog = Self::default();
        for mut object in objects {
            let (own, owner) = (Address::of(&object), object.owner.take());
            let statements = object.statements.iter();
            let mut comments: Vec<String> = statements
                .filter(|statement| statement.purpose == Purpose::Comment)
                .map(|statement| statement.sql.clone())
                .collect();
            comments.sort();
            catalog.add_by_statement(object);
            let described = catalog.at(own);
            if let Some(owner) = owner {
                described.set(Property::Owner, owner);
            }
            if !comments.is_empty() {
                described.set(Property::Comment, comments);
            }
        }
        catalog
    }

    fn add_by_statement(&mut self, mut object: SchemaObject) {
        let (own, access) = (Address::of(&object), object.access.take());
        let described = self.at(own);
        for statement in definitions(object) {
            described.properties.add(Property::Definition, statement);
        }
        if let Some(access) = access {
            described.set(Property::Privileges, privileges(&access));
        }
    }

    fn merge(&mut self, description: Description) {
        let object = self.at(description.of);
        object.properties.extend(description.properties);
        if object.columns.is_empty() {
            object.columns = description.columns;
            return;
        }
        for column in description.columns {
            match object.columns.iter_mut().find(|known| known.name == column.name) {
                None => object.columns.push(column),
                Some(known) => {
                    known.position = known.position.or(column.position);
                    known.properties.extend(column.properties);
                }
            }
        }
    }

    fn at(&mut self, address: Address) -> &mut CatalogObject {
        self.objects.entry(address).or_default()
    }
}

impl CatalogObject {
    fn set(&mut self, property: Property, value: impl Into<Value>) {
        self.properties.insert(property, value.into());
    }
}

/// The statements that define an object, without the stand-in of a view or function: whether it needs one
/// hangs on what else there is. The real one is made by `CREATE OR REPLACE`.
fn definitions(object: SchemaObject) -> impl Iterator<Item = String> {
    let stand_in = match object.class {
        ObjectClass::View => Some("CREATE VIEW "),
        ObjectClass::Function => Some("CREATE FUNCTION "),
        ObjectClass::Procedure => Some("CREATE PROCEDURE "),
        _ => None,
    };
    let defines = object.statements.into_iter().filter(|one| one.purpose == Purpose::Define);
    defines
        .map(|statement| statement.sql)
        .filter(move |sql| !stand_in.is_some_and(|beginning| sql.starts_with(beginning)))
}

/// Stands for the owner in a list of privileges, so that another owner with the same rights makes
/// no difference there. A role that is called so stands in quotes.
pub const OWNER: &str = "(owner)";

/// One line per grant, sorted: `app: SELECT` or `app: SELECT with grant option, from chief`.
pub fn privileges(access: &AccessList) -> Vec<String> {
    let role = |name: &str| match name {
        _ if name == access.owner => OWNER.to_owned(),
        OWNER => format!("\"{name}\""),
        _ => name.to_owned(),
    };
    let mut lines: Vec<String> = access
        .grants
        .iter()
        .map(|grant| {
            let grantee = grant.grantee.as_deref().map_or_else(|| String::from("PUBLIC"), role);
            let option = if grant.grantable { " with grant option" } else { "" };
            let from = match role(&grant.grantor) {
                owner if owner == OWNER => String::new(),
                grantor => format!(", from {grantor}"),
            };
            format!("{grantee}: {}{option}{from}", grant.privilege)
        })
        .collect();
    lines.sort();
    lines
}
