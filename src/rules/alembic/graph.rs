//! The graph that revisions form: which follows which, and what is wrong with it.

use super::revision_file::RevisionFile;
use petgraph::algo::tarjan_scc;
use petgraph::graph::DiGraph;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The revisions of a project, by id.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    revisions: BTreeMap<String, RevisionFile>,
    labels: BTreeMap<String, String>,
    /// What each revision needs before it: what it follows, and what it depends on.
    needs: BTreeMap<String, BTreeSet<String>>,
    /// The other way round.
    needed_by: BTreeMap<String, BTreeSet<String>>,
    problems: Vec<GraphProblem>,
}

/// What keeps Alembic from using the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GraphProblem {
    /// Two files have the same id.
    Duplicate {
        /// The id.
        id: String,
        /// Their paths.
        paths: Vec<String>,
    },
    /// A revision follows one that no file has.
    MissingParent {
        /// The revision.
        id: String,
        /// Its file.
        path: String,
        /// What it follows.
        missing: String,
    },
    /// A revision depends on something that is neither a revision nor a label.
    MissingDependency {
        /// The revision.
        id: String,
        /// Its file.
        path: String,
        /// What it depends on.
        missing: String,
    },
    /// A revision needs itself.
    SelfLoop {
        /// The revision.
        id: String,
    },
    /// Revisions need each other in a circle.
    Cycle {
        /// The revisions, sorted.
        ids: Vec<String>,
    },
    /// A branch label is used twice, or is a revision's id.
    LabelTaken {
        /// The label.
        label: String,
        /// The revision that uses it a second time.
        id: String,
    },
}

impl fmt::Display for GraphProblem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate { id, paths } => {
                write!(out, "revision {id} is there more than once: {}", paths.join(", "))
            }
            Self::MissingParent { id, path, missing } => {
                write!(out, "revision {id} ({path}) follows {missing}, which no file has")
            }
            Self::MissingDependency { id, path, missing } => {
                write!(out, "revision {id} ({path}) depends on {missing}, which no file has")
            }
            Self::SelfLoop { id } => write!(out, "revision {id} needs itself"),
            Self::Cycle { ids } => {
                write!(out, "revisions need each other in a circle: {}", ids.join(", "))
            }
            Self::LabelTaken { label, id } => {
                write!(out, "branch label {label} of revision {id} is taken")
            }
        }
    }
}

/// Why a revision that was asked for cannot be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// There is none whose id is or begins with it.
    Unknown,
    /// Several begin with it.
    Ambiguous(Vec<String>),
}

impl Graph {
    /// Puts revisions together. Of files with the same id the last one counts, as for Alembic.
    pub fn new(files: Vec<RevisionFile>) -> Self {
        let mut graph = Self::default();
        let mut paths: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for file in files {
            paths.entry(file.id.clone()).or_default().push(file.path.clone());
            graph.revisions.insert(file.id.clone(), file);
        }
        let duplicates = paths.into_iter().filter(|(_, paths)| paths.len() > 1);
        graph.problems.extend(duplicates.map(|(id, paths)| GraphProblem::Duplicate { id, paths }));
        graph.map_labels();
        graph.link();
        graph.find_cycles();
        graph
    }

    fn map_labels(&mut self) {
        for file in self.revisions.values() {
            for label in &file.branch_labels {
                if self.revisions.contains_key(label) || self.labels.contains_key(label) {
                    let (label, id) = (label.clone(), file.id.clone());
                    self.problems.push(GraphProblem::LabelTaken { label, id });
                } else {
                    self.labels.insert(label.clone(), file.id.clone());
                }
            }
        }
    }

