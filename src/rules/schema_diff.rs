//! The structural comparison of two schemas: by object, and inside an object by property.
//!
//! Neither OIDs nor the order in which objects were made play a part. Where properties are equal and
//! the statements that make an object are not, that is a difference too, so that equality is never
//! claimed for something that has no property yet.

use crate::model::catalog::{
    Address, Catalog, CatalogObject, ColumnDescription, Properties, Property, Value,
};
use crate::model::schema::{NotCarried, ObjectClass, SchemaObject};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

mod aspect;
mod fold;
mod members;
mod versions;

pub use aspect::Aspect;
use versions::Versioned;

/// One of two schemas to compare.
#[derive(Clone, Debug)]
pub struct Schema {
    /// Major version of the server that described it.
    pub major: u32,
    /// Its objects.
    pub objects: Vec<SchemaObject>,
    /// Version of the objects' descriptions; archives of old have none.
    pub described: Option<u64>,
    /// What is there and cannot be compared.
    pub not_carried: Vec<NotCarried>,
    /// Whether it is all of a database, and not a selection.
    pub whole: bool,
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Side {
    Left,
    Right,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The object.
    pub object: Address,
    /// The relation or domain that the object is a part of, if that is an object of both schemas.
    #[serde(skip)]
    pub whole: Option<Address>,
    /// The column.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// What it is about.
    pub aspect: Aspect,
    /// What differs.
    #[serde(flatten)]
    pub change: Change,
    /// Partitions and children that differ in the same way, or their parts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Address>,
    /// The name, on the other side, of something that is equal but for its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub perhaps_renamed: Option<String>,
    /// Whether the two texts were written by different versions of PostgreSQL, and may mean the
    /// same.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub uncertain: bool,
}

/// What differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    /// An object or column is on one side alone.
    Only {
        /// Where it is.
        side: Side,
        /// What it is.
        properties: Properties,
        /// Names of its columns.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        columns: Vec<String>,
        /// What is only there because of it: constraints and indexes of a table …
        #[serde(skip_serializing_if = "Vec::is_empty")]
        parts: Vec<Address>,
    },
    /// A property has two values; `None` is PostgreSQL's default.
    Property {
        /// The property.
        property: Property,
        /// Its value on the left.
        left: Option<Value>,
        /// Its value on the right.
        right: Option<Value>,
    },
    /// The columns that both have stand in another order.
    Order {
        /// All columns on the left.
        left: Vec<String>,
        /// All columns on the right.
        right: Vec<String>,
    },
}

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// The differences, grouped by relation, in the order of names.
    pub differences: Vec<Difference>,
    /// How many differences there are in each aspect that was to be ignored.
    pub ignored: BTreeMap<Aspect, usize>,
    /// Objects of both schemas that cannot be compared.
    pub uncompared: Vec<NotCarried>,
    /// How many objects were compared.
    pub objects: usize,
    /// What to know about the result.
    pub notes: Vec<String>,
}

impl Comparison {
    /// Whether everything was compared, and nothing differs but in aspects that were ignored.
    pub fn is_equal(&self) -> bool {
        self.differences.is_empty() && self.uncompared.is_empty()
    }
}

/// Compares. The schemas are taken apart: those of ten thousand tables are large.
pub fn compare(mut left: Schema, mut right: Schema, ignore: &BTreeSet<Aspect>) -> Comparison {
    let described = left.described.is_some() && right.described.is_some();
    let catalog = |schema: &mut Schema| {
        let objects = std::mem::take(&mut schema.objects);
        let catalog = match described {
            true => Catalog::from_descriptions(objects),
            false => Catalog::from_statements(objects),
        };
        Versioned { major: schema.major, catalog }
    };
    let (mut ours, mut theirs) = (catalog(&mut left), catalog(&mut right));
    let (left, right) = (&left, &right);
    let same_major = left.major == right.major;
    if !same_major {
        versions::reconcile(&mut ours, &mut theirs);
    }
    members::reconcile(&mut ours.catalog, &mut theirs.catalog, same_major);
    let mut comparison = Comparison::default();
    let pair = Pair {
        left: &ours.catalog.objects,
        right: &theirs.catalog.objects,
        // Other versions of pgark word statements otherwise.
        by_statement: described && same_major && left.described == right.described,
        same_major,
    };
    let mut found = pair.differences(left, right, &mut comparison.objects);
    uncarried(left, right, &mut found, &mut comparison.uncompared);
    let found = fold::fold(&pair, found);
    for difference in found {
        if ignore.contains(&difference.aspect) {
            *comparison.ignored.entry(difference.aspect).or_default() += 1;
        } else {
            comparison.differences.push(difference);
        }
    }
    comparison.differences.sort_by(|one, other| place(one).cmp(&place(other)));
    comparison.notes = notes(left, right, described);
    comparison
}

