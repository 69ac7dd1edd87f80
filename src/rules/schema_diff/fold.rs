//! Keeps one change one difference: what goes with a table is said with the table, what reaches
//! partitions and children is said once, and what was perhaps only renamed is said to be.

use super::{Change, Difference, Objects, Pair, Side};
use crate::model::catalog::{Address, CatalogObject, Properties, Property, Value};
use crate::model::name::QualifiedName;
use crate::model::schema::ObjectClass;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn fold(pair: &Pair<'_>, found: Vec<Difference>) -> Vec<Difference> {
    let relations = Relations::of(pair);
    let mut found = parts(&relations, found);
    found = descendants(pair, &relations, found);
    renamed(pair, &mut found);
    for difference in &mut found {
        let whole = difference.object.on.as_ref().and_then(|whole| relations.by_name.get(whole));
        difference.whole = whole.cloned();
    }
    found
}

/// Relations and domains, and who descends from whom.
struct Relations {
    by_name: BTreeMap<QualifiedName, Address>,
    /// By the name that values show.
    shown: BTreeMap<String, Address>,
    parents: BTreeMap<Address, Vec<Address>>,
}

impl Relations {
    fn of(pair: &Pair<'_>) -> Self {
        let mut relations =
            Self { by_name: BTreeMap::new(), shown: BTreeMap::new(), parents: BTreeMap::new() };
        for address in pair.left.keys().chain(pair.right.keys()) {
            let is_whole = matches!(
                address.class,
                ObjectClass::Table
                    | ObjectClass::ForeignTable
                    | ObjectClass::View
                    | ObjectClass::MaterializedView
                    | ObjectClass::Domain
            );
            if let (true, Some(name)) = (is_whole, address.qualified()) {
                relations.shown.insert(name.to_string(), address.clone());
                relations.by_name.insert(name, address.clone());
            }
        }
        for (address, object) in pair.left.iter().chain(pair.right) {
            let shown = match (
                object.properties.get(&Property::PartitionOf),
                object.properties.get(&Property::Inherits),
            ) {
                (Some(Value::List(place)), _) => place.get(..1).unwrap_or_default(),
                (_, Some(Value::List(parents))) => parents,
                _ => continue,
            };
            let parents = shown.iter().filter_map(|name| relations.shown.get(name).cloned());
            relations.parents.entry(address.clone()).or_default().extend(parents);
        }
        relations
    }
}

fn side_of(difference: &Difference) -> Option<Side> {
    match (&difference.change, &difference.column) {
        (Change::Only { side, .. }, None) => Some(*side),
        _ => None,
    }
}

/// Constraints, indexes, triggers … of a table that is on one side alone, and sequences of its
/// columns, are said with the table.
fn parts(relations: &Relations, found: Vec<Difference>) -> Vec<Difference> {
    let alone: BTreeMap<Address, Side> = found
        .iter()
        .filter_map(|difference| Some((difference.object.clone(), side_of(difference)?)))
        .collect();
    let mut belonging: BTreeMap<Address, Vec<Address>> = BTreeMap::new();
    let mut kept = Vec::new();
    for difference in found {
        let Some(side) = side_of(&difference) else {
            kept.push(difference);
            continue;
        };
        let whole = match &difference.object.on {
            Some(whole) => relations.by_name.get(whole).cloned(),
            None => owner_of_sequence(relations, &difference),
        };
        match whole.filter(|whole| alone.get(whole) == Some(&side)) {
            Some(whole) => belonging.entry(whole).or_default().push(difference.object),
            None => kept.push(difference),
        }
    }
    for difference in &mut kept {
        if let Change::Only { parts, .. } = &mut difference.change {
            parts.extend(belonging.remove(&difference.object).unwrap_or_default());
        }
    }
    kept
}