    fn link(&mut self) {
        for (id, file) in &self.revisions {
            let mut needs = BTreeSet::new();
            let (path, of) = (&file.path, |name: &String| (id.clone(), name.clone()));
            for parent in &file.down {
                if self.revisions.contains_key(parent) {
                    needs.insert(parent.clone());
                } else {
                    let (id, missing) = of(parent);
                    let path = path.clone();
                    self.problems.push(GraphProblem::MissingParent { id, path, missing });
                }
            }
            for name in &file.depends_on {
                match self.resolve(name) {
                    Some(found) => {
                        needs.insert(found.to_owned());
                    }
                    None => {
                        let (id, missing) = of(name);
                        let path = path.clone();
                        self.problems.push(GraphProblem::MissingDependency { id, path, missing });
                    }
                }
            }
            if needs.remove(id) {
                self.problems.push(GraphProblem::SelfLoop { id: id.clone() });
            }
            for needed in &needs {
                self.needed_by.entry(needed.clone()).or_default().insert(id.clone());
            }
            self.needs.insert(id.clone(), needs);
        }
    }

    fn find_cycles(&mut self) {
        let mut graph: DiGraph<&str, ()> = DiGraph::new();
        let nodes: BTreeMap<&str, _> =
            self.revisions.keys().map(|id| (id.as_str(), graph.add_node(id.as_str()))).collect();
        for (id, needs) in &self.needs {
            for needed in needs {
                graph.add_edge(nodes[id.as_str()], nodes[needed.as_str()], ());
            }
        }
        let mut cycles: Vec<Vec<String>> = tarjan_scc(&graph)
            .into_iter()
            .filter(|component| component.len() > 1)
            .map(|component| component.into_iter().map(|node| graph[node].to_owned()).collect())
            .collect();
        cycles.iter_mut().for_each(|ids| ids.sort());
        cycles.sort();
        self.problems.extend(cycles.into_iter().map(|ids| GraphProblem::Cycle { ids }));
    }

    /// What is wrong; nothing else that the graph says counts for anything then.
    pub fn problems(&self) -> &[GraphProblem] {
        &self.problems
    }

    /// How many revisions there are.
    pub fn len(&self) -> usize {
        self.revisions.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.revisions.is_empty()
    }

    /// A revision by its whole id.
    pub fn get(&self, id: &str) -> Option<&RevisionFile> {
        self.revisions.get(id)
    }

    /// The id that a whole id or a branch label stands for.
    pub fn resolve(&self, name: &str) -> Option<&str> {
        match self.revisions.get_key_value(name) {
            Some((id, _)) => Some(id),
            None => self.labels.get(name).map(String::as_str),
        }
    }

    /// The id that somebody means who wrote its beginning, four characters at least.
    pub fn find(&self, beginning: &str) -> Result<&str, Lookup> {
        if let Some((id, _)) = self.revisions.get_key_value(beginning) {
            return Ok(id);
        }
        let long_enough = beginning.chars().count() >= 4;
        let begins = |id: &&String| long_enough && id.starts_with(beginning);
        let found: Vec<&String> = self.revisions.keys().filter(begins).collect();
        match found.as_slice() {
            [] => Err(Lookup::Unknown),
            [one] => Ok(one),
            several => Err(Lookup::Ambiguous(several.iter().map(|id| (*id).clone()).collect())),
        }
    }

    /// Revisions that follow none.
    pub fn bases(&self) -> Vec<&str> {
        self.of(|file| file.down.is_empty())
    }

    /// Revisions that none follows: what `alembic heads` shows.
    pub fn heads(&self) -> Vec<&str> {
        let followed: BTreeSet<&String> =
            self.revisions.values().flat_map(|file| &file.down).collect();
        self.of(|file| !followed.contains(&file.id))
    }

    /// Heads that none depends on: the rows of a database in which everything is applied.
    pub fn tips(&self) -> Vec<&str> {
        self.of(|file| !self.needed_by.contains_key(&file.id))
    }

    /// Revisions that several follow.
    pub fn branch_points(&self) -> Vec<&str> {
        self.of(|file| self.followers(&file.id).len() > 1)
    }