type Objects = BTreeMap<Address, CatalogObject>;

/// Both catalogs.
struct Pair<'a> {
    left: &'a Objects,
    right: &'a Objects,
    /// Whether statements of equal objects must be equal.
    by_statement: bool,
    same_major: bool,
}

impl Pair<'_> {
    fn differences(&self, left: &Schema, right: &Schema, compared: &mut usize) -> Vec<Difference> {
        let mut found = Vec::new();
        for (address, object) in self.left {
            match self.right.get(address) {
                Some(other) => {
                    *compared += 1;
                    self.object(address, object, other, &mut found);
                }
                None if right.whole => found.push(only(address, Side::Left, object)),
                None => {}
            }
        }
        let missing = self.right.iter().filter(|(address, _)| !self.left.contains_key(*address));
        found.extend(
            missing
                .filter(|_| left.whole)
                .map(|(address, object)| only(address, Side::Right, object)),
        );
        if self.by_statement {
            self.statements(&mut found);
        }
        found
    }

    fn object(
        &self,
        address: &Address,
        left: &CatalogObject,
        right: &CatalogObject,
        found: &mut Vec<Difference>,
    ) {
        self.properties(address, None, &left.properties, &right.properties, found);
        let empty = Properties::new();
        for column in &left.columns {
            match right.columns.iter().find(|other| other.name == column.name) {
                Some(other) => {
                    let (ours, theirs) = (&column.properties, &other.properties);
                    self.properties(address, Some(&column.name), ours, theirs, found);
                }
                None if column.position.is_some() => {
                    found.push(only_column(address, Side::Left, column));
                }
                // Something is said of a column of which nothing else is known.
                None => {
                    self.properties(address, Some(&column.name), &column.properties, &empty, found);
                }
            }
        }
        for column in &right.columns {
            if left.columns.iter().any(|other| other.name == column.name) {
                continue;
            }
            match column.position {
                Some(_) => found.push(only_column(address, Side::Right, column)),
                None => {
                    self.properties(address, Some(&column.name), &empty, &column.properties, found);
                }
            }
        }
        found.extend(order(address, left, right));
    }

    /// Statements that differ although none of the objects that they make does.
    fn statements(&self, found: &mut Vec<Difference>) {
        let explained: BTreeSet<&Address> = found
            .iter()
            .filter(|difference| shows_in_definitions(difference))
            .map(|difference| &difference.object)
            .collect();
        let mut unexplained = Vec::new();
        for (address, object) in self.left {
            let Some(other) = self.right.get(address) else { continue };
            let besides = object.made_besides.iter().chain(&other.made_besides);
            let mut together = besides.chain([address]);
            if object.statements == other.statements
                || together.any(|made| explained.contains(made))
            {
                continue;
            }
            let change = Change::Property {
                property: Property::Statements,
                left: without(&object.statements, &other.statements),
                right: without(&other.statements, &object.statements),
            };
            let aspect = Aspect::of_object(address);
            unexplained.push(Difference::new(address, None, aspect, change));
        }
        found.extend(unexplained);
    }

    fn properties(
        &self,
        address: &Address,
        column: Option<&str>,
        left: &Properties,
        right: &Properties,
        found: &mut Vec<Difference>,
    ) {
        let names: BTreeSet<Property> = left.keys().chain(right.keys()).copied().collect();
        for property in names {
            let (ours, theirs) = (left.get(&property), right.get(&property));
            if ours == theirs {
                continue;
            }
            let aspect = Aspect::of_property(address, column.is_some(), property);
            let change = Change::Property { property, left: ours.cloned(), right: theirs.cloned() };
            let mut difference = Difference::new(address, column, aspect, change);
            difference.uncertain = !self.same_major && versions::is_deparsed(property);
            found.push(difference);
        }
    }
}

impl Difference {
    fn new(object: &Address, column: Option<&str>, aspect: Aspect, change: Change) -> Self {
        Self {
            object: object.clone(),
            whole: None,
            column: column.map(str::to_owned),
            aspect,
            change,
            also: Vec::new(),
            perhaps_renamed: None,
            uncertain: false,
        }
    }
}

/// Whether the statements that define something differ with it: owners, comments and privileges have
/// statements of their own.
fn shows_in_definitions(difference: &Difference) -> bool {
    !matches!(difference.aspect, Aspect::Owners | Aspect::Comments | Aspect::Privileges)
}

