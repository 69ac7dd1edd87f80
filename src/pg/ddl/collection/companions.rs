//! Dependencies that the catalogs do not note: what a statement looks up when it is parsed.

use super::{Collection, Key};
use crate::model::schema::ObjectClass;
use crate::pg::ddl::dependencies::Graph;
use std::collections::BTreeSet;

/// What comes along with something that is needed.
pub(super) struct Companion {
    pub of: Key,
    pub draft: usize,
    /// Whether only what is written with expressions needs it.
    pub of_expressions: bool,
}

/// Adds the companions of what is needed ([`Collection::accompany`]), wherever that makes no
/// circle.
pub(super) fn need(out: &Collection, graph: &Graph, needs: &mut [BTreeSet<usize>]) {
    for companion in &out.companions {
        let Some(target) = out.resolve(graph, companion.of) else { continue };
        let with: Vec<usize> = (0..needs.len())
            .filter(|index| needs[*index].contains(&target))
            .filter(|index| !companion.of_expressions || has_expressions(out.object(*index).class))
            .collect();
        if with.is_empty() {
            continue;
        }
        let before = reachable(needs, companion.draft);
        for index in with.into_iter().filter(|index| !before.contains(index)) {
            needs[index].insert(companion.draft);
        }
    }
}

/// `from`, and all that it needs directly or through others.
pub(in crate::pg::ddl) fn reachable(needs: &[BTreeSet<usize>], from: usize) -> BTreeSet<usize> {
    reachable_through(needs, from, |_| true)
}

/// The same, where what only some drafts need counts.
pub(in crate::pg::ddl) fn reachable_through(
    needs: &[BTreeSet<usize>],
    from: usize,
    counts: impl Fn(usize) -> bool,
) -> BTreeSet<usize> {
    let mut seen = BTreeSet::from([from]);
    let mut waiting = vec![from];
    while let Some(draft) = waiting.pop() {
        if counts(draft) {
            waiting.extend(needs[draft].iter().copied().filter(|next| seen.insert(*next)));
        }
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
