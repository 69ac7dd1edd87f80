//! The order in which objects are created.
//!
//! The list keeps its order wherever dependencies allow: an object waits until what it needs is
//! there, and is then the next one. Circles go through views or functions, and are cut with placeholders
//! (dump-correctness 2.3).

use crate::error::{Error, Kind, Result};
use crate::model::name::QualifiedName;
use crate::model::schema::ObjectClass::{Index, PartitionAttach, PrimaryKey, Unique};
use crate::model::schema::{self, ObjectClass, SchemaObject, Section, Statement};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// Brings the objects into an order in which each comes after what it depends on, and all of
/// [`Section::PreData`] before all of [`Section::PostData`]. A view or function may come out twice: as
/// a placeholder of the same columns or arguments, and later as itself.
///
/// # Errors
/// [`Kind::Failed`] for a circle of dependencies in which nothing can stand in; it names the
/// members.
pub fn restore_order(objects: Vec<SchemaObject>) -> Result<Vec<SchemaObject>> {
    let mut plan = Plan::new(objects)?;
    plan.bring_keys_forward();
    plan.move_after_data();
    plan.cut_before_data()?;
    let order = loop {
        let (order, stuck) = plan.sort();
        if stuck.is_empty() {
            break order;
        }
        plan.cut_circle(&stuck)?;
    };
    Ok(schema::arrange(plan.objects, &plan.needs, &order))
}

struct Plan {
    objects: Vec<SchemaObject>,
    needs: Vec<BTreeSet<usize>>,
    /// Where each object stands in the list; a placeholder shares its view's place.
    place: Vec<(usize, bool)>,
    /// The placeholder of an object that has been split.
    split: Vec<Option<usize>>,
}

impl Plan {
    fn new(mut objects: Vec<SchemaObject>) -> Result<Self> {
        let count = objects.len();
        let mut needs = Vec::with_capacity(count);
        for (index, object) in objects.iter_mut().enumerate() {
            let mut needed: BTreeSet<usize> =
                std::mem::take(&mut object.depends_on).into_iter().collect();
            needed.remove(&index);
            if let Some(beyond) = needed.iter().find(|needed| **needed >= count) {
                return Err(Error::new(
                    Kind::Damaged,
                    format!("{object} depends on object {beyond} of a list of {count}"),
                ));
            }
            needs.push(needed);
        }
        let place = (0..count).map(|index| (index, true)).collect();
        Ok(Self { objects, needs, place, split: vec![None; count] })
    }

    fn is_late(&self, index: usize) -> bool {
        self.objects[index].section == Section::PostData
    }

    /// Makes before the rows the keys that tables cannot do without: where a column holds rows of a
    /// materialized view that groups by one, for instance, and nothing stands in for that. A key of a
    /// partitioned table would come to partitions as they are attached.
    fn bring_keys_forward(&mut self) {
        let attached = self.objects.iter().filter(|object| object.class == PartitionAttach);
        let partitioned: BTreeSet<QualifiedName> =
            attached.filter_map(|object| object.part_of.clone()).collect();
        let is_table =
            |index: &usize| !self.is_late(*index) && !can_move(self.objects[*index].class);
        let mut waiting: Vec<usize> = (0..self.objects.len()).filter(is_table).collect();
        let mut seen: BTreeSet<usize> = waiting.iter().copied().collect();
        while let Some(index) = waiting.pop() {
            for needed in self.needs[index].iter().copied() {
                if self.is_replaced(needed, index)
                    || comes_through_the_whole(&self.objects[index], &self.objects[needed])
                    || !seen.insert(needed)
                {
                    continue;
                }
                waiting.push(needed);
                let object = &mut self.objects[needed];
                let is_apart =
                    object.part_of.as_ref().is_none_or(|table| !partitioned.contains(table));
                if is_apart && matches!(object.class, Index | PrimaryKey | Unique) {
                    object.section = Section::PreData;
                }
            }
        }
    }

