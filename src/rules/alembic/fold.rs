//! Which revisions stay and which fold into them: forward only, because a database that stands at a
//! revision that stays must hold all that came before it, and nothing of what comes after.

use super::graph::Graph;
use super::revision_file::RevisionFile;
use super::written::{self, Header};
use crate::rules::python::bindings;
use crate::rules::python::items::{Item, ItemKind};
use crate::rules::python::tokens::TokenKind;
use crate::rules::python::{Problem, Source};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

/// A revision that stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its id.
    pub id: String,
    /// The revisions that fold into it, in the order in which they are applied.
    pub folds: Vec<String>,
    /// The revisions that it follows then.
    pub down: Vec<String>,
}

impl fmt::Display for Kept {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.folds.as_slice() {
            [] => write!(out, "{} stays as it is", self.id),
            folds => write!(out, "{} takes in {}", self.id, folds.join(", ")),
        }
    }
}

/// Why a set of revisions cannot be all that stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsound {
    /// The revisions that must stay too, each with the reason.
    pub missing: Vec<(String, String)>,
    /// The nearest set that can, in the order of the graph.
    pub nearest: Vec<String>,
}

/// What stays, and what folds into it. `needed` are revisions that must stay for reasons that the
/// graph does not know: databases stand there.
///
/// # Errors
/// [`Unsound`] when more must stay than `keep`, whose members are revisions of the graph.
pub fn plan(
    graph: &Graph,
    keep: &BTreeSet<String>,
    needed: &[(String, String)],
) -> Result<Vec<Kept>, Unsound> {
    let mut reasons = must_stay(graph);
    for (id, reason) in needed {
        reasons.entry(id.clone()).or_insert_with(|| reason.clone());
    }
    let missing: Vec<(String, String)> =
        reasons.into_iter().filter(|(id, _)| !keep.contains(id)).collect();
    let order: Vec<&RevisionFile> = graph.order();
    if !missing.is_empty() {
        let stays = |id: &String| keep.contains(id) || missing.iter().any(|(other, _)| other == id);
        let nearest = order.iter().map(|file| file.id.clone()).filter(|id| stays(id)).collect();
        return Err(Unsound { missing, nearest });
    }
    let kept = order.into_iter().filter(|file| keep.contains(&file.id));
    Ok(kept.map(|file| fold_into(graph, keep, file)).collect())
}

fn must_stay(graph: &Graph) -> BTreeMap<String, String> {
    let mut reasons: BTreeMap<String, String> = BTreeMap::new();
    let mut need = |id: &str, reason: &str| {
        reasons.entry(id.to_owned()).or_insert_with(|| reason.to_owned());
    };
    for id in graph.heads() {
        need(id, "it is a head");
    }
    for id in graph.branch_points() {
        need(id, "several revisions follow it");
    }
    for id in graph.merge_points() {
        need(id, "it joins branches");
    }
    for file in graph.order() {
        if !file.branch_labels.is_empty() {
            need(&file.id, "it has a branch label");
        }
        if !file.depends_on.is_empty() {
            need(&file.id, "it depends on another revision");
        }
        for name in &file.depends_on {
            if let Some(id) = graph.resolve(name) {
                need(id, &format!("{} depends on it", file.id));
            }
        }
    }
    reasons
}

/// What does not stay has one parent at most, and one revision that follows it.
fn fold_into(graph: &Graph, keep: &BTreeSet<String>, file: &RevisionFile) -> Kept {
    let mut kept = Kept { id: file.id.clone(), folds: Vec::new(), down: Vec::new() };
    for parent in &file.down {
        let mut run = Vec::new();
        let mut at = Some(parent.clone());
        while let Some(id) = at.take_if(|id| !keep.contains(id)) {
            at = graph.get(&id).and_then(|file| file.down.first().cloned());
            run.push(id);
        }
        run.reverse();
        kept.folds.extend(run);
        if let Some(parent) = at
            && !kept.down.contains(&parent)
        {
            kept.down.push(parent);
        }
    }
    kept
}