/// The table that a sequence goes with: `OWNED BY`, or an identity column.
fn owner_of_sequence(relations: &Relations, difference: &Difference) -> Option<Address> {
    let Change::Only { properties, .. } = &difference.change else { return None };
    let Some(Value::Text(owned)) = properties.get(&Property::OwnedBy) else { return None };
    let owned = owned.strip_prefix("identity of ").unwrap_or(owned);
    // A name may hold dots: every cut is tried.
    let mut cuts = owned.match_indices('.');
    cuts.find_map(|(cut, _)| relations.shown.get(&owned[..cut]).cloned())
}

/// Differences of partitions and children that their parent has as well.
fn descendants(pair: &Pair<'_>, relations: &Relations, found: Vec<Difference>) -> Vec<Difference> {
    let positions: BTreeMap<Key, usize> =
        found.iter().enumerate().map(|(position, one)| (key(one, &one.object), position)).collect();
    let attached = attachments(pair);
    let mut above: Vec<Option<usize>> = Vec::with_capacity(found.len());
    for difference in &found {
        let same = |object: &Address| {
            let place = *positions.get(&key(difference, object))?;
            same_change(&found[place].change, &difference.change).then_some(place)
        };
        above.push(candidates(relations, &attached, &difference.object).iter().find_map(same));
    }
    let mut also: Vec<Vec<Address>> = vec![Vec::new(); found.len()];
    for (position, difference) in found.iter().enumerate() {
        let (mut root, mut steps) = (position, 0);
        while let Some(parent) = above[root].filter(|_| steps < found.len()) {
            (root, steps) = (parent, steps + 1);
        }
        if root != position {
            also[root].push(difference.object.clone());
        }
    }
    let placed = found.into_iter().zip(above).zip(also);
    placed
        .filter(|((_, above), _)| above.is_none())
        .map(|((mut difference, _), also)| {
            difference.also = also;
            difference
        })
        .collect()
}

/// What tells differences of one object apart.
type Key = (Address, Option<String>, Option<Property>, u8);

fn key(difference: &Difference, object: &Address) -> Key {
    let (property, kind) = match &difference.change {
        Change::Only { .. } => (None, 0),
        Change::Property { property, .. } => (Some(*property), 1),
        Change::Order { .. } => (None, 2),
    };
    (object.clone(), difference.column.clone(), property, kind)
}

/// Whether a change is the other one's, further down. What an object that comes or goes is made of
/// differs from its parent's in what says so.
fn same_change(above: &Change, below: &Change) -> bool {
    match (above, below) {
        (
            Change::Only { side, properties, .. },
            Change::Only { side: other, properties: others, .. },
        ) => side == other && inheritable(properties) == inheritable(others),
        (one, other) => one == other,
    }
}

/// Properties without those that say where something comes from, or are its own.
fn inheritable(properties: &Properties) -> Properties {
    let own = [
        Property::Inherited,
        Property::AttachedTo,
        Property::Comment,
        Property::NotNullName,
        Property::NotNullOfItsOwn,
        Property::Identity,
    ];
    properties.iter().filter(|(name, _)| !own.contains(name)).map(pair_of).collect()
}

fn pair_of((name, value): (&Property, &Value)) -> (Property, Value) {
    (*name, value.clone())
}

/// Objects of the parents that a difference of `object` may have come from.
fn candidates(
    relations: &Relations,
    attached: &BTreeMap<Address, Address>,
    object: &Address,
) -> Vec<Address> {
    if let Some(parent) = attached.get(object) {
        return vec![parent.clone()];
    }
    let parents = |of: &Address| relations.parents.get(of).cloned().unwrap_or_default();
    match &object.on {
        None => parents(object),
        Some(whole) => relations
            .by_name
            .get(whole)
            .map(parents)
            .unwrap_or_default()
            .iter()
            .filter_map(Address::qualified)
            .map(|parent| Address::part(object.class, &parent, object.name.as_str()))
            .collect(),
    }
}