    /// Whether the placeholder of `needed` will do for `index`: for what only names a view. What selects
    /// from it (and may demand that it can be updated) goes with it.
    fn is_replaced(&self, needed: usize, index: usize) -> bool {
        self.objects[needed].class == ObjectClass::View && !is_view(self.objects[index].class)
    }

    /// Moves what needs an object of after the rows there too, where that is possible: functions
    /// and materialized views with a `GROUP BY` over a primary key, for instance.
    fn move_after_data(&mut self) {
        let mut moved = true;
        while moved {
            moved = false;
            for index in 0..self.objects.len() {
                if self.is_late(index) || !can_move(self.objects[index].class) {
                    continue;
                }
                let pulled = self.needs[index]
                    .iter()
                    .any(|needed| self.is_late(*needed) && !self.is_replaced(*needed, index));
                if pulled {
                    self.objects[index].section = Section::PostData;
                    moved = true;
                }
            }
        }
    }

    /// Gives what stays before the rows the placeholders of the views that do not.
    fn cut_before_data(&mut self) -> Result<()> {
        let all: BTreeSet<usize> = (0..self.needs.len()).collect();
        for index in 0..self.needs.len() {
            if self.is_late(index) {
                continue;
            }
            let late: Vec<usize> =
                self.needs[index].iter().copied().filter(|needed| self.is_late(*needed)).collect();
            for needed in late {
                if comes_through_the_whole(&self.objects[index], &self.objects[needed]) {
                    self.needs[index].remove(&needed);
                    continue;
                }
                let below = self.needed_for(needed, &all);
                let circle = self.in_need_of(needed, &below);
                // The rows may go through a function, which must be the real one.
                let is_view = self.objects[needed].class == ObjectClass::View;
                let stand_in = is_view.then(|| self.stand_in(needed, &circle)).flatten();
                let Some(stand_in) = stand_in else {
                    return Err(Error::failed(format!(
                        "{} must be there before the rows, but depends on {}, which comes after",
                        self.objects[index], self.objects[needed]
                    )));
                };
                self.needs[index].remove(&needed);
                self.needs[index].insert(stand_in);
            }
        }
        Ok(())
    }

    /// The placeholder of an object that has one; `circle` is what it must not depend on.
    fn stand_in(&mut self, whole: usize, circle: &BTreeSet<usize>) -> Option<usize> {
        if let Some(stand_in) = self.split[whole] {
            return Some(stand_in);
        }
        let statement: Statement = self.objects[whole].placeholder.clone()?;
        let real = &self.objects[whole];
        let object = SchemaObject {
            section: Section::PreData,
            depends_on: Vec::new(),
            statements: vec![statement],
            placeholder: None,
            owner: None,
            ..real.clone()
        };
        // It needs the types of the columns or arguments; they are among what the whole needs.
        let needed: Vec<usize> = self.needs[whole]
            .iter()
            .copied()
            .filter(|needed| !circle.contains(needed) && !self.is_late(*needed))
            .collect();
        let stand_in = self.objects.len();
        self.objects.push(object);
        self.needs.push(needed.into_iter().collect());
        self.place.push((self.place[whole].0, false));
        self.split.push(None);
        self.split[whole] = Some(stand_in);
        self.needs[whole].insert(stand_in);
        Some(stand_in)
    }