/// The text of a revision into which others have been folded: each old file becomes a function of
/// its own, in which its names are its own, and they are called in their order. Nothing in a text of
/// several lines is moved.
///
/// # Errors
/// A file that would mean something else inside of a function.
pub fn text(
    header: &Header,
    parts: &[(&RevisionFile, &Source)],
) -> Result<String, (String, Problem)> {
    let mut functions = String::new();
    let mut calls = String::new();
    for (number, (file, source)) in parts.iter().enumerate() {
        let named = |problem| (file.path.clone(), problem);
        let body = inside(source).map_err(named)?;
        let message = file.message.as_deref().unwrap_or_default();
        let title: String = format!("{} {message}", file.id);
        let title: String = title.trim().chars().filter(|c| !c.is_control()).collect();
        functions.push_str(&format!(
            "\n\ndef _revision_{number}() -> None:  # {title}\n{body}\n    upgrade()\n"
        ));
        calls.push_str(&format!("    _revision_{number}()\n"));
    }
    let future = "from __future__ import annotations\n";
    let mut beginning = written::beginning(header);
    if parts.iter().any(|(_, source)| source.items.iter().any(|item| is_future(source, item))) {
        beginning = beginning.replacen(
            "\"\"\"\nimport sqlalchemy",
            &format!("\"\"\"\n{future}\nimport sqlalchemy"),
            1,
        );
    }
    // Every part imports what it needs.
    let beginning =
        beginning.replacen("import sqlalchemy as sa\nfrom alembic import op\n\n", "", 1);
    Ok(format!(
        "{beginning}{functions}\n\ndef upgrade() -> None:\n{calls}{}",
        written::ending(header)
    ))
}

const NAMES: [&str; 4] = ["revision", "down_revision", "branch_labels", "depends_on"];

/// The whole file as the body of a function, without docstring, `downgrade`, and those of the four
/// variables that nothing else speaks of.
fn inside(source: &Source) -> Result<String, Problem> {
    let text = source.text.as_str();
    check(source)?;
    let mut dropped: Vec<Range<usize>> = Vec::new();
    for item in &source.items {
        let variable = bindings::assignment(text, item, &NAMES);
        let unused =
            variable.is_some_and(|(name, ..)| bindings::mentions(source, NAMES[name]) == 1);
        let gone = item.kind == ItemKind::Docstring
            || item.defines(text, "downgrade")
            || is_future(source, item)
            || unused;
        if gone && has_lines_to_itself(text, &item.span) {
            dropped.push(item.span.clone());
        }
    }
    let strings: Vec<Range<usize>> = source
        .items
        .iter()
        .flat_map(Item::tokens)
        .filter(|token| token.kind == TokenKind::Text && token.of(text).contains('\n'))
        .map(|token| token.span.clone())
        .collect();
    let mut out = String::new();
    let mut at = 0;
    let mut blank = true;
    for line in text.split_inclusive('\n') {
        let (start, end) = (at, at + line.len());
        at = end;
        if dropped.iter().any(|span| span.start < end && start < span.end) {
            continue;
        }
        let in_string = strings.iter().any(|span| span.start < start && start < span.end);
        if line.trim().is_empty() && !in_string {
            if !blank {
                out.push('\n');
            }
            blank = true;
            continue;
        }
        blank = false;
        if !in_string {
            out.push_str("    ");
        }
        out.push_str(line);
    }
    Ok(out.trim_end().to_owned())
}

/// What means something else inside of a function.
fn check(source: &Source) -> Result<(), Problem> {
    let text = source.text.as_str();
    if source.function("upgrade").is_none() {
        return Err(Problem::new(1, "there is no function upgrade at its top level"));
    }
    for item in &source.items {
        for token in item.tokens() {
            let word = token.of(text);
            if token.kind == TokenKind::Name && matches!(word, "global" | "globals") {
                return Err(Problem::new(token.line, format!("it uses {word}")));
            }
        }
        let star = item.tokens().find(|token| token.depth == 0 && token.of(text) == "*");
        if let (ItemKind::Import, Some(star)) = (item.kind, star) {
            return Err(Problem::new(star.line, "it imports everything from a module (import *)"));
        }
    }
    Ok(())
}