/// What is in the first list and not in the second, where equal statements count one by one.
fn without(these: &[String], those: &[String]) -> Option<Value> {
    let mut rest = those.to_vec();
    let mut kept = these.to_vec();
    kept.retain(|statement| match rest.iter().position(|other| other == statement) {
        Some(place) => {
            rest.swap_remove(place);
            false
        }
        None => true,
    });
    (!kept.is_empty()).then_some(Value::List(kept))
}

fn only(address: &Address, side: Side, object: &CatalogObject) -> Difference {
    let change = Change::Only {
        side,
        properties: object.properties.clone(),
        columns: names(object).map(str::to_owned).collect(),
        parts: Vec::new(),
    };
    Difference::new(address, None, Aspect::of_object(address), change)
}

fn only_column(address: &Address, side: Side, column: &ColumnDescription) -> Difference {
    let properties = column.properties.clone();
    let change = Change::Only { side, properties, columns: Vec::new(), parts: Vec::new() };
    Difference::new(address, Some(&column.name), Aspect::of_object(address), change)
}

/// Names of the columns in their order.
fn names(object: &CatalogObject) -> impl Iterator<Item = &str> {
    object.columns.iter().filter(|column| column.position.is_some()).map(|c| c.name.as_str())
}

/// The order of columns is a finding of its own. That of a view is in its query.
fn order(address: &Address, left: &CatalogObject, right: &CatalogObject) -> Option<Difference> {
    let (ours, theirs): (Vec<&str>, Vec<&str>) = (names(left).collect(), names(right).collect());
    let common = |these: &[&str], those: &[&str]| -> Vec<String> {
        these.iter().filter(|name| those.contains(*name)).map(|name| (*name).to_owned()).collect()
    };
    let is_view = matches!(address.class, ObjectClass::View | ObjectClass::MaterializedView);
    if is_view || common(&ours, &theirs) == common(&theirs, &ours) {
        return None;
    }
    // A composite value is written without names, so there the order is what it is.
    let aspect = match address.class {
        ObjectClass::CompositeType => Aspect::Definition,
        _ => Aspect::ColumnOrder,
    };
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let change = Change::Order { left: owned(&ours), right: owned(&theirs) };
    Some(Difference::new(address, None, aspect, change))
}

/// What cannot be compared: known to both sides, it is only said; known to one, it differs, unless
/// the other side, which another version of pgark may have read, has just that object.
fn uncarried(
    left: &Schema,
    right: &Schema,
    found: &mut Vec<Difference>,
    uncompared: &mut Vec<NotCarried>,
) {
    let known = |list: &[NotCarried], object: &NotCarried| {
        list.iter().any(|other| (other.class, &other.name) == (object.class, &object.name))
    };
    for (mine, other, side) in [(left, right, Side::Left), (right, left, Side::Right)] {
        for object in &mine.not_carried {
            let text = format!("{} {}", object.class, object.name);
            let read = found.iter().position(|difference| {
                matches!(&difference.change, Change::Only { side: there, .. } if *there != side)
                    && difference.object.to_string() == text
            });
            if known(&other.not_carried, object) {
                if side == Side::Left {
                    uncompared.push(object.clone());
                }
            } else if let Some(place) = read {
                found.remove(place);
                uncompared.push(object.clone());
            } else if other.whole {
                let address = Address {
                    class: object.class,
                    schema: None,
                    on: None,
                    name: object.name.clone(),
                };
                found.push(only(&address, side, &CatalogObject::default()));
            }
        }
    }
    uncompared.sort();
}

type Place<'a> =
    (Option<&'a str>, &'a str, bool, ObjectClass, &'a str, bool, Option<&'a str>, Option<Property>);

/// Where a difference stands: with its relation, the relation's own differences first.
fn place(difference: &Difference) -> Place<'_> {
    let Address { class, schema, on, name } = &difference.object;
    let whole = on.as_ref().map_or(name, |whole| &whole.name);
    let property = match &difference.change {
        Change::Property { property, .. } => Some(*property),
        _ => None,
    };
    let column = difference.column.as_deref();
    (schema.as_deref(), whole, on.is_some(), *class, name, column.is_some(), column, property)
}

fn notes(left: &Schema, right: &Schema, described: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if left.major != right.major {
        notes.push(format!(
            "the definitions were written by PostgreSQL {} on one side and {} on the other: what differs in their text alone may mean the same",
            left.major, right.major
        ));
    }
    if !described {
        notes.push(String::from(
            "an archive says nothing of its objects but their statements, or was written by another version of pgark: statements were compared, not properties",
        ));
    }
    if !left.whole || !right.whole {
        notes.push(String::from(
            "an archive holds a selection: what only the other side has was not looked at",
        ));
    }
    notes
}
