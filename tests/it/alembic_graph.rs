//! What pgark reads of Alembic projects is what Alembic itself makes of them: one Python process
//! answers for hundreds of projects.

use crate::harness::alembic::{Project, python};
use pgark::ops::migrations::project::{self, AlembicProject, Place, Sought};
use pgark::ops::observer::Silent;
use pgark::rules::alembic::graph::{Graph, GraphProblem};
use pgark::rules::alembic::revision_file::Reason;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};

/// A project, and what is asked about it.
struct Case {
    what: String,
    project: Project,
    section: &'static str,
    rows: Vec<Vec<String>>,
}

impl Case {
    fn new(what: impl Into<String>, project: Project) -> Self {
        Self { what: what.into(), project, section: "alembic", rows: Vec::new() }
    }
}

/// What Alembic says of each.
fn oracle(cases: &[Case]) -> Vec<Value> {
    let script = crate::harness::project().join("tests/fixtures/alembic_oracle.py");
    let mut child = Command::new(python())
        .arg(script)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let jobs: Vec<String> = cases
        .iter()
        .map(|case| {
            let job =
                json!({"folder": case.project.path(), "section": case.section, "rows": case.rows});
            job.to_string()
        })
        .collect();
    let writer = std::thread::spawn(move || stdin.write_all((jobs.join("\n") + "\n").as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    let answers: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), cases.len());
    answers
}

fn read(case: &Case) -> pgark::error::Result<AlembicProject> {
    let place = Place::In(case.project.path().to_owned());
    let sought = Sought { place, section: case.section.to_owned() };
    project::load(&sought, &Silent).map(Option::unwrap)
}

/// What pgark did with a project.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// Said the same as Alembic.
    Same,
    /// Would not say what Alembic says.
    CannotTell,
    /// Refused what Alembic refuses or warns of.
    BothRefuse,
}

/// Compares, and panics at anything that pgark says and Alembic does not.
#[track_caller]
fn compare(case: &Case, answer: &Value) -> Outcome {
    let what = &case.what;
    let fails = answer.get("error").is_some();
    let warns = answer["warnings"].as_array().unwrap().iter().any(|warning| {
        let warning = warning.as_str().unwrap();
        warning.contains("more than once") || warning.contains("is not present")
    });
    let project = match read(case) {
        Ok(project) => project,
        Err(error) => {
            assert!(fails, "{what}: pgark says {error}, and Alembic {answer}");
            return Outcome::BothRefuse;
        }
    };
    if project.unreadable.iter().any(|file| file.reason == Reason::CannotTell) {
        return Outcome::CannotTell;
    }
    if let Some(file) = project.unreadable.first() {
        assert!(fails, "{what}: pgark says {file}, and Alembic {answer}");
        return Outcome::BothRefuse;
    }
    let graph = Graph::new(project.revisions.clone());
    if let Some(problem) = graph.problems().first() {
        let as_duplicate = matches!(problem, GraphProblem::Duplicate { .. }) && warns;
        assert!(fails || as_duplicate, "{what}: pgark says {problem}, and Alembic {answer}");
        return Outcome::BothRefuse;
    }
    assert!(!fails && !warns, "{what}: pgark finds nothing wrong, and Alembic {answer}");
    assert_eq!(json!(graph.heads()), answer["heads"], "{what}: heads");
    assert_eq!(json!(graph.tips()), answer["tips"], "{what}: tips");
    assert_eq!(json!(graph.bases()), answer["bases"], "{what}: bases");
    assert_eq!(json!(graph.branch_points()), answer["branch_points"], "{what}: branch points");
    assert_eq!(json!(graph.merge_points()), answer["merge_points"], "{what}: merge points");
    let revisions: serde_json::Map<String, Value> = graph
        .order()
        .into_iter()
        .map(|file| {
            let mut labels = file.branch_labels.clone();
            labels.sort();
            let name = file.path.rsplit('/').next();
            let value = json!({"down": file.down, "labels": labels, "depends_on": file.depends_on, "file": name});
            (file.id.clone(), value)
        })
        .collect();
    assert_eq!(Value::Object(revisions), answer["revisions"], "{what}: revisions");
    for (rows, applied) in case.rows.iter().zip(answer["applied"].as_array().unwrap()) {
        let ours = graph.ancestors(rows.iter().map(String::as_str));
        assert_eq!(json!(ours), *applied, "{what}: applied with {rows:?}");
    }
    let order = graph.order();
    let place = |id: &str| order.iter().position(|file| file.id == id).unwrap();
    for file in &order {
        assert!(graph.needs(&file.id).all(|id| place(id) < place(&file.id)), "{what}: order");
    }
    Outcome::Same
}

