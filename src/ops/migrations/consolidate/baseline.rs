//! All revisions become one, which makes the schema as it is.

use super::{Proved, Reference, Work};
use crate::error::{Error, Kind, Result};
use crate::model::content::Content;
use crate::model::name::{QualifiedName, enumerate};
use crate::model::table::SequenceState;
use crate::ops::migrations::alembic::Reach;
use crate::ops::migrations::new_tree::{self, Written};
use crate::ops::migrations::proof::{self, Bench, Compared, State};
use crate::ops::migrations::scratch::Scratch;
use crate::pg::catalog;
use crate::pg::seed;
use crate::pg::session::{Purpose, Session};
use crate::rules::alembic::baseline::{self, Rights};
use crate::rules::alembic::written::{self, Header, Step};
use crate::rules::schema_diff::Schema;
use crate::rules::{order, role_names, selection};
use crate::store::private_folder::PrivateFolder;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// What the new revision is to build, rows and sequences included.
struct Wanted {
    schema: Schema,
    rights: Rights,
    rows: BTreeMap<QualifiedName, Content>,
    sequences: BTreeMap<QualifiedName, SequenceState>,
    inserts: Vec<Step>,
    seeds: Vec<(String, u64)>,
}

/// Writes the one revision and proves it.
pub(super) fn prove(work: &mut Work<'_>) -> Result<Proved> {
    let mut bench = bench(work)?;
    let live = baseline::comparable(&work.live, &work.held.table);
    let mut compared = Vec::new();
    let mut uncompared = Vec::new();
    let chain = replay(work, &mut bench)?;
    if let Some(Replayed::Failed(reason)) = &chain {
        uncompared.push(format!(
            "old revisions: they cannot be replayed on an empty database ({reason})"
        ));
    }
    let chain = match chain {
        Some(Replayed::Built(built)) => Some(*built),
        Some(Replayed::Failed(_)) => None,
        None => {
            uncompared.push(String::from("old revisions: no Alembic runs them"));
            None
        }
    };
    if let Some((_, state)) = &chain {
        let found =
            Compared::schemas(("old revisions", &state.schema), ("live", &live), &work.ignored());
        if work.options.reference == Reference::Chain && !found.is_equal() {
            return Err(differs(&found, "the old revisions do not build what is live"));
        }
        compared.push(found);
    } else if work.options.reference == Reference::Chain {
        return Err(Error::refused(uncompared.join("; ")).hint(
            "make the old revisions run on an empty database; or take the live database for the truth with --reference live",
        ));
    }
    let chain = chain.filter(|_| work.options.reference == Reference::Chain);
    let wanted = wanted(work, chain.as_ref(), &live)?;

    work.observer.phase("writing the new revision", None);
    let (steps, left_out) = steps(&wanted, &work.held.table)?;
    let written = revision(work, &steps);
    let gone: BTreeSet<String> =
        work.project.revisions.iter().map(|file| file.path.clone()).collect();

    work.observer.phase("building the schema with the new revision", None);
    let reach = bench.database("new")?;
    let folders = Folders::of(work, &gone, std::slice::from_ref(&written))?;
    match &bench.alembic {
        Some(_) => bench.upgrade(
            &reach,
            Some(&folders.places),
            &work.everything(),
            &work.tips(),
            holder(work),
        )?,
        None => bench.run_statements(&reach, &steps)?,
    }
    if bench.alembic.is_none() {
        uncompared
            .push(String::from("the new file itself: its statements were run without Alembic"));
    }
    let new = bench.state(&reach)?;
    let rows = proof::row_differences((&wanted.rows, &wanted.sequences), &new);
    let mut checks = Vec::new();
    if let Some((_, state)) = &chain {
        let mut found = Compared::schemas(
            ("old revisions", &state.schema),
            ("new revision", &new.schema),
            &BTreeSet::new(),
        );
        found.rows = Some(rows);
        checks.push(found);
        checks.push(Compared::schemas(
            ("new revision", &new.schema),
            ("live", &live),
            &work.ignored(),
        ));
    } else {
        let mut found =
            Compared::schemas(("new revision", &new.schema), ("live", &live), &work.ignored());
        found.rows = Some(rows);
        checks.push(found);
    }
    if let Some(found) = checks.iter().find(|found| !found.is_equal()) {
        return Err(differs(found, "the new revision does not build what it should"));
    }
    compared.extend(checks);
    let replaced: Vec<String> = work.graph.order().iter().map(|file| file.id.clone()).collect();
    let replaced =
        replaced.into_iter().filter(|id| !work.graph.heads().contains(&id.as_str())).collect();
    Ok(Proved {
        written: vec![written],
        gone,
        replaced,
        fold: Vec::new(),
        compared,
        uncompared,
        left_out,
        seeds: wanted.seeds,
    })
}

