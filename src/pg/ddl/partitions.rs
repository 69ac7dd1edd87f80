//! `ATTACH PARTITION`: partitions are made alone and attached while they are empty.

use super::collection::{Collection, Draft, Key};
use super::constraints::{Constraint, Constraints};
use super::exclusions;
use super::relations::{Relation, Relations};
use crate::error::Result;
use crate::model::catalog::{Address, Property};
use crate::model::schema::ObjectClass;
use crate::pg::ident;

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
        let demanded = constraints.checks(partition.oid).into_iter().filter(|own| own.is_inherited);
        for check in demanded.chain(constraints.checks(parent.oid)) {
            if check.validated && check.enforced {
                draft = draft.needs(check.key());
            }
        }
        for sql in own_not_nulls(relations, constraints, partition) {
            draft = draft.define(sql);
        }
        if parent.is_member {
            // Its indexes are there from the beginning, and would give the partition others than its own.
            draft = draft.after_data();
        }
        let index = out.add(Key::attach(partition.oid), draft)?;
        if parent.is_member {
            come_from_member(out, relations, constraints, partition, index)?;
        }
        let of = Address::within(partition.table_class(), name);
        exclusions::attach_around(out, constraints, relations, parent, partition, index)?;
        let place = vec![parent.name.to_string(), bound.clone()];
        out.describe(index, of).set(Property::PartitionOf, place);
    }
    Ok(())
}

/// What a partition and those below it have from a member of an extension as soon as `attach` is done, beside
/// indexes and triggers.
fn come_from_member(
    out: &mut Collection,
    relations: &Relations,
    constraints: &Constraints,
    partition: &Relation,
    attach: usize,
) -> Result<()> {
    for below in std::iter::once(partition).chain(relations.descendants(partition.oid)) {
        let copies = constraints.of_table(below.oid).filter(|copy| copy.parent != 0);
        for copy in copies {
            if out.maker(Key::constraint(copy.root)).is_some() || out.accounts_for(copy.key()) {
                continue;
            }
            if copy.excludes {
                exclusions::come_from_above(out, relations, copy, attach)?;
            } else if copy.kind == 'f' {
                out.claim_implied(copy.key(), attach)?;
                out.commentable(copy.key(), attach, copy.comment_target(below));
            }
        }
    }
    Ok(())
}

/// What keeps a NOT NULL of the partition's own when the one above goes; attached, it is taken for a copy.
fn own_not_nulls(
    relations: &Relations,
    constraints: &Constraints,
    partition: &Relation,
) -> Vec<String> {
    let again = |own: &Constraint| {
        let (name, column) = (ident::quote(&own.name), own.column(relations)?);
        let column = ident::quote(&column.name);
        let table = partition.sql();
        Some(format!("ALTER TABLE ONLY {table} ADD CONSTRAINT {name} NOT NULL {column}"))
    };
    let own = constraints.not_nulls(partition.oid).filter(|own| own.is_also_own);
    own.filter_map(again).collect()
}
