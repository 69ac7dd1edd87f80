//! What a revision file says of itself: `revision`, `down_revision`, `branch_labels`, `depends_on`.
//!
//! Alembic runs the file and looks at the four names. Here they are read from the page: each must be
//! assigned once, at the top level, a literal. Whatever else could give one of them a value makes the
//! file unreadable, because a wrong guess would put a revision into the wrong place.

use crate::rules::python::bindings::{self, assignment};
use crate::rules::python::items::ItemKind;
use crate::rules::python::literal::{self, Literal};
use crate::rules::python::{Problem, Source};
use std::fmt;

/// The names that Alembic looks at.
const NAMES: [&str; 4] = ["revision", "down_revision", "branch_labels", "depends_on"];

/// Alembic takes these for operators on its command line.
const FORBIDDEN: [char; 4] = ['@', '-', '+', ':'];

/// One revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevisionFile {
    /// Path of the file, relative to the project.
    pub path: String,
    /// Its id.
    pub id: String,
    /// The revisions that it follows; none for a base, several for a merge.
    pub down: Vec<String>,
    /// Names of the branch that it is part of.
    pub branch_labels: Vec<String>,
    /// Other revisions that must be applied before it, by id or by branch label.
    pub depends_on: Vec<String>,
    /// First line of the file's docstring.
    pub message: Option<String>,
    /// Where the docstring contradicts the values, which count.
    pub contradiction: Option<String>,
}

/// A revision file that says nothing for certain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Path of the file, relative to the project.
    pub path: String,
    /// Whether Alembic could read it.
    pub reason: Reason,
    /// Line and cause.
    pub problem: Problem,
}

/// Why a file is unreadable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Only Python could compute it.
    CannotTell,
    /// Alembic fails on it as well.
    Wrong,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match self.reason {
            Reason::CannotTell => "cannot tell the revision, only Python could compute it",
            Reason::Wrong => "not a revision that Alembic could load",
        };
        write!(out, "{}: {reason}: {}", self.path, self.problem)
    }
}

/// Whether Alembic loads a file of this name, by its last part: also helpers, which stop it if they
/// are no revisions.
pub fn is_revision_file(name: &str, sourceless: bool) -> bool {
    let python = name.ends_with(".py");
    let compiled = sourceless && (name.ends_with(".pyc") || name.ends_with(".pyo"));
    (python || compiled) && !name.starts_with(".#") && !name.starts_with("__init__")
}

/// Reads a revision file. `path` is relative to the project.
///
/// # Errors
/// A file from which the four values cannot be told.
pub fn read(path: &str, bytes: &[u8]) -> Result<RevisionFile, Unreadable> {
    if !path.ends_with(".py") {
        let problem = Problem::new(1, "compiled Python");
        return Err(Unreadable { path: path.to_owned(), reason: Reason::CannotTell, problem });
    }
    let with = |reason: Reason| {
        move |problem: Problem| Unreadable { path: path.to_owned(), reason, problem }
    };
    let source = Source::read(bytes).map_err(with(Reason::Wrong))?;
    let values = Values::of(&source).map_err(with(Reason::CannotTell))?;
    let mut file = values.check(path).map_err(with(Reason::Wrong))?;
    file.message = docstring(&source).and_then(|text| {
        let line = text.trim().lines().next()?.trim().to_owned();
        (!line.is_empty()).then_some(line)
    });
    file.contradiction = docstring(&source).and_then(|text| contradiction(&text, &file));
    Ok(file)
}

/// The four values, with the line of each.
#[derive(Default)]
struct Values([Option<(Literal, usize)>; 4]);