/// The session that holds the version table alone; in a dry run nobody does.
pub(super) fn holder<'a>(work: &'a mut Work<'_>) -> Option<&'a mut Session> {
    (!work.options.dry_run).then_some(&mut work.held.session)
}

/// Scratch databases and the project's Alembic.
pub(super) fn bench<'a>(work: &Work<'a>) -> Result<Bench<'a>> {
    work.observer.phase("preparing scratch databases", None);
    let roles: BTreeSet<String> = work.live.objects.iter().flat_map(role_names::named).collect();
    let scratch = Scratch::open(
        &work.options.scratch,
        &work.held.session.facts,
        &roles,
        &work.options.environment,
        work.observer,
        work.interrupt,
    )?;
    Ok(Bench {
        scratch,
        alembic: work.alembic(),
        version_table: work.held.table.clone(),
        observer: work.observer,
        interrupt: work.interrupt,
    })
}

/// What became of the old revisions on an empty database.
pub(super) enum Replayed {
    /// They build this.
    Built(Box<(Reach, State)>),
    /// They fail, for this reason.
    Failed(String),
}

/// Runs the old revisions on an empty database; none without Alembic.
pub(super) fn replay(work: &mut Work<'_>, bench: &mut Bench<'_>) -> Result<Option<Replayed>> {
    if bench.alembic.is_none() {
        return Ok(None);
    }
    work.observer.phase("building the schema with the old revisions", None);
    let reach = bench.database("old")?;
    let (everything, tips) = (work.everything(), work.tips());
    match bench.upgrade(&reach, None, &everything, &tips, holder(work)) {
        Ok(()) => Ok(Some(Replayed::Built(Box::new((reach.clone(), bench.state(&reach)?))))),
        // A signal, or an Alembic in the wrong place, says nothing of the revisions.
        Err(error) if error.kind() != Kind::Failed => Err(error),
        Err(error) => match error.next_step() {
            Some(_) => Err(error),
            None => Ok(Some(Replayed::Failed(error.to_string()))),
        },
    }
}

/// The failure of a comparison.
pub(super) fn differs(found: &Compared, what: &str) -> Error {
    Error::new(
        Kind::Differs,
        format!("{what}; {} and {} differ: {}", found.left, found.right, enumerate(&found.findings())),
    )
    .hint("pgark compare --schema shows more; what does not matter can be left out with --ignore, and --reference live takes the live database for the truth")
}

fn wanted(work: &mut Work<'_>, chain: Option<&(Reach, State)>, live: &Schema) -> Result<Wanted> {
    let table = work.held.table.clone();
    let mut wanted = match chain {
        Some((reach, state)) => Wanted {
            schema: state.schema.clone(),
            rights: match work.options.with_privileges {
                true => Rights::All,
                false => Rights::GivenBeside(reach.user.clone()),
            },
            rows: state.rows.clone(),
            sequences: state.sequences.clone(),
            inserts: Vec::new(),
            seeds: Vec::new(),
        },
        None => Wanted {
            schema: live.clone(),
            rights: match work.options.with_privileges {
                true => Rights::All,
                false => Rights::None,
            },
            rows: BTreeMap::new(),
            sequences: BTreeMap::new(),
            inserts: Vec::new(),
            seeds: Vec::new(),
        },
    };
    // Owners and privileges of the chain are those of a scratch database.
    if work.options.with_privileges {
        wanted.schema = live.clone();
    }
    let mut named: BTreeSet<QualifiedName> = BTreeSet::new();
    if !work.options.seeds.is_empty() {
        let mut session = Session::open(&work.options.connection, None, Purpose::Catalog)?;
        let tables = proof::tables(&mut session, &table)?;
        for pattern in &work.options.seeds {
            pattern.check_database(&session.facts.database)?;
            let before = named.len();
            named
                .extend(tables.iter().filter(|t| pattern.matches(&t.name)).map(|t| t.name.clone()));
            if named.len() == before {
                let error = Error::new(
                    Kind::NotFound,
                    format!("there is no table {} to take seed rows from", pattern.text()),
                );
                return Err(match selection::meant(pattern, tables.iter().map(|t| &t.name)) {
                    Some(meant) => error.hint(meant),
                    None => error,
                });
            }
        }
        let (rows, sequences) = proof::rows(&work.options.connection, None, &table, Some(&named))?;
        for name in &named {
            wanted.rows.remove(name);
        }
        wanted.rows.extend(rows);
        let of_named = |state: &SequenceState| {
            state.owned_by.as_ref().is_some_and(|owner| named.contains(&owner.table))
        };
        wanted.sequences.extend(sequences.into_iter().filter(|(_, state)| of_named(state)));
        for table in tables.iter().filter(|table| named.contains(&table.name)) {
            insert(&mut wanted, &mut session, table)?;
        }
    }
    if let Some((reach, _)) = chain {
        let mut session =
            Session::open(&reach.connection, Some(&reach.database), Purpose::Catalog)?;
        for t in proof::tables(&mut session, &table)? {
            if !named.contains(&t.name) && wanted.rows.contains_key(&t.name) {
                insert(&mut wanted, &mut session, &t)?;
            }
        }
    }
    Ok(wanted)
}