    /// Revisions that follow several.
    pub fn merge_points(&self) -> Vec<&str> {
        self.of(|file| file.down.len() > 1)
    }

    fn of(&self, wanted: impl Fn(&RevisionFile) -> bool) -> Vec<&str> {
        let found = self.revisions.values().filter(|file| wanted(file));
        found.map(|file| file.id.as_str()).collect()
    }

    /// Revisions that follow this one; what only depends on it is not among them.
    pub fn followers(&self, id: &str) -> Vec<&str> {
        self.of(|file| file.down.iter().any(|parent| parent == id))
    }

    /// What must be applied right before this one: what it follows, and what it depends on.
    pub fn needs(&self, id: &str) -> impl Iterator<Item = &str> {
        self.needs.get(id).into_iter().flatten().map(String::as_str)
    }

    /// These revisions and everything that they need: what is applied where a ledger has these rows.
    pub fn ancestors<'a>(&'a self, of: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
        self.closure(of, &self.needs)
    }

    /// These revisions and everything that needs them.
    pub fn descendants<'a>(&'a self, of: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
        self.closure(of, &self.needed_by)
    }

    fn closure<'a>(
        &'a self,
        of: impl IntoIterator<Item = &'a str>,
        links: &'a BTreeMap<String, BTreeSet<String>>,
    ) -> BTreeSet<&'a str> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&str> =
            of.into_iter().filter(|id| self.revisions.contains_key(*id)).collect();
        while let Some(id) = open.pop() {
            if found.insert(id) {
                open.extend(links.get(id).into_iter().flatten().map(String::as_str));
            }
        }
        found
    }

    /// All revisions, each behind what it needs; branches stay together as far as they can, and what
    /// is left open goes by id. What is on a cycle comes last.
    pub fn order(&self) -> Vec<&RevisionFile> {
        let mut waiting: BTreeMap<&str, usize> =
            self.needs.iter().map(|(id, needs)| (id.as_str(), needs.len())).collect();
        let mut ready: BTreeSet<&str> =
            waiting.iter().filter(|(_, needs)| **needs == 0).map(|(id, _)| *id).collect();
        let mut order: Vec<&RevisionFile> = Vec::new();
        while !ready.is_empty() {
            let last = order.last().map(|file| file.id.as_str());
            let follows = |id: &&&str| {
                self.revisions[**id].down.iter().any(|parent| Some(parent.as_str()) == last)
            };
            let Some(next) = ready.iter().find(follows).or(ready.first()).copied() else { break };
            ready.remove(next);
            waiting.remove(next);
            order.push(&self.revisions[next]);
            for above in self.needed_by.get(next).into_iter().flatten() {
                if let Some(needs) = waiting.get_mut(above.as_str()) {
                    *needs -= 1;
                    if *needs == 0 {
                        ready.insert(above);
                    }
                }
            }
        }
        order.extend(waiting.keys().map(|id| &self.revisions[*id]));
        order
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// `id<parent,parent !dependency #label`
    pub(in super::super) fn graph(revisions: &[&str]) -> Graph {
        let list = |text: &str| {
            text.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        let file = |(number, text): (usize, &&str)| {
            let mut words = text.split(' ');
            let (id, down) = words.next().unwrap().split_once('<').unwrap();
            let words: Vec<&str> = words.collect();
            let marked = |mark: char| words.iter().find_map(|word| word.strip_prefix(mark));
            RevisionFile {
                path: format!("v/{number}.py"),
                id: id.to_owned(),
                down: list(down),
                branch_labels: list(marked('#').unwrap_or_default()),
                depends_on: list(marked('!').unwrap_or_default()),
                message: None,
                contradiction: None,
            }
        };
        Graph::new(revisions.iter().enumerate().map(file).collect())
    }

    fn order(graph: &Graph) -> String {
        graph.order().iter().map(|file| file.id.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn branches_and_merges_are_seen() {
        let graph = graph(&["d<b,c", "b<a", "a<", "c<a", "e<d", "x<"]);
        assert!(graph.problems().is_empty());
        assert_eq!((graph.bases(), graph.heads()), (vec!["a", "x"], vec!["e", "x"]));
        assert_eq!((graph.branch_points(), graph.merge_points()), (vec!["a"], vec!["d"]));
        assert_eq!(graph.followers("a"), ["b", "c"]);
        assert_eq!(order(&graph), "a b c d e x");
        assert_eq!(graph.ancestors(["c"]), BTreeSet::from(["a", "c"]));
        assert_eq!(graph.descendants(["b"]), BTreeSet::from(["b", "d", "e"]));
        assert_eq!(order(&self::graph(&["b2<b1", "b1<r", "a1<r", "a2<a1", "r<"])), "r a1 a2 b1 b2");
    }

    #[test]
    fn dependencies_count_for_what_is_applied_and_not_for_heads() {
        let graph = graph(&["a1<", "a2<a1 #left", "b1<", "b2<b1 !left"]);
        assert_eq!((graph.heads(), graph.tips()), (vec!["a2", "b2"], vec!["b2"]));
        assert_eq!(graph.ancestors(["b2"]).len(), 4);
        assert_eq!(graph.needs("b2").collect::<Vec<_>>(), ["a2", "b1"]);
        assert_eq!(order(&graph), "a1 a2 b1 b2");
        assert_eq!((graph.resolve("left"), graph.resolve("a1")), (Some("a2"), Some("a1")));
        assert!(graph.branch_points().is_empty());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (revisions, said) in [
            (vec!["a<", "a<"], "revision a is there more than once: v/0.py, v/1.py"),
            (vec!["a<", "b<c"], "revision b (v/1.py) follows c, which no file has"),
            (vec!["abcdef<", "b<abcd"], "follows abcd, which no file has"),
            (vec!["a< #l", "b<l"], "follows l, which no file has"),
            (vec!["a<", "b<a !c"], "revision b (v/1.py) depends on c, which no file has"),
            (vec!["a<a"], "revision a needs itself"),
            (vec!["a< #l !l"], "revision a needs itself"),
            (vec!["a<", "b<a,d", "c<b", "d<c"], "in a circle: b, c, d"),
            (vec!["a< !b", "b<a"], "in a circle: a, b"),
            (vec!["a< #l", "b<a #l"], "branch label l of revision b is taken"),
            (vec!["a<", "b<a #a"], "branch label a of revision b is taken"),
        ] {
            let graph = graph(&revisions);
            assert_eq!(graph.problems().len(), 1, "{revisions:?}: {:?}", graph.problems());
            assert!(graph.problems()[0].to_string().contains(said), "{}", graph.problems()[0]);
            assert_eq!(graph.order().len(), graph.len());
        }
    }

    #[test]
    fn a_revision_is_found_by_the_beginning_of_its_id() {
        let graph = graph(&["abcd1<", "abcd2<abcd1", "abcdef<abcd2", "xy<abcdef"]);
        assert_eq!(graph.find("abcde"), Ok("abcdef"));
        assert_eq!(graph.find("abcd1"), Ok("abcd1"));
        assert_eq!(graph.find("xy"), Ok("xy"));
        assert_eq!(graph.find("x"), Err(Lookup::Unknown));
        assert_eq!(graph.find("nope"), Err(Lookup::Unknown));
        assert!(matches!(graph.find("abcd"), Err(Lookup::Ambiguous(ids)) if ids.len() == 3));
    }

    #[test]
    fn a_long_chain_takes_no_stack() {
        let revisions: Vec<String> = (0..5000)
            .map(|n| if n == 0 { String::from("0<") } else { format!("{n}<{}", n - 1) })
            .collect();
        let graph = graph(&revisions.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!((graph.order().len(), graph.heads()), (5000, vec!["4999"]));
        assert_eq!(graph.order()[4999].id, "4999");
    }
}