/// A literal in one of the ways people write them.
fn literal(ids: &[String], random: &mut StdRng) -> String {
    let quoted: Vec<String> = ids
        .iter()
        .map(|id| match random.random_range(0..4) {
            0 => format!("\"{id}\""),
            1 => format!("'''{id}'''"),
            2 if id.len() > 1 => format!("'{}' '{}'", &id[..1], &id[1..]),
            _ => format!("'{id}'"),
        })
        .collect();
    match (quoted.as_slice(), random.random_range(0..3)) {
        ([], 0) => String::from("()"),
        ([], 1) => String::from("[]"),
        ([], _) => String::from("None"),
        ([one], 0) => one.clone(),
        ([one], 1) => format!("({one})"),
        ([one], _) => format!("({one},)"),
        (several, 0) => several.join(", "),
        (several, 1) => format!("[{},]", several.join(",\n    ")),
        (several, _) => format!("(  # both\n    {}\n)", several.join(", ")),
    }
}

/// A graph by chance, sometimes broken, in files by chance.
fn by_chance(seed: u64) -> Case {
    let mut random = StdRng::seed_from_u64(seed);
    let count = random.random_range(1..14_usize);
    let ids: Vec<String> = (0..count)
        .map(|n| match random.random_range(0..3) {
            0 => format!("{:x}{n}", random.random_range(0x10_0000..0xff_ffff)),
            1 => format!("rev {n}.x/é"),
            _ => format!("{n:04}_step"),
        })
        .collect();
    let mut labels: Vec<String> = Vec::new();
    let project = Project::of(&[]);
    for (n, id) in ids.iter().enumerate() {
        let mut some = |most: usize| -> Vec<String> {
            let wanted = random.random_range(0..=most).min(n);
            let mut found: Vec<String> = Vec::new();
            for _ in 0..wanted {
                let id = &ids[random.random_range(0..n)];
                if !found.contains(id) {
                    found.push(id.clone());
                }
            }
            found
        };
        let (mut down, mut depends) = (some(2), some(1));
        if n > 0 && down.is_empty() && random.random_range(0..3) > 0 {
            down.push(ids[n - 1].clone());
        }
        depends.retain(|id| !down.contains(id));
        if !labels.is_empty() && random.random_range(0..6) == 0 {
            depends.push(labels[random.random_range(0..labels.len())].clone());
        }
        match random.random_range(0..60) {
            0 => down = vec![String::from("gone")],
            1 => down = vec![ids[random.random_range(0..count)].clone()],
            2 => depends = vec![ids[random.random_range(0..count)].clone()],
            3 => depends = vec![String::from("nobody")],
            _ => {}
        }
        let label = match random.random_range(0..8) {
            0 => vec![format!("label{n}")],
            _ => Vec::new(),
        };
        labels.extend(label.clone());
        let annotation = |name: &str, random: &mut StdRng| match random.random_range(0..3) {
            0 => format!("{name}: Union[str, Sequence[str], None]"),
            _ => name.to_owned(),
        };
        let mut text =
            String::from("\"\"\"a step\n\nrevision = 'not me'\n\"\"\"\nfrom typing import *\n");
        text = text.replace("import *", "import Sequence, Union");
        let values = [
            ("revision", vec![id.clone()]),
            ("down_revision", down),
            ("branch_labels", label),
            ("depends_on", depends),
        ];
        for (name, ids) in values {
            if ids.is_empty() && name != "down_revision" && random.random_range(0..3) == 0 {
                continue;
            }
            let value = match name {
                "revision" => format!("'{}'", ids[0]),
                _ => literal(&ids, &mut random),
            };
            text += &format!("{} = {value}\n", annotation(name, &mut random));
        }
        text += "\n\ndef upgrade():\n    revision = 'inner'\n    down_revision = revision\n";
        match random.random_range(0..4) {
            0 => text = text.replace('\n', "\r\n"),
            1 => text.insert(0, '\u{feff}'),
            _ => {}
        }
        let same_name = random.random_range(0..40) == 0;
        let name = if same_name { String::from("again") } else { format!("f{n}") };
        project.write(&format!("migrations/versions/{name}.py"), &text);
        if random.random_range(0..60) == 0 {
            project.write(&format!("migrations/versions/copy{n}.py"), &text);
        }
    }
    let mut case = Case::new(format!("seed {seed}"), project);
    // Rows that Alembic would not refuse: one revision each.
    case.rows = ids.iter().map(|id| vec![id.clone()]).collect();
    case
}