impl Values {
    fn of(source: &Source) -> Result<Self, Problem> {
        let text = source.text.as_str();
        let mut values = Self::default();
        let mut star = None;
        for item in &source.items {
            bindings::refuse_indirect(text, item)?;
            if let Some((name, value, line)) = assignment(text, item, &NAMES) {
                let Some(value) = value else {
                    return Err(Problem::new(line, format!("{} is computed", NAMES[name])));
                };
                if matches!(value, Literal::List(_)) && bindings::mentions(source, NAMES[name]) > 1
                {
                    let what = format!("{} is a list that is used again", NAMES[name]);
                    return Err(Problem::new(line, what));
                }
                if values.0[name].replace((value, line)).is_some() {
                    return Err(Problem::new(line, format!("{} is assigned twice", NAMES[name])));
                }
            } else if let Some((name, line)) = bindings::otherwise(text, item, &NAMES) {
                let what = format!("{name} gets its value by more than a plain assignment");
                return Err(Problem::new(line, what));
            }
            if item.kind == ItemKind::Import && item.tokens().any(|token| token.of(text) == "*") {
                star = Some(item.line());
            }
        }
        // A star import may bring any name, or replace what was assigned before it.
        let uncertain = |(value, line): (&Option<(Literal, usize)>, usize)| {
            value.as_ref().is_none_or(|(_, assigned)| *assigned < line).then_some(line)
        };
        match star.and_then(|line| values.0.iter().find_map(|value| uncertain((value, line)))) {
            Some(line) => {
                Err(Problem::new(line, "an import of everything, which may bring one of the names"))
            }
            None => Ok(values),
        }
    }

    fn check(self, path: &str) -> Result<RevisionFile, Problem> {
        let [revision, down, labels, depends] = self.0;
        let (id, line) = match revision {
            None => (legacy_id(path)?, 1),
            Some((Literal::Text(id), line)) => (id, line),
            Some((_, line)) => return Err(Problem::new(line, "revision is not a text")),
        };
        if id.is_empty() {
            return Err(Problem::new(line, "revision is empty"));
        }
        if let Some(sign) = id.chars().find(|c| FORBIDDEN.contains(c)) {
            return Err(Problem::new(line, format!("revision {id} has a \"{sign}\" in it")));
        }
        let Some(down) = down else {
            return Err(Problem::new(line, "there is no down_revision"));
        };
        Ok(RevisionFile {
            path: path.to_owned(),
            id,
            down: texts("down_revision", Some(down))?,
            branch_labels: texts("branch_labels", labels)?,
            depends_on: texts("depends_on", depends)?,
            message: None,
            contradiction: None,
        })
    }
}

/// `None`, one text, or several.
fn texts(name: &str, value: Option<(Literal, usize)>) -> Result<Vec<String>, Problem> {
    let Some((value, line)) = value else { return Ok(Vec::new()) };
    let wrong = |what: &str| Problem::new(line, format!("{name} {what}"));
    let items = match value {
        Literal::None => Vec::new(),
        Literal::Text(text) => vec![Literal::Text(text)],
        // To Alembic a single None is none, except as a label.
        Literal::Tuple(items) | Literal::List(items)
            if items == [Literal::None] && name != "branch_labels" =>
        {
            Vec::new()
        }
        Literal::Tuple(items) | Literal::List(items) => items,
        Literal::Number => return Err(wrong("is not a text")),
    };
    let text = |item: Literal| match item {
        Literal::Text(text) if text.is_empty() => Err(wrong("has an empty text")),
        Literal::Text(text) => Ok(text),
        _ => Err(wrong("has an item that is not a text")),
    };
    items.into_iter().map(text).collect()
}

/// Files of Alembic 0.1 have their id in their name alone.
fn legacy_id(path: &str) -> Result<String, Problem> {
    let name = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".py");
    let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if !name.is_empty() && name.chars().all(is_hex) {
        return Ok(name.to_owned());
    }
    Err(Problem::new(1, "there is no revision; Alembic loads every .py file of the folder"))
}

fn docstring(source: &Source) -> Option<String> {
    let first = source.items.first().filter(|item| item.kind == ItemKind::Docstring)?;
    match literal::value(&source.text, &first.lines.first()?.tokens)? {
        Literal::Text(text) => Some(text),
        _ => None,
    }
}

