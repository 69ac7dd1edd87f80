//! The members of extensions, which tell something only where both are of one version.

use crate::model::catalog::{Address, Catalog, CatalogObject, Property, Value};
use crate::model::schema::ObjectClass;
use crate::rules::extension_members::{is_owner, is_position};
use std::collections::BTreeMap;

/// Takes away what is equal, and what can differ without having been changed.
pub(super) fn reconcile(left: &mut Catalog, right: &mut Catalog, same_major: bool) {
    let taken = |object: &mut CatalogObject| object.properties.remove(&Property::Members);
    let is_extension = |of: &Address| of.class == ObjectClass::Extension;
    let mut there: BTreeMap<Address, Value> = BTreeMap::new();
    for (of, theirs) in right.objects.iter_mut().filter(|(of, _)| is_extension(of)) {
        there.extend(taken(theirs).map(|members| (of.clone(), members)));
    }
    for (of, ours) in left.objects.iter_mut().filter(|(of, _)| is_extension(of)) {
        let (Some(Value::List(one)), Some(Value::List(other)), Some(theirs)) =
            (taken(ours), there.remove(of), right.objects.get_mut(of))
        else {
            continue;
        };
        let version = |object: &CatalogObject| object.properties.get(&Property::Version).cloned();
        if !same_major || version(ours) != version(theirs) {
            continue;
        }
        say(ours, &one, &other);
        say(theirs, &other, &one);
    }
}

/// Leaves to the object what the other one does not have.
fn say(object: &mut CatalogObject, own: &[String], other: &[String]) {
    let is_own = |line: &&String| {
        other.binary_search(line).is_err() && !is_position(line) && !is_owner(line)
    };
    let lines: Vec<String> = own.iter().filter(is_own).cloned().collect();
    if !lines.is_empty() {
        object.properties.insert(Property::Members, Value::List(lines));
    }
}
