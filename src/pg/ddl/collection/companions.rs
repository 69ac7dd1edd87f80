//! Dependencies that the catalogs do not note: what a statement looks up when it is parsed.

use super::{Collection, Key};
use crate::model::schema::ObjectClass;
use crate::pg::ddl::dependencies::Graph;
use std::collections::BTreeSet;

/// What comes along with something that is needed.
pub(super) struct Companion {
    pub of: Key,
    pub draft: usize,
    pub needed_by: NeededBy,
}

/// Who needs a companion, of those that need what it comes along with.
pub(super) enum NeededBy {
    /// What is written with expressions.
    Expressions,
    /// All; what reads one of these columns cannot do without it.
    All { columns: Vec<i16> },
}

/// Adds the companions of what is needed ([`Collection::accompany`], [`Collection::complete`]), wherever
/// that makes no circle. Columns that a companion adds must be there for whoever reads them: that circle
/// is cut at a view, or refused.
pub(super) fn need(out: &Collection, graph: &Graph, needs: &mut [BTreeSet<usize>]) {
    for companion in &out.companions {
        let Some(target) = out.resolve(graph, companion.of) else { continue };
        let with: Vec<usize> = (0..needs.len())
            .filter(|index| needs[*index].contains(&target))
            .filter(|index| match companion.needed_by {
                NeededBy::Expressions => has_expressions(out.object(*index).class),
                NeededBy::All { .. } => true,
            })
            .collect();
        if with.is_empty() {
            continue;
        }
        let before = reachable(needs, companion.draft);
        for index in with.into_iter().filter(|index| !before.contains(index)) {
            needs[index].insert(companion.draft);
        }
        if let NeededBy::All { columns } = &companion.needed_by
            && !columns.is_empty()
        {
            for reader in readers(out, graph, companion.of, columns) {
                needs[reader].insert(companion.draft);
            }
            needs[companion.draft].remove(&companion.draft);
        }
    }
}

/// What reads one of these columns of the table `of`, be it the rest of that table.
fn readers(out: &Collection, graph: &Graph, of: Key, columns: &[i16]) -> BTreeSet<usize> {
    let claims = out.claims.iter().filter(|(_, claim)| claim.counts);
    let reads = claims.filter(|(key, claim)| {
        // A sequence belongs to its column, and is there before it.
        out.object(claim.draft).class != ObjectClass::Sequence
            && graph.edges(**key).iter().any(|edge| edge.to == of && columns.contains(&edge.column))
    });
    reads.map(|(_, claim)| claim.draft).collect()
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
            | C::Column
            | C::Default
            | C::Check
            | C::View
            | C::MaterializedView
    )
}