/// Compares what the docstring that Alembic's template writes says with the values.
fn contradiction(docstring: &str, file: &RevisionFile) -> Option<String> {
    let said = |key: &str| {
        let line = docstring.lines().find_map(|line| line.trim().strip_prefix(key))?;
        Some(line.trim().to_owned())
    };
    if let Some(id) = said("Revision ID:").filter(|id| *id != file.id) {
        return Some(format!("{}: its docstring calls it {id}, and it is {}", file.path, file.id));
    }
    let mut claimed: Vec<String> = said("Revises:")?
        .split(',')
        .map(|id| id.trim().to_owned())
        .filter(|id| !id.is_empty() && id != "<base>" && id != "None")
        .collect();
    let mut down = file.down.clone();
    claimed.sort();
    down.sort();
    let shown =
        |ids: &[String]| if ids.is_empty() { String::from("nothing") } else { ids.join(", ") };
    (claimed != down).then(|| {
        format!(
            "{}: its docstring says that it revises {}, and it revises {}",
            file.path,
            shown(&claimed),
            shown(&down)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<RevisionFile, Unreadable> {
        read("versions/x.py", text.as_bytes())
    }

    #[test]
    fn every_shape_that_is_plain_is_read() {
        let cases: &[(&str, &str, &[&str])] = &[
            ("revision = 'x'\ndown_revision = None\n", "x", &[]),
            (
                "revision: str = \"x\"\ndown_revision: Union[str, Sequence[str], None] = None\n",
                "x",
                &[],
            ),
            ("revision = ('a' 'b')\ndown_revision: str | None = 'p'\n", "ab", &["p"]),
            ("revision = '''x'''\ndown_revision = ()\n", "x", &[]),
            ("revision = 'x'\ndown_revision = []\n", "x", &[]),
            ("revision = 'x'\ndown_revision = ('p', 'q')\n", "x", &["p", "q"]),
            ("revision = 'x'\ndown_revision = ['p', \"q\"]\n", "x", &["p", "q"]),
            ("revision = 'x'\ndown_revision = ('p',)\n", "x", &["p"]),
            ("revision = 'x'\ndown_revision = 'p', 'q'\n", "x", &["p", "q"]),
            ("revision = 'x'\ndown_revision = (None,)\n", "x", &[]),
            ("revision = r'x.y z/é'; down_revision = u'p' # c\n", "x.y z/é", &["p"]),
            ("revision = \\\n  'x'\ndown_revision = (\n  'p' # c\n)\n", "x", &["p"]),
            ("revision = '\\x61\\142'\ndown_revision = None\n", "ab", &[]),
            // Reading a name, or a name inside something else, changes nothing.
            ("revision = 'x'\ndown_revision = 'p'\nprint(revision, down_revision)\n", "x", &["p"]),
            (
                "revision = 'x'\ndown_revision = 'p'\nlabel = f(revision=revision) + revision[:4]\n",
                "x",
                &["p"],
            ),
            ("revision = 'x'\ndown_revision = 'p'\nif revision == 'y': pass\n", "x", &["p"]),
            ("revision = 'x'\ndown_revision = 'p'\nclass A:\n  revision = 'z'\n", "x", &["p"]),
            (
                "revision = 'x'\ndown_revision = 'p'\ndef upgrade():\n  revision = 'z'\n  del revision\n",
                "x",
                &["p"],
            ),
            ("revision = 'x'\ndown_revision = 'p'\nop.revision = 'z'\n", "x", &["p"]),
            ("revision: str\nrevision = 'x'\ndown_revision = 'p'\n", "x", &["p"]),
            (
                "from sqlalchemy import *\nrevision = 'x'\ndown_revision = None\nbranch_labels = None\ndepends_on = None\n",
                "x",
                &[],
            ),
            ("\u{feff}revision = 'x'\r\ndown_revision = 'p'\r\n", "x", &["p"]),
            ("revision = 'x'\rdown_revision = 'p'\r", "x", &["p"]),
            (
                "revision = 'x'\ndown_revision = 'p'\ndef upgrade():\n    f(**locals())\n",
                "x",
                &["p"],
            ),
        ];
        for (text, id, down) in cases {
            let file = of(text).unwrap_or_else(|problem| panic!("{text}: {problem}"));
            assert_eq!(
                (file.id.as_str(), file.down.as_slice()),
                (*id, &down.map_owned()[..]),
                "{text}"
            );
        }
    }

    trait Owned {
        fn map_owned(&self) -> Vec<String>;
    }

    impl Owned for &[&str] {
        fn map_owned(&self) -> Vec<String> {
            self.iter().map(|text| (*text).to_owned()).collect()
        }
    }

    #[test]
    fn labels_and_dependencies_are_texts_tuples_or_lists() {
        let file =
            of("revision='x'\ndown_revision=None\nbranch_labels = 'l'\ndepends_on = ['a', 'b']\n");
        let file = file.unwrap();
        assert_eq!((file.branch_labels.len(), file.depends_on.len()), (1, 2));
        let file =
            of("revision='x'\ndown_revision=None\nbranch_labels = ('l', 'm')\ndepends_on = ()\n");
        assert_eq!(file.unwrap().branch_labels, ["l", "m"]);
    }

    #[test]
    fn what_only_python_could_compute_is_not_guessed() {
        let plain = "revision = 'x'\ndown_revision = None\n";
        for (text, line) in [
            ("revision = 'a' + str(1)\ndown_revision = None\n", 1),
            ("down_revision = None\nrevision = f'x'\n", 2),
            ("revision = down_revision = 'x'\n", 1),
            ("revision = rev = 'x'\ndown_revision = None\n", 1),
            ("a = revision = 'x'\ndown_revision = None\n", 1),
            ("revision, down_revision = 'x', None\n", 1),
            ("(revision) = 'x'\ndown_revision = None\n", 1),
            ("down_revision = None\nif 1:\n    revision = 'x'\n", 3),
            ("down_revision = None\nif 1: revision = 'x'\n", 2),
            (
                "revision = 'x'\ndown_revision = None\ntry:\n    pass\nfinally:\n    revision = 'y'\n",
                6,
            ),
            ("revision = 'x'\nrevision = 'y'\ndown_revision = None\n", 2),
            ("revision = 'x'\ndown_revision = ['a']\ndown_revision.append('b')\n", 2),
            ("revision = 'x'\ndown_revision = 'a'\ndown_revision += 'b'\n", 3),
            ("revision = 'x'\ndown_revision = previous\n", 2),
            ("revision = 'x'\ndown_revision = {'a'}\n", 2),
            ("revision = 'x'\ndown_revision = ('a', b)\n", 2),
            ("revision = 'x'\ndown_revision = 'a' if x else 'b'\n", 2),
            ("from ids import revision\ndown_revision = None\n", 1),
            ("import ids as revision\ndown_revision = None\n", 1),
            ("from ids import (a,\n  b as down_revision)\nrevision = 'x'\n", 2),
            ("from ids import *\nrevision = 'x'\ndown_revision = None\n", 1),
            (
                "revision = 'x'\ndown_revision = None\nbranch_labels = None\ndepends_on = None\nfrom ids import *\n",
                5,
            ),
            ("for revision in 'xy': pass\ndown_revision = None\n", 1),
            ("with a as revision: pass\ndown_revision = None\n", 1),
            ("print(revision := 'x')\ndown_revision = None\n", 1),
            ("def depends_on(): pass\nrevision = 'x'\ndown_revision = None\n", 1),
            ("class branch_labels: pass\nrevision = 'x'\ndown_revision = None\n", 1),
            ("match x:\n  case revision: pass\ndown_revision = None\n", 2),
        ] {
            let unreadable = of(text).expect_err(text);
            let found = (unreadable.reason, unreadable.problem.line);
            assert_eq!(found, (Reason::CannotTell, line), "{text}: {unreadable}");
            assert!(
                unreadable.to_string().starts_with("versions/x.py: cannot tell"),
                "{unreadable}"
            );
        }
        for more in [
            "del revision\n",
            "def f():\n    global revision\n    revision = 'y'\n",
            "def f(): global depends_on; depends_on = 'y'\n",
            "globals()['revision'] = 'y'\n",
            "def f():\n    globals().update(a)\n",
            "exec('revision = 1')\n",
            "vars()['revision'] = 'y'\n",
            "sys.modules[__name__].__dict__['revision'] = 'y'\n",
            "@decorated(revision := 'y')\ndef f(): pass\n",
        ] {
            assert_eq!(of(&format!("{plain}{more}")).expect_err(more).reason, Reason::CannotTell);
        }
    }

    #[test]
    fn what_alembic_cannot_load_is_told_apart() {
        for (text, line, what) in [
            ("revision = 'x'\n", 1, "no down_revision"),
            ("down_revision = None\n", 1, "there is no revision"),
            ("revision = 1\ndown_revision = None\n", 1, "not a text"),
            ("revision = None\ndown_revision = None\n", 1, "not a text"),
            ("revision = ('x',)\ndown_revision = None\n", 1, "not a text"),
            ("\nrevision = 'a-b'\ndown_revision = None\n", 2, "\"-\""),
            ("revision = 'a@b'\ndown_revision = None\n", 1, "\"@\""),
            ("revision = ''\ndown_revision = None\n", 1, "empty"),
            ("revision = 'x'\ndown_revision = ''\n", 2, "empty text"),
            ("revision = 'x'\ndown_revision = ('a', None)\n", 2, "not a text"),
            ("revision = 'x'\ndown_revision = 1\n", 2, "not a text"),
            ("revision = 'x\ndown_revision = None\n", 1, "does not end"),
            ("# coding: klingon\n", 1, "klingon"),
        ] {
            let unreadable = of(text).expect_err(text);
            assert_eq!(
                (unreadable.reason, unreadable.problem.line),
                (Reason::Wrong, line),
                "{text}"
            );
            assert!(unreadable.to_string().contains(what), "{unreadable}");
        }
    }

    #[test]
    fn the_id_may_be_in_the_name_of_very_old_files() {
        assert_eq!(read("v/1234abcd.py", b"down_revision = None\n").unwrap().id, "1234abcd");
        assert!(read("v/1234abcx.py", b"down_revision = None\n").is_err());
        assert_eq!(read("v/a.pyc", b"\0").unwrap_err().reason, Reason::CannotTell);
    }

    #[test]
    fn the_docstring_gives_the_message_and_is_compared() {
        let text = |docstring: &str| {
            of(&format!("\"\"\"{docstring}\"\"\"\nrevision = 'x'\ndown_revision = ('p', 'q')\n"))
                .unwrap()
        };
        let file = text("Add a table\n\nRevision ID: x\nRevises: q, p\nCreate Date: 2024\n");
        assert_eq!((file.message.as_deref(), file.contradiction), (Some("Add a table"), None));
        let file = text("\n\nRevision ID: y\n");
        assert!(file.contradiction.unwrap().contains("calls it y"));
        let said = text("a\n\nRevision ID: x\nRevises: \n").contradiction.unwrap();
        assert!(said.contains("revises nothing, and it revises p, q"), "{said}");
        assert_eq!(of("revision = 'x'\ndown_revision = None\n").unwrap().message, None);
    }

    #[test]
    fn alembic_loads_every_python_file_but_a_few() {
        for (name, sourceless, loaded) in [
            ("a.py", false, true),
            ("_helper.py", false, true),
            ("__init__.py", false, false),
            ("__init__x.py", false, false),
            (".#a.py", false, false),
            ("a.PY", false, false),
            ("a.sql", false, false),
            ("a.pyc", false, false),
            ("a.pyc", true, true),
            ("a.py.bak", true, false),
        ] {
            assert_eq!(is_revision_file(name, sourceless), loaded, "{name}");
        }
    }
}
