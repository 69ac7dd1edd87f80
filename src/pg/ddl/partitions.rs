//! `ATTACH PARTITION`: partitions are made alone and attached while they are empty.

use super::collection::{Collection, Draft, Key};
use super::constraints::Constraints;
use super::exclusions;
use super::relations::Relations;
use crate::error::Result;
use crate::model::catalog::{Address, Property};
use crate::model::schema::ObjectClass;

/// Collects one attachment per partition.
pub(super) fn collect(
    out: &mut Collection,
    relations: &Relations,
    constraints: &Constraints,
) -> Result<()> {
    for partition in relations.of_kind(&['r', 'p', 'f']) {
        let (true, Some(bound)) = (partition.is_partition, &partition.bound) else { continue };
        let Some(parent) = relations.parents(partition.oid).next() else { continue };
        let name = &partition.name;
        let mut draft = Draft::new(ObjectClass::PartitionAttach, Some(&name.schema), &name.name)
            .part_of(parent.name.clone())
            .define(format!(
                "ALTER TABLE ONLY {} ATTACH PARTITION {} {bound}",
                parent.sql(),
                partition.sql()
            ))
            .needs(parent.key())
            .needs(partition.key());
        // The partition must bring what the parent demands, or attaching fails.
        for check in constraints.checks(partition.oid).iter().chain(&constraints.checks(parent.oid))
        {
            if check.validated && check.enforced {
                draft = draft.needs(check.key());
            }
        }
        let index = out.add(Key::attach(partition.oid), draft)?;
        let of = Address::within(partition.table_class(), name);
        exclusions::attach_around(out, constraints, relations, parent, partition, index)?;
        let place = vec![parent.name.to_string(), bound.clone()];
        out.describe(index, of).set(Property::PartitionOf, place);
    }
    Ok(())
}