fn insert(wanted: &mut Wanted, session: &mut Session, table: &catalog::CatalogTable) -> Result<()> {
    let about = format!("rows of {}", table.name);
    let statements = seed::inserts(session, table)?;
    wanted.inserts.extend(statements.into_iter().map(|sql| Step { about: about.clone(), sql }));
    let rows = wanted.rows.get(&table.name).map_or(0, |content| content.rows);
    if rows > 0 {
        wanted.seeds.push((table.name.to_string(), rows));
    }
    Ok(())
}

/// All statements of the revision, and what none of them makes.
fn steps(wanted: &Wanted, table: &QualifiedName) -> Result<(Vec<Step>, Vec<String>)> {
    let objects = order::restore_order(wanted.schema.objects.clone())?;
    let baseline = baseline::statements(&objects, table, &wanted.rights);
    let step = |about: &str, sql: String| Step { about: about.to_owned(), sql };
    let bodies = "functions may name what comes after them";
    let mut steps = vec![step(bodies, String::from("SET check_function_bodies = false"))];
    steps.extend(baseline.before_rows);
    steps.extend(wanted.inserts.iter().cloned());
    let moved = |state: &&SequenceState| state.is_called || state.last_value != 1;
    for state in wanted.sequences.values().filter(moved) {
        steps.push(step(&format!("sequence {}", state.name), seed::set_position(state)));
    }
    steps.extend(baseline.after_rows);
    steps.push(step("as it was", String::from("RESET check_function_bodies")));
    Ok((steps, baseline.left_out))
}

fn revision(work: &Work<'_>, steps: &[Step]) -> Written {
    let order = work.graph.order();
    let head = work.graph.heads()[0];
    let path = work.graph.get(head).map(|file| file.path.clone()).unwrap_or_default();
    let labels = order.iter().flat_map(|file| file.branch_labels.iter().cloned());
    let header = Header {
        revision: head.to_owned(),
        branch_labels: labels.collect(),
        message: format!("the schema as {} revisions had made it", order.len()),
        replaces: order
            .iter()
            .map(|file| (file.id.clone(), file.message.clone().unwrap_or_default()))
            .collect(),
        archive: work.archive.clone(),
        created: work.created(),
        ..Header::default()
    };
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let plain: String =
        head.chars().map(|c| if c.is_alphanumeric() || c == '_' { c } else { '_' }).collect();
    Written {
        path: format!("{folder}/{plain}_squashed.py").trim_start_matches('/').to_owned(),
        like: path,
        text: written::of_statements(&header, steps),
    }
}

/// The folders of revisions as they will be, in a place of their own, for Alembic to run.
pub(super) struct Folders {
    _folder: PrivateFolder,
    pub places: Vec<PathBuf>,
}

impl Folders {
    pub(super) fn of(
        work: &Work<'_>,
        gone: &BTreeSet<String>,
        written: &[Written],
    ) -> Result<Self> {
        let folder = PrivateFolder::create()?;
        for file in new_tree::files(work.project, gone, written) {
            folder.write(&file.path, &file.content)?;
        }
        let places = work.project.version_locations.iter().map(|l| folder.path().join(l)).collect();
        Ok(Self { _folder: folder, places })
    }
}