/// Indexes of partitions, and constraints with one, to those of the partitioned table.
fn attachments(pair: &Pair<'_>) -> BTreeMap<Address, Address> {
    let shown = |objects: &Objects| -> BTreeMap<String, Address> {
        let named = |of: &Address| {
            Some((QualifiedName::new(of.schema.clone()?, of.name.as_str()).to_string(), of.clone()))
        };
        let has_index = |of: &&Address| {
            use ObjectClass::{Exclusion, Index, PrimaryKey, Unique};
            matches!(of.class, Index | PrimaryKey | Unique | Exclusion)
        };
        objects.keys().filter(has_index).filter_map(named).collect()
    };
    let mut attached = BTreeMap::new();
    for objects in [pair.left, pair.right] {
        let shown = shown(objects);
        for (address, object) in objects {
            if let Some(Value::Text(parent)) = object.properties.get(&Property::AttachedTo)
                && let Some(parent) = shown.get(parent)
            {
                attached.insert(address.clone(), parent.clone());
            }
        }
    }
    attached
}

/// Classes whose objects are told apart by more than their names.
const RENAMED: &[ObjectClass] = &[
    ObjectClass::Table,
    ObjectClass::View,
    ObjectClass::MaterializedView,
    ObjectClass::Enum,
    ObjectClass::Domain,
    ObjectClass::CompositeType,
    ObjectClass::Check,
    ObjectClass::PrimaryKey,
    ObjectClass::Unique,
    ObjectClass::Exclusion,
    ObjectClass::ForeignKey,
    ObjectClass::Index,
    ObjectClass::Trigger,
];

/// Marks pairs of which one is only here and one only there, and which are equal but for the name.
fn renamed(pair: &Pair<'_>, found: &mut [Difference]) {
    let mut alike: BTreeMap<Likeness, (BTreeSet<usize>, BTreeSet<usize>)> = BTreeMap::new();
    for (position, difference) in found.iter().enumerate() {
        let Change::Only { side, properties, .. } = &difference.change else { continue };
        let object = match side {
            Side::Left => pair.left.get(&difference.object),
            Side::Right => pair.right.get(&difference.object),
        };
        let Some(object) = object else { continue };
        let Some(likeness) = likeness(difference, properties, object) else { continue };
        let (left, right) = alike.entry(likeness).or_default();
        match side {
            Side::Left => left.insert(position),
            Side::Right => right.insert(position),
        };
    }
    for (left, right) in alike.into_values() {
        // Of several it cannot be told which became which.
        let (Some(one), Some(other)) = (left.first(), right.first()) else { continue };
        if left.len() == 1 && right.len() == 1 {
            let name = |of: &Difference| match &of.column {
                Some(column) => column.clone(),
                None => of.object.name.clone(),
            };
            let (old, new) = (name(&found[*one]), name(&found[*other]));
            found[*one].perhaps_renamed = Some(new);
            found[*other].perhaps_renamed = Some(old);
        }
    }
}

/// What two objects of the same kind at the same place have in common if one is the other renamed.
type Likeness = (
    ObjectClass,
    Option<String>,
    Option<QualifiedName>,
    Option<u32>,
    String,
    Vec<(Property, Value)>,
);

fn likeness(
    difference: &Difference,
    properties: &Properties,
    object: &CatalogObject,
) -> Option<Likeness> {
    let Address { class, schema, on, .. } = &difference.object;
    let described = properties
        .iter()
        .filter(|(name, _)| !matches!(name, Property::Comment | Property::NotNullName))
        .map(pair_of)
        .collect();
    let whole = difference.object.qualified();
    if let Some(name) = &difference.column {
        // A column keeps its place; dropped ones before it are not counted.
        let place = object.columns.iter().find(|column| column.name == *name)?.position;
        return Some((
            *class,
            schema.clone(),
            on.clone().or(whole),
            place,
            String::new(),
            described,
        ));
    }
    let told_apart =
        RENAMED.contains(class) && !(properties.is_empty() && object.columns.is_empty());
    if !told_apart {
        return None;
    }
    let columns: Vec<String> = object
        .columns
        .iter()
        .map(|column| format!("{:?} {:?}", column.name, column.properties))
        .collect();
    Some((*class, schema.clone(), on.clone(), None, columns.join(", "), described))
}
