//! Dependencies that the catalogs do not note: what a statement looks up when it is parsed.

use super::Collection;
use crate::model::schema::ObjectClass;
use crate::pg::ddl::dependencies::Graph;
use std::collections::BTreeSet;

/// Adds the companions of what is needed ([`Collection::accompany`]), wherever that makes no
/// circle.
pub(super) fn need(out: &Collection, graph: &Graph, needs: &mut [BTreeSet<usize>]) {
    for (key, companion) in &out.companions {
        let Some(target) = out.resolve(graph, *key) else { continue };
        let with: Vec<usize> = (0..needs.len())
            .filter(|index| needs[*index].contains(&target))
            .filter(|index| has_expressions(out.object(*index).class))
            .collect();
        if with.is_empty() {
            continue;
        }
        let before = reachable(needs, *companion);
        for index in with.into_iter().filter(|index| !before.contains(index)) {
            needs[index].insert(*companion);
        }
    }
}

/// `from`, and all that it needs directly or through others.
pub(in crate::pg::ddl) fn reachable(needs: &[BTreeSet<usize>], from: usize) -> BTreeSet<usize> {
    let mut seen = BTreeSet::from([from]);
    let mut waiting = vec![from];
    while let Some(draft) = waiting.pop() {
        waiting.extend(needs[draft].iter().copied().filter(|next| seen.insert(*next)));
    }
    seen
}

/// Whether statements of this class hold expressions or queries, which are parsed when they run.
fn has_expressions(class: ObjectClass) -> bool {
    use ObjectClass as C;
    matches!(
        class,
        C::Domain
            | C::DomainConstraint
            | C::Function
            | C::Procedure
            | C::Table
            | C::Default
            | C::Check
            | C::View
            | C::MaterializedView
    )
}