fn is_future(source: &Source, item: &Item) -> bool {
    item.kind == ItemKind::Import
        && item.tokens().nth(1).is_some_and(|token| token.of(&source.text) == "__future__")
}

/// Whether nothing else stands on the lines of a span.
fn has_lines_to_itself(text: &str, span: &Range<usize>) -> bool {
    let before = text[..span.start].rsplit('\n').next().unwrap_or_default();
    let after = text[span.end..].split('\n').next().unwrap_or_default().trim();
    before.trim().is_empty() && (after.is_empty() || after.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `id<parent,parent`
    fn graph(revisions: &[&str]) -> Graph {
        let file = |text: &&str| {
            let (id, down) = text.split_once('<').unwrap();
            RevisionFile {
                path: format!("v/{id}.py"),
                id: id.to_owned(),
                down: down.split(',').filter(|p| !p.is_empty()).map(str::to_owned).collect(),
                branch_labels: Vec::new(),
                depends_on: Vec::new(),
                message: None,
                contradiction: None,
            }
        };
        Graph::new(revisions.iter().map(file).collect())
    }

    fn set(ids: &[&str]) -> BTreeSet<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    fn shown(kept: &[Kept]) -> Vec<String> {
        kept.iter()
            .map(|k| format!("{}<{} ({})", k.id, k.down.join(","), k.folds.join(" ")))
            .collect()
    }

    #[test]
    fn what_goes_folds_forward_into_the_next_that_stays() {
        let line = graph(&["a<", "b<a", "c<b", "d<c", "e<d"]);
        let kept = plan(&line, &set(&["b", "e"]), &[]).unwrap();
        assert_eq!(shown(&kept), ["b< (a)", "e<b (c d)"]);
        let kept = plan(&line, &set(&["e"]), &[]).unwrap();
        assert_eq!(shown(&kept), ["e< (a b c d)"]);
    }

    #[test]
    fn branch_points_and_merge_points_stay_and_runs_on_both_sides_fold() {
        let both = graph(&["a<", "b<a", "l1<b", "l2<l1", "r1<b", "m<l2,r1", "n<m"]);
        let kept = plan(&both, &set(&["b", "m", "n", "l1"]), &[]).unwrap();
        assert_eq!(shown(&kept), ["b< (a)", "l1<b ()", "m<l1,b (l2 r1)", "n<m ()"]);
        let unsound = plan(&both, &set(&["n"]), &[("r1".into(), "x stands there".into())]);
        let unsound = unsound.unwrap_err();
        assert_eq!(unsound.nearest, ["b", "r1", "m", "n"]);
        assert_eq!(unsound.missing[0], ("b".into(), "several revisions follow it".into()));
        assert_eq!(unsound.missing[2], ("r1".into(), "x stands there".into()));
    }

    #[test]
    fn a_file_becomes_a_function_and_no_text_of_several_lines_is_moved() {
        let old = "\"\"\"first\n\nmore\n\"\"\"\nfrom alembic import op\nrevision = 'a'\ndown_revision = None\n\
                   # kept\nSQL = '''\nCREATE f\n  x\n'''\n\n\ndef upgrade():\n    op.execute(SQL)\n\n\n\
                   def downgrade():\n    op.execute('DROP')\n";
        let source = Source::read(old.as_bytes()).unwrap();
        assert_eq!(
            inside(&source).unwrap(),
            "    from alembic import op\n    # kept\n    SQL = '''\nCREATE f\n  x\n'''\n\n    def upgrade():\n        op.execute(SQL)"
        );
    }

    #[test]
    fn what_would_mean_something_else_is_refused() {
        for (old, what) in [
            ("def upgrade():\n    global x\n", "it uses global"),
            ("from m import *\ndef upgrade(): pass\n", "import *"),
            ("upgrade = 1\n", "no function upgrade"),
        ] {
            let problem = inside(&Source::read(old.as_bytes()).unwrap()).unwrap_err();
            assert!(problem.to_string().contains(what), "{problem}");
        }
    }
}