#[test]
fn graphs_by_chance_are_read_as_alembic_reads_them() {
    let mut cases: Vec<Case> = (0..250).map(by_chance).collect();
    // A broken project has no revisions to ask about.
    for case in &mut cases {
        let sound = read(case).is_ok_and(|project| {
            project.unreadable.is_empty() && Graph::new(project.revisions).problems().is_empty()
        });
        if !sound {
            case.rows.clear();
        } else {
            let project = read(case).unwrap();
            let there = |id: &String| project.revisions.iter().any(|file| file.id == *id);
            case.rows.retain(|row| row.iter().all(there));
        }
    }
    let answers = oracle(&cases);
    let outcomes: Vec<Outcome> =
        cases.iter().zip(&answers).map(|(case, answer)| compare(case, answer)).collect();
    let count = |wanted: Outcome| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    assert_eq!(count(Outcome::CannotTell), 0);
    assert!(count(Outcome::Same) > 100 && count(Outcome::BothRefuse) > 20, "{outcomes:?}");
}

/// One revision file of this text.
fn file(text: &str) -> Project {
    Project::of(&[("migrations/versions/x.py", text)])
}

#[test]
fn every_shape_of_a_file_is_read_as_alembic_reads_it() {
    use Outcome::{BothRefuse, CannotTell, Same};
    let base = "revision = 'base'\ndown_revision = None\n";
    let shapes: &[(&str, Outcome)] = &[
        ("revision = 'x'\ndown_revision = None\n", Same),
        ("revision: str = \"x\"\ndown_revision: str | None = 'base'\n", Same),
        ("revision = ('a' 'b')\ndown_revision = ['base']\n", Same),
        ("revision = '''x'''\ndown_revision = ()\n", Same),
        ("revision = 'x'\ndown_revision = (None,)\n", Same),
        ("revision = 'x'; down_revision = 'base',\n", Same),
        ("revision = r'x\\y'\ndown_revision = u'base'\n", Same),
        ("revision = '\\x61\\u00e9\\101'\ndown_revision = 'base'\n", Same),
        ("revision = \\\n  'x'\ndown_revision = (\n 'base' # c\n)\n", Same),
        ("\u{feff}revision = 'x'\r\ndown_revision = None\r\n", Same),
        ("revision = 'x'\rdown_revision = 'base'\r", Same),
        (
            "revision = 'x'\ndown_revision = 'base'\nprint(f'{revision!r:>{10}} {down_revision}')\n",
            Same,
        ),
        ("revision = 'x'\ndown_revision = 'base'\nclass A:\n    revision = 'y'\n", Same),
        (
            "revision = 'x'\ndown_revision = 'base'\nbranch_labels = ['l', 'm']\ndepends_on = None\n",
            Same,
        ),
        ("revision = 'x y.z/é'\ndown_revision = None\n", Same),
        ("if True:\n    x = 1\nelse:\n    x = 2\nrevision = 'x'\ndown_revision = None\n", Same),
        ("revision = 'a' + str(1)\ndown_revision = None\n", CannotTell),
        ("revision = f'x'\ndown_revision = None\n", CannotTell),
        ("revision = a = 'x'\ndown_revision = None\n", CannotTell),
        ("revision, down_revision = 'x', None\n", CannotTell),
        ("revision = 'x'\nrevision = 'y'\ndown_revision = None\n", CannotTell),
        ("down_revision = None\nif True:\n    revision = 'x'\n", CannotTell),
        ("revision = 'x'\ndown_revision = {'base'}\n", CannotTell),
        ("revision = 'x'\ndown_revision = ['base']\ndown_revision.clear()\n", CannotTell),
        ("revision = 'x'\ndown_revision = None\nglobals()['revision'] = 'y'\n", CannotTell),
        ("from os import *\nrevision = 'x'\ndown_revision = None\n", CannotTell),
        ("revision = 'x'\n", BothRefuse),
        ("down_revision = None\n", BothRefuse),
        ("revision = 1\ndown_revision = None\n", BothRefuse),
        ("revision = 'a-b'\ndown_revision = None\n", BothRefuse),
        ("revision = 'a@b'\ndown_revision = None\n", BothRefuse),
        ("revision = 'x'\ndown_revision = ''\n", BothRefuse),
        ("revision = 'x'\ndown_revision = ('base', None)\n", BothRefuse),
        ("revision = 'x'\ndown_revision = 'bas'\n", BothRefuse),
        ("revision = 'x'\ndown_revision = 'x'\n", BothRefuse),
        ("revision = 'x'\ndown_revision = 'base'\ndepends_on = 'x'\n", BothRefuse),
        ("revision = 'x'\ndown_revision = 'base'\nbranch_labels = 'base'\n", BothRefuse),
        ("revision = 'base'\ndown_revision = None\n", BothRefuse),
        ("revision = 'x'\ndown_revision = 'base\n", BothRefuse),
        ("revision = 'x'\ndown_revision = (None\n", BothRefuse),
    ];
    let mut cases = Vec::new();
    for (text, _) in shapes {
        let project = file(text);
        project.write("migrations/versions/base.py", base);
        cases.push(Case::new(*text, project));
    }
    let answers = oracle(&cases);
    for ((case, answer), (text, expected)) in cases.iter().zip(&answers).zip(shapes) {
        assert_eq!(compare(case, answer), *expected, "{text}: {answer}");
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the test's own files")]
fn encodings_and_the_names_of_files_are_understood_as_alembic_does() {
    use Outcome::{BothRefuse, CannotTell, Same};
    let write = |project: &Project, path: &str, bytes: &[u8]| {
        std::fs::write(project.path().join("migrations/versions").join(path), bytes).unwrap();
    };
    let plain: &[u8] = b"revision = 'x'\ndown_revision = None\n";
    let files: &[(&[(&str, &[u8])], Outcome)] = &[
        (&[("a.py", b"# -*- coding: latin-1 -*-\nrevision = '\xe9'\ndown_revision = None\n")], Same),
        (&[("a.py", b"#!/usr/bin/python\n# vim: set fileencoding=gbk :\nrevision = '\xd6\xd0'\ndown_revision = None\n")], Same),
        (&[("a.py", b"# coding: cp1251\nrevision = '\xcf'\ndown_revision = None\n")], Same),
        (&[("a.py", b"revision = '\xe9'\ndown_revision = None\n")], BothRefuse),
        (&[("a.py", b"# coding: klingon\nrevision = 'x'\ndown_revision = None\n")], BothRefuse),
        (&[("a.py", b"# coding: ascii\nrevision = 'x'\ndown_revision = None # \xc3\xa9\n")], BothRefuse),
        (&[("a.py", plain), ("b.txt", b"revision"), ("__init__.py", b"x = 1\n"), (".#b.py", b"x"), ("c.PY", b"x")], Same),
        (&[("a.py", plain), ("_helper.py", b"x = 1\n")], BothRefuse),
        (&[("1234abcd.py", b"down_revision = None\n")], Same),
        (&[("1234abcx.py", b"down_revision = None\n")], BothRefuse),
        (&[("a.py", plain), ("b.pyc", b"\0\0")], Same),
        (&[("a.py", b"revision = 'x'\ndown_revision = None\nx = 'a\0b'\n")], BothRefuse),
        (&[], Same),
    ];
    let mut cases = Vec::new();
    for (number, (files, _)) in files.iter().enumerate() {
        let project = Project::of(&[]);
        for (path, bytes) in *files {
            write(&project, path, bytes);
        }
        cases.push(Case::new(format!("files {number}"), project));
    }
    // Compiled files count where the configuration says so; pgark does not read them.
    let ini = "[alembic]\nscript_location = migrations\nsourceless = true\n";
    let compiled = Project::of(&[("alembic.ini", ini)]);
    write(&compiled, "a.py", plain);
    write(&compiled, "a.pyc", b"\0");
    cases.push(Case::new("compiled beside its source", compiled));
    let answers = oracle(&cases);
    for ((case, answer), (_, expected)) in cases.iter().zip(&answers).zip(files) {
        assert_eq!(compare(case, answer), *expected, "{}: {answer}", case.what);
    }
    assert_eq!(compare(&cases[files.len()], &answers[files.len()]), Same);
    let alone = Project::of(&[("alembic.ini", ini)]);
    write(&alone, "a.pyc", b"\0");
    let alone = Case::new("compiled alone", alone);
    assert_eq!(compare(&alone, &json!({"warnings": []})), CannotTell);
}

#[test]
fn every_case_of_the_configuration_is_read_as_alembic_reads_it() {
    let revision = |id: &str| format!("revision = '{id}'\ndown_revision = None\n");
    let project = |ini: &str, pyproject: &str| {
        let project = Project::empty();
        if !ini.is_empty() {
            project.write("alembic.ini", ini);
        }
        if !pyproject.is_empty() {
            project.write("pyproject.toml", pyproject);
        }
        for (folder, id) in [
            ("db/versions", "v"),
            ("db/versions/deep/er", "d"),
            ("more", "m"),
            ("with space", "s"),
            ("m/versions", "n"),
            ("a:b", "c"),
        ] {
            project.write(&format!("{folder}/{id}.py"), &revision(id));
        }
        for folder in ["db", "m"] {
            project.write(&format!("{folder}/env.py"), "");
        }
        project
    };
    let head = "[alembic]\nscript_location = db\n";
    // What is configured, and the revisions that are found.
    let cases: &[(String, &str, &[&str])] = &[
        (head.into(), "", &["v"]),
        (String::from("[alembic]\nscript_location = %(here)s/db\n"), "", &["v"]),
        (String::from("[alembic]\nSCRIPT_LOCATION : ./db/\n"), "", &["v"]),
        (
            String::from("[DEFAULT]\nroot = %(here)s\n[alembic]\nscript_location = %(root)s/db\n"),
            "",
            &["v"],
        ),
        (format!("{head}recursive_version_locations = true\n"), "", &["d", "v"]),
        (format!("{head}recursive_version_locations = True\n"), "", &["v"]),
        (format!("{head}version_locations = more db/versions\n"), "", &["m", "v"]),
        (format!("{head}version_locations = more, db/versions\n"), "", &["m", "v"]),
        (
            format!("{head}version_locations = %(here)s/more:db/versions\npath_separator = os\n"),
            "",
            &["m", "v"],
        ),
        (
            format!("{head}version_locations = more;db/versions\npath_separator = ;\n"),
            "",
            &["m", "v"],
        ),
        (
            format!("{head}version_locations =\n  more\n  with space\npath_separator = newline\n"),
            "",
            &["m", "s"],
        ),
        (
            format!("{head}version_locations = more db/versions\npath_separator = space\n"),
            "",
            &["m", "v"],
        ),
        (format!("{head}version_locations = more:more\nversion_path_separator = :\n"), "", &["m"]),
        (String::new(), "[tool.alembic]\nscript_location = \"%(here)s/db\"\n", &["v"]),
        (
            String::new(),
            "[tool.alembic]\nscript_location = \"db\"\nversion_locations = [\"with space\", \"%(here)s/more\"]\n",
            &["m", "s"],
        ),
        (
            String::new(),
            "[tool.alembic]\nscript_location = \"db\"\nrecursive_version_locations = true\n",
            &["d", "v"],
        ),
        // Key by key, the ini file first.
        (
            String::from("[alembic]\nscript_location = m\n"),
            "[tool.alembic]\nscript_location = \"db\"\nversion_locations = [\"more\"]\n",
            &["m"],
        ),
        (
            String::from("[alembic]\nscript_location = m\n"),
            "[tool.alembic]\nscript_location = \"db\"\n",
            &["n"],
        ),
        (
            String::from("[loggers]\nkeys = root\n"),
            "[tool.alembic]\nscript_location = \"db\"\n",
            &["v"],
        ),
    ];
    let mut all: Vec<Case> = cases
        .iter()
        .map(|(ini, toml, _)| Case::new(format!("{ini}{toml}"), project(ini, toml)))
        .collect();
    let named = format!("{head}[tenants]\nscript_location = m\n");
    all.push(Case { section: "tenants", ..Case::new("alembic -n", project(&named, "")) });
    let wrong = [
        format!("{head}version_locations = a b\npath_separator = |\n"),
        format!("{head}version_locations = %(gone)s\n"),
        format!("{head}script_location = m\n"),
        format!("\u{feff}{head}"),
        format!("x = 1\n{head}"),
        String::from("[alembic]\nscript_location = 100%\n"),
        String::from("[alembic]\nscript_location = nowhere\n"),
        String::from("[alembic]\n"),
    ];
    all.extend(wrong.iter().map(|ini| Case::new(ini.clone(), project(ini, ""))));
    let toml =
        ["[tool.alembic]\nscript_location = \"db\"\nsourceless = \"true\"\n", "[tool.alembic"];
    all.extend(toml.iter().map(|toml| Case::new(*toml, project("", toml))));
    let answers = oracle(&all);
    for (number, (case, answer)) in all.iter().zip(&answers).enumerate() {
        let expected = match cases.get(number) {
            Some((.., ids)) => json!(ids),
            None if case.section == "tenants" => json!(["n"]),
            None => {
                assert_eq!(compare(case, answer), Outcome::BothRefuse, "{}", case.what);
                continue;
            }
        };
        assert_eq!(answer["heads"], expected, "{}: {answer}", case.what);
        assert_eq!(compare(case, answer), Outcome::Same, "{}", case.what);
    }
    // Alembic skips folders that are not there, and finds no revisions; pgark says so.
    for locations in ["more:db/versions", "more nowhere"] {
        let ini = format!("{head}version_locations = {locations}\n");
        let case = Case::new(locations, project(&ini, ""));
        assert!(oracle(std::slice::from_ref(&case))[0].get("error").is_none());
        let error = read(&case).err().unwrap().to_string();
        assert!(error.contains("has no folder") || error.contains("Python package"), "{error}");
    }
}