    /// The objects in order, and those that never came free because they are in or behind circles.
    fn sort(&self) -> (Vec<usize>, BTreeSet<usize>) {
        let mut waits_for: Vec<usize> = self.needs.iter().map(BTreeSet::len).collect();
        let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); self.needs.len()];
        for (index, needs) in self.needs.iter().enumerate() {
            for needed in needs {
                needed_by[*needed].push(index);
            }
        }
        let key = |index: usize| Reverse((self.objects[index].section, self.place[index], index));
        let mut free: BinaryHeap<_> =
            (0..self.needs.len()).filter(|index| waits_for[*index] == 0).map(key).collect();
        let mut order = Vec::with_capacity(self.needs.len());
        while let Some(Reverse((_, _, index))) = free.pop() {
            order.push(index);
            for waiting in &needed_by[index] {
                waits_for[*waiting] -= 1;
                if waits_for[*waiting] == 0 {
                    free.push(key(*waiting));
                }
            }
        }
        let stuck = (0..self.needs.len()).filter(|index| waits_for[*index] > 0).collect();
        (order, stuck)
    }

    /// Puts a placeholder into one circle.
    fn cut_circle(&mut self, stuck: &BTreeSet<usize>) -> Result<()> {
        let circle = self.find_circle(stuck);
        let Some(whole) = self.place_to_cut(&circle) else {
            let names: Vec<String> =
                circle.iter().map(|index| self.objects[*index].to_string()).collect();
            return Err(Error::failed(format!(
                "these objects depend on each other in a circle: {}",
                names.join(", ")
            ))
            .hint("PostgreSQL has no statements to create them one after the other"));
        };
        // Everything that is tied up with the circle, so that the placeholder is free of it.
        let tied: BTreeSet<usize> = &self.needed_for(whole, stuck) & &self.in_need_of(whole, stuck);
        let Some(stand_in) = self.stand_in(whole, &tied) else { return Ok(()) };
        for index in tied.iter().copied().filter(|index| *index != whole) {
            if self.needs[index].remove(&whole) {
                self.needs[index].insert(stand_in);
            }
        }
        Ok(())
    }

    /// What in a circle gets a placeholder: a view that a table needs, if there is one, and at least no
    /// view does. Then those in between are made over what they read, and not over a placeholder; and
    /// `pg_dump`, which begins at the oldest object of a circle, cuts the copy where it cut the source.
    fn place_to_cut(&self, circle: &[usize]) -> Option<usize> {
        let needing = circle.iter().cycle().skip(circle.len().saturating_sub(1));
        let places = circle.iter().zip(needing).filter(|(whole, _)| {
            self.objects[**whole].placeholder.is_some() && self.split[**whole].is_none()
        });
        let rank = |whole: usize, needing: usize| match self.objects[needing].class {
            _ if self.objects[whole].class != ObjectClass::View => 3,
            ObjectClass::Table | ObjectClass::ForeignTable => 0,
            class if !is_view(class) => 1,
            _ => 2,
        };
        places.min_by_key(|(whole, needing)| rank(**whole, **needing)).map(|(whole, _)| *whole)
    }

    /// Follows needs from one stuck object until one comes up again.
    fn find_circle(&self, stuck: &BTreeSet<usize>) -> Vec<usize> {
        let mut path: Vec<usize> = Vec::new();
        let mut next = stuck.first().copied();
        while let Some(index) = next {
            if let Some(start) = path.iter().position(|seen| *seen == index) {
                return path.split_off(start);
            }
            path.push(index);
            next = self.needs[index].iter().copied().find(|needed| stuck.contains(needed));
        }
        path
    }

    /// What `index` needs, directly or through others.
    fn needed_for(&self, index: usize, within: &BTreeSet<usize>) -> BTreeSet<usize> {
        let mut seen = BTreeSet::from([index]);
        let mut waiting = vec![index];
        while let Some(next) = waiting.pop() {
            let further = self.needs[next].iter().filter(|needed| within.contains(needed));
            waiting.extend(further.copied().filter(|needed| seen.insert(*needed)));
        }
        seen
    }

    /// What needs `index`, directly or through others.
    fn in_need_of(&self, index: usize, within: &BTreeSet<usize>) -> BTreeSet<usize> {
        let mut needed_by: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for from in within {
            for needed in &self.needs[*from] {
                needed_by.entry(*needed).or_default().push(*from);
            }
        }
        let mut seen = BTreeSet::from([index]);
        let mut waiting = vec![index];
        while let Some(next) = waiting.pop() {
            let further = needed_by.get(&next).into_iter().flatten();
            waiting.extend(further.copied().filter(|from| seen.insert(*from)));
        }
        seen
    }
}

