//! What two major versions of PostgreSQL call by different names and is certainly the same.

use crate::model::catalog::{Address, Catalog, CatalogObject, OWNER, Properties, Property, Value};
use crate::model::schema::ObjectClass;
use std::collections::BTreeMap;

/// A schema's catalog and the major version of its server.
pub(super) struct Versioned {
    pub major: u32,
    pub catalog: Catalog,
}

/// Takes away what only the newer of two servers can say, where the older one says the same by
/// saying nothing. Whatever is not certain stays, and differs.
pub(super) fn reconcile(left: &mut Versioned, right: &mut Versioned) {
    let (older, newer) = if left.major < right.major { (left, right) } else { (right, left) };
    let crosses = |major: u32| older.major < major && major <= newer.major;
    let objects = &mut newer.catalog.objects;
    if crosses(14) {
        // A range made by 13 has no multirange; the newer server gives it one.
        for_each(objects, ObjectClass::RangeType, |object| {
            object.properties.remove(&Property::MultirangeType);
        });
    }
    if crosses(17) {
        json_without_quotes(&mut older.catalog);
        json_without_quotes(&mut newer.catalog);
    }
    let objects = &mut newer.catalog.objects;
    if crosses(17) {
        for object in objects.values_mut() {
            without_maintain(&mut object.properties);
            object.columns.iter_mut().for_each(|column| without_maintain(&mut column.properties));
        }
        partitions_take_identity(&older.catalog.objects, objects);
        for_each(objects, ObjectClass::Domain, |object| {
            object.properties.remove(&Property::NotNullName);
        });
    }
    if crosses(18) {
        // NOT NULL has become a constraint of tables, too, to which the server gives a name.
        for object in objects.values_mut() {
            for column in &mut object.columns {
                column.properties.remove(&Property::NotNullName);
                column.properties.remove(&Property::NotNullOfItsOwn);
            }
        }
    }
}

/// `json` is a keyword since 17, and the server writes the type's name without quotes.
fn json_without_quotes(catalog: &mut Catalog) {
    let bare = |text: &mut String| *text = text.replace("\"json\"", "json");
    let objects = std::mem::take(&mut catalog.objects).into_iter();
    let renamed = objects.map(|(mut address, mut object)| {
        bare(&mut address.name);
        let columns = object.columns.iter_mut().map(|column| &mut column.properties);
        for properties in columns.chain([&mut object.properties]) {
            for value in properties.values_mut() {
                match value {
                    Value::Text(text) => bare(text),
                    Value::List(lines) => lines.iter_mut().for_each(bare),
                }
            }
        }
        object.made_besides.iter_mut().for_each(|made| bare(&mut made.name));
        (address, object)
    });
    catalog.objects = renamed.collect();
}

type Objects = BTreeMap<Address, CatalogObject>;

fn for_each(objects: &mut Objects, class: ObjectClass, change: impl Fn(&mut CatalogObject)) {
    objects.iter_mut().filter(|(of, _)| of.class == class).for_each(|(_, object)| change(object));
}

/// MAINTAIN came with 17; until then an owner had what it permits without a privilege.
fn without_maintain(properties: &mut Properties) {
    if let Some(Value::List(lines)) = properties.get_mut(&Property::Privileges) {
        lines.retain(|line| *line != format!("{OWNER}: MAINTAIN"));
    }
}

/// From 17 on the partitions of a table with an identity column have it, too.
fn partitions_take_identity(older: &Objects, newer: &mut Objects) {
    for (of, object) in newer.iter_mut() {
        let Some(before) = older.get(of) else { continue };
        if !object.properties.contains_key(&Property::PartitionOf) {
            continue;
        }
        for column in &mut object.columns {
            let was = before.columns.iter().find(|other| other.name == column.name);
            if was.is_some_and(|was| !was.properties.contains_key(&Property::Identity)) {
                column.properties.remove(&Property::Identity);
            }
        }
    }
}

/// Whether the value is text that the server wrote from its own tree, and so can read otherwise on
/// another version without meaning anything else (dump-correctness 0.2).
pub(super) fn is_deparsed(property: Property) -> bool {
    matches!(
        property,
        Property::Query
            | Property::Definition
            | Property::Default
            | Property::Generated
            | Property::PartitionKey
            | Property::PartitionOf
            | Property::Arguments
            | Property::Body
    )
}
