//! In which order tables are loaded when foreign keys are there already.

use petgraph::algo::tarjan_scc;
use petgraph::graph::DiGraph;

/// Groups of tables, each after the groups that it refers to. A group of more than one table is a
/// cycle. `references` are pairs of (referencing, referenced); a table may refer to itself, which
/// one COPY can load in any order.
pub fn load_order(tables: usize, references: &[(usize, usize)]) -> Vec<Vec<usize>> {
    let mut graph = DiGraph::<(), ()>::new();
    let nodes: Vec<_> = (0..tables).map(|_| graph.add_node(())).collect();
    for (from, to) in references {
        graph.update_edge(nodes[*from], nodes[*to], ());
    }
    // Tarjan's algorithm gives a component after all that it leads to.
    tarjan_scc(&graph)
        .into_iter()
        .map(|group| {
            let mut group: Vec<usize> = group.into_iter().map(|node| node.index()).collect();
            group.sort_unstable();
            group
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parents_come_first_and_cycles_together() {
        // 0 → 1 → 2, 3 ⇄ 4 → 0, 5 → 5
        let order = load_order(6, &[(0, 1), (1, 2), (3, 4), (4, 3), (4, 0), (5, 5)]);
        let position = |table| order.iter().position(|group| group.contains(&table)).unwrap();
        assert!(position(2) < position(1) && position(1) < position(0));
        assert!(position(0) < position(3));
        assert_eq!(order[position(3)], [3, 4]);
        assert_eq!(order[position(5)], [5]);
    }

    proptest! {
        #[test]
        fn every_table_is_there_once_and_after_what_it_refers_to(
            edges in prop::collection::vec((0usize..12, 0usize..12), 0..40)
        ) {
            let order = load_order(12, &edges);
            let mut all: Vec<usize> = order.concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..12).collect::<Vec<_>>());
            let position = |table| order.iter().position(|group| group.contains(&table));
            for (from, to) in edges {
                prop_assert!(position(to) <= position(from));
            }
        }
    }
}