/// Whether a partition can be attached before this CHECK is there: what comes to the table above after the
/// rows reaches the partition, too, and merges with its own.
fn comes_through_the_whole(object: &SchemaObject, needed: &SchemaObject) -> bool {
    object.class == PartitionAttach && needed.class == ObjectClass::Check
}

fn is_view(class: ObjectClass) -> bool {
    matches!(class, ObjectClass::View | ObjectClass::MaterializedView)
}

/// What can be created after the rows: not the tables that hold them, nor what gives them shape.
fn can_move(class: ObjectClass) -> bool {
    !matches!(
        class,
        ObjectClass::Schema
            | ObjectClass::Extension
            | ObjectClass::Sequence
            | ObjectClass::Table
            | ObjectClass::ForeignTable
            | ObjectClass::Column
            | ObjectClass::SequenceOwner
            | ObjectClass::PartitionAttach
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(class: ObjectClass, name: &str, section: Section, needs: &[usize]) -> SchemaObject {
        SchemaObject {
            class,
            schema: None,
            name: name.to_owned(),
            part_of: None,
            owner: None,
            tablespace: None,
            section,
            depends_on: needs.to_vec(),
            statements: vec![Statement::define(name)],
            placeholder: (class == ObjectClass::View)
                .then(|| Statement::define(format!("empty {name}"))),
            access: None,
            descriptions: Vec::new(),
        }
    }

    fn first_statements(objects: &[SchemaObject]) -> Vec<&str> {
        objects.iter().map(|object| object.statements[0].sql.as_str()).collect()
    }

    fn assert_sound(objects: &[SchemaObject]) {
        for (index, object) in objects.iter().enumerate() {
            assert!(object.depends_on.iter().all(|needed| *needed < index), "{object}");
        }
        assert!(objects.windows(2).all(|pair| pair[0].section <= pair[1].section));
    }

    use ObjectClass::{Check, ForeignKey, Function, MaterializedView, Table, View};
    use Section::{PostData, PreData};

    #[test]
    fn what_needs_nothing_keeps_its_place_and_the_rest_waits() -> Result<()> {
        let sorted = restore_order(vec![
            object(Function, "f", PreData, &[2]),
            object(Table, "a", PreData, &[]),
            object(Table, "b", PreData, &[]),
            object(Table, "c", PreData, &[0]),
            object(Index, "i", PostData, &[3]),
        ])?;
        assert_eq!(first_statements(&sorted), ["a", "b", "f", "c", "i"]);
        assert_eq!(sorted[3].depends_on, [2]);
        assert_sound(&sorted);
        Ok(())
    }

    #[test]
    fn a_view_that_comes_after_the_rows_stands_empty_in_a_circle_of_its_table() -> Result<()> {
        let sorted = restore_order(vec![
            object(Table, "t", PreData, &[1]),
            object(View, "v", PreData, &[0, 2]),
            object(PrimaryKey, "k", PostData, &[0]),
        ])?;
        assert_eq!(first_statements(&sorted), ["empty v", "t", "k", "v"]);
        assert_sound(&sorted);
        Ok(())
    }

    #[test]
    fn a_partition_is_attached_before_checks_that_come_after_the_rows() -> Result<()> {
        let sorted = restore_order(vec![
            object(Table, "t", PreData, &[]),
            object(PartitionAttach, "a", PreData, &[0, 2]),
            object(Check, "c", PreData, &[0, 3]),
            object(Function, "f", PreData, &[4]),
            object(PrimaryKey, "k", PostData, &[0]),
        ])?;
        assert_eq!(first_statements(&sorted), ["t", "a", "k", "f", "c"]);
        assert_sound(&sorted);
        Ok(())
    }

    #[test]
    fn a_circle_of_views_is_cut_with_one_placeholder() -> Result<()> {
        let sorted = restore_order(vec![
            object(Function, "f", PreData, &[1]),
            object(View, "v", PreData, &[0, 2]),
            object(Table, "t", PreData, &[]),
            object(View, "w", PreData, &[1]),
        ])?;
        assert_eq!(first_statements(&sorted), ["t", "empty v", "f", "v", "w"]);
        assert_sound(&sorted);
        Ok(())
    }

    #[test]
    fn a_circle_of_several_views_is_cut_where_a_table_needs_one() -> Result<()> {
        let sorted = restore_order(vec![
            object(View, "v", PreData, &[2]),
            object(View, "w", PreData, &[0]),
            object(Table, "t", PreData, &[1]),
        ])?;
        assert_eq!(first_statements(&sorted), ["empty w", "t", "v", "w"]);
        assert_sound(&sorted);
        Ok(())
    }

    #[test]
    fn a_view_over_a_primary_key_leaves_a_placeholder_for_what_stays() -> Result<()> {
        let sorted = restore_order(vec![
            object(Table, "t", PreData, &[]),
            object(Function, "uses v", PreData, &[2]),
            object(View, "v", PreData, &[0, 5]),
            object(View, "over v", PreData, &[2]),
            object(MaterializedView, "m", PreData, &[5]),
            object(PrimaryKey, "pk", PostData, &[0]),
        ])?;
        assert_eq!(first_statements(&sorted), ["t", "empty v", "uses v", "pk", "v", "over v", "m"]);
        assert_sound(&sorted);
        Ok(())
    }

    #[test]
    fn a_circle_of_functions_is_cut_with_an_empty_one() -> Result<()> {
        let mut objects = vec![
            object(Function, "f", PreData, &[1, 3]),
            object(Function, "g", PreData, &[2]),
            object(ObjectClass::Aggregate, "sum", PreData, &[0]),
            object(ObjectClass::Enum, "e", PreData, &[]),
        ];
        objects[0].placeholder = Some(Statement::define("empty f"));
        let sorted = restore_order(objects)?;
        assert_eq!(first_statements(&sorted), ["e", "empty f", "sum", "g", "f"]);
        assert_sound(&sorted);
        Ok(())
    }

    #[test]
    fn a_circle_without_a_view_names_its_members() {
        let failure = restore_order(vec![
            object(Table, "t", PreData, &[1]),
            object(Function, "f", PreData, &[0]),
            object(Table, "innocent", PreData, &[0]),
        ])
        .map_err(|error| error.to_string())
        .err()
        .unwrap_or_default();
        assert!(failure.contains("table t") && failure.contains("function f"), "{failure}");
        assert!(!failure.contains("innocent"), "{failure}");
    }

    #[test]
    fn a_key_that_a_table_cannot_do_without_comes_before_the_rows() -> Result<()> {
        let sorted = restore_order(vec![
            object(Table, "t", PreData, &[1]),
            object(MaterializedView, "m", PreData, &[2]),
            object(View, "v", PreData, &[3, 4]),
            object(PrimaryKey, "pk", PostData, &[4]),
            object(Table, "of", PreData, &[]),
            object(PrimaryKey, "other", PostData, &[4]),
        ])?;
        assert_eq!(first_statements(&sorted), ["of", "pk", "v", "m", "t", "other"]);
        assert_eq!(sorted[4].section, PreData);
        assert_sound(&sorted);
        Ok(())
    }

    #[test]
    fn a_table_that_needs_what_comes_after_the_rows_is_an_error() {
        let failure = restore_order(vec![
            object(Table, "t", PreData, &[1]),
            object(Function, "f", PreData, &[2]),
            object(ForeignKey, "fk", PostData, &[]),
        ]);
        assert!(failure.is_err());
    }

    #[test]
    fn a_position_beyond_the_list_is_damage() {
        let failure = restore_order(vec![object(Table, "t", PreData, &[7])]);
        assert_eq!(failure.map_err(|error| error.kind()).err(), Some(Kind::Damaged));
    }
}
