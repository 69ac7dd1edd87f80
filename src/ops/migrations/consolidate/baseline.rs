//! All revisions become one, which makes the schema as it is.

use super::{Proved, Reference, Work};
use crate::error::{Error, Kind, Result};
use crate::model::name::{Printable, QualifiedName, enumerate};
use crate::model::table::SequenceState;
use crate::ops::migrations::new_tree::{self, Written};
use crate::ops::migrations::proof::{self, Bench, Compared, Rows, State};
use crate::ops::migrations::reach::Reach;
use crate::pg::catalog;
use crate::pg::seed;
use crate::pg::session::{Purpose, Session};
use crate::rules::alembic::baseline::{self, Rights};
use crate::rules::alembic::runner;
use crate::rules::alembic::written::{self, Header, Step};
use crate::rules::order;
use crate::rules::schema_diff::{self, Aspect, Schema};
use crate::store::private_folder::PrivateFolder;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What the new revision is to build, rows and sequences included.
struct Wanted {
    schema: Schema,
    rights: Rights,
    rows: Rows,
    inserts: Vec<Step>,
    seeds: Vec<(String, u64)>,
}

/// Writes the one revision and proves it.
pub(super) fn prove(work: &mut Work<'_>, bench: &mut Bench<'_>, old: Reach) -> Result<Proved> {
    let live = baseline::comparable(work.live, &work.held.tables);
    let mut proved = Proved::default();
    let chain = chain(work, bench, old, &live, &mut proved)?;
    let wanted = wanted(work, chain.as_ref(), &live)?;

    work.observer.phase("writing the new revision", None);
    let (mut steps, not_given) = steps(&wanted, &work.held.tables)?;
    if let Some(name) = bench.scratch.runner() {
        runner::generalize(&mut steps, name).map_err(|about| names_runner(&about))?;
    }
    proved.left_out.extend(not_given);
    proved.written.push(revision(work, &steps));
    proved.gone = work.project.revisions.iter().map(|file| file.path.clone()).collect();
    let heads = work.graph.heads();
    let replaced = work.graph.order().into_iter().map(|file| file.id.clone());
    proved.replaced = replaced.filter(|id| !heads.contains(&id.as_str())).collect();

    work.observer.phase("building the schema with the new revision", None);
    let new = build(work, bench, &steps, &mut proved)?;
    let compared = compare(work, bench, chain.as_ref(), &wanted, &new, &live);
    if let Some(found) = compared.iter().find(|found| !found.is_equal()) {
        return Err(differs(found, "the new revision does not build what it should"));
    }
    proved.compared.extend(compared);
    proved.seeds = wanted.seeds;
    proved.left_out.sort();
    proved.left_out.dedup();
    Ok(proved)
}

/// What the old revisions build, which is what is live; none where that is the truth, whether or not
/// they build it.
fn chain(
    work: &mut Work<'_>,
    bench: &mut Bench<'_>,
    old: Reach,
    live: &Schema,
    proved: &mut Proved,
) -> Result<Option<Built>> {
    let by_chain = work.options.reference == Reference::Chain;
    let replayed = match replay(work, bench, old)? {
        Some(Replayed::Built(built)) => Ok(*built),
        Some(Replayed::Failed(reason)) => {
            Err(format!("they cannot be replayed on an empty database ({reason})"))
        }
        None => Err(String::from("no Alembic runs them")),
    };
    let chain = match replayed {
        Ok(built) => {
            if let Some(name) = bench.scratch.runner().filter(|_| by_chain) {
                runner::check_schemas(&built.state.schema, name)
                    .map_err(|about| names_runner(&about))?;
            }
            let schema = work.as_run_live(&built.state.schema, bench.scratch.runner());
            let sides = (("old revisions", &schema), ("live", live));
            let found = Compared::schemas(sides.0, sides.1, &work.ignored_beside_rights());
            if by_chain && !found.is_equal() {
                return Err(differs(&found, "the old revisions do not build what is live"));
            }
            proved.notes.extend(rights_that_differ(&schema, live));
            proved.compared.push(found);
            proved.left_out.extend(built.left_out());
            Some(built)
        }
        Err(reason) if by_chain => {
            return Err(Error::refused(format!("old revisions: {reason}")).hint(
                "make the old revisions run on an empty database; or take the live database for the truth with --reference live",
            ));
        }
        Err(reason) => {
            proved.uncompared.extend([
                format!("old revisions: {reason}"),
                String::from("rows that the old revisions insert: those of tables named with --seed alone are in the new one"),
            ]);
            None
        }
    };
    if work.held.table.schema != "public" {
        proved.uncompared.push(format!(
            "schemas of other names than \"{}\": the new revision names its schemas, whatever search_path env.py sets",
            work.held.table.schema
        ));
    }
    if by_chain {
        return Ok(chain);
    }
    proved.left_out.extend(baseline::left_out(work.live));
    chain.map_or(Ok(()), |built| work.seeded.check(&built.state))?;
    Ok(None)
}

/// What the new revision builds in a scratch database.
fn build(
    work: &mut Work<'_>,
    bench: &mut Bench<'_>,
    steps: &[Step],
    proved: &mut Proved,
) -> Result<State> {
    let reach = bench.database("new")?;
    let folders = Folders::of(work, &proved.gone, &proved.written)?;
    if bench.alembic.is_some() {
        let (everything, tips) = (work.everything(), work.tips());
        bench.upgrade(&reach, Some(&folders.places), &everything, &tips, holder(work))?;
    } else {
        bench.run_statements(&reach, steps)?;
        let what = "the new file itself: its statements were run without Alembic";
        proved.uncompared.push(what.to_owned());
    }
    bench.state(&reach)
}

/// What the new revision builds beside what it is to build, and what is live.
fn compare(
    work: &Work<'_>,
    bench: &Bench<'_>,
    chain: Option<&Built>,
    wanted: &Wanted,
    new: &State,
    live: &Schema,
) -> Vec<Compared> {
    let as_live = work.as_run_live(&new.schema, bench.scratch.runner());
    let with_live = Compared::schemas(("new revision", &as_live), ("live", live), &work.ignored());
    let mut compared = match chain {
        Some(Built { state, .. }) => {
            let sides = (("old revisions", &state.schema), ("new revision", &new.schema));
            vec![Compared::schemas(sides.0, sides.1, &work.ignored_of_chain()), with_live]
        }
        None => vec![with_live],
    };
    // Rows are compared with what was read for the new revision.
    compared[0].rows = Some(proof::row_differences(&wanted.rows, &new.rows));
    compared
}

fn names_runner(about: &str) -> Error {
    Error::refused(format!(
        "the old revisions write the name of the role that runs them into {about}, and here that is one of a throw-away server"
    ))
    .hint("let them be run as the role that runs them elsewhere: name another server, with --scratch URL")
}

/// The session that holds the version table alone; in a dry run nobody does.
pub(super) fn holder<'a>(work: &'a mut Work<'_>) -> Option<&'a mut Session> {
    (!work.options.dry_run).then_some(&mut work.held.session)
}

/// What became of the old revisions on an empty database.
enum Replayed {
    /// They build this.
    Built(Box<Built>),
    /// They fail, for this reason.
    Failed(String),
}

/// What the old revisions build.
struct Built {
    reach: Reach,
    state: State,
    /// Roles that they make.
    roles: BTreeSet<String>,
}

impl Built {
    fn left_out(&self) -> Vec<String> {
        let roles = self.roles.iter().map(|role| format!("role {}", Printable(role)));
        self.state.left_out.iter().cloned().chain(roles).collect()
    }
}

/// Runs the old revisions on an empty database; none without Alembic. The roles that the schema names
/// are there only if they do not make these themselves.
fn replay(work: &mut Work<'_>, bench: &mut Bench<'_>, old: Reach) -> Result<Option<Replayed>> {
    let needed = work.roles();
    if bench.alembic.is_none() {
        bench.scratch.make_roles(&needed)?;
        return Ok(None);
    }
    work.observer.phase("building the schema with the old revisions", None);
    let before = bench.scratch.roles()?;
    let mut reach = old;
    let mut ended = run_all(work, bench, &reach)?;
    let mut made = &bench.scratch.roles()? - &before;
    if ended.is_some() && bench.scratch.make_roles(&needed)? {
        let before = bench.scratch.roles()?;
        reach = bench.database("old")?;
        ended = run_all(work, bench, &reach)?;
        made.extend(&bench.scratch.roles()? - &before);
    }
    bench.scratch.make_roles(&needed)?;
    if let Some(reason) = ended {
        return Ok(Some(Replayed::Failed(reason)));
    }
    let state = bench.state(&reach)?;
    Ok(Some(Replayed::Built(Box::new(Built { reach, state, roles: made }))))
}

/// Runs all old revisions, and says why they fail.
fn run_all(work: &mut Work<'_>, bench: &Bench<'_>, on: &Reach) -> Result<Option<String>> {
    let (everything, tips) = (work.everything(), work.tips());
    match bench.upgrade(on, None, &everything, &tips, holder(work)) {
        Ok(()) => Ok(None),
        // A signal, or an Alembic in the wrong place, says nothing of the revisions.
        Err(error) if error.kind() != Kind::Failed || error.next_step().is_some() => Err(error),
        Err(error) => Ok(Some(error.to_string())),
    }
}

/// In what privileges the live database differs, which no comparison is about.
pub(super) fn rights_that_differ(chain: &Schema, live: &Schema) -> Option<String> {
    let mut others = BTreeSet::from(Aspect::IGNORABLE);
    others.remove(&Aspect::Privileges);
    let found = Compared::schemas(("old revisions", chain), ("live", live), &others);
    let differ = |d: &&schema_diff::Difference| d.aspect == Aspect::Privileges;
    let lines: Vec<String> =
        found.schema.differences.iter().filter(differ).map(proof::headline).collect();
    (!lines.is_empty()).then(|| {
        format!(
            "privileges of the old revisions (first) and the live database (second) differ: {}",
            enumerate(&lines)
        )
    })
}

/// The failure of a comparison.
pub(super) fn differs(found: &Compared, what: &str) -> Error {
    Error::new(
        Kind::Differs,
        format!("{what}; {} and {} differ: {}", found.left, found.right, enumerate(&found.findings())),
    )
    .hint("pgark compare --schema shows more; what does not matter can be left out with --ignore, and --reference live takes the live database for the truth")
}

fn wanted(work: &Work<'_>, chain: Option<&Built>, live: &Schema) -> Result<Wanted> {
    let mut wanted = match chain {
        Some(Built { reach, state, .. }) => Wanted {
            schema: state.schema.clone(),
            rights: match work.options.with_privileges {
                true => Rights::All,
                false => Rights::OfRevisions { runner: reach.user.clone() },
            },
            rows: state.rows.clone(),
            inserts: Vec::new(),
            seeds: Vec::new(),
        },
        None => Wanted {
            schema: live.clone(),
            rights: match work.options.with_privileges {
                true => Rights::All,
                false => Rights::None,
            },
            rows: Rows::default(),
            inserts: Vec::new(),
            seeds: Vec::new(),
        },
    };
    // Owners and privileges of the chain are those of a scratch database.
    if work.options.with_privileges {
        wanted.schema = live.clone();
    }
    let version_tables = &work.held.tables;
    let named = &work.seeded.names;
    if !named.is_empty() {
        let connection = &work.options.connection;
        let mut session = Session::open(connection, None, Purpose::Catalog)?;
        let Rows { tables, sequences } =
            proof::rows(connection, None, version_tables, Some(named))?;
        wanted.rows.tables.retain(|name, _| !named.contains(name));
        wanted.rows.tables.extend(tables);
        let of_named = |state: &SequenceState| {
            state.owned_by.as_ref().is_some_and(|owner| named.contains(&owner.table))
        };
        wanted.rows.sequences.extend(sequences.into_iter().filter(|(_, state)| of_named(state)));
        for table in work.seeded.tables.iter().filter(|table| named.contains(&table.name)) {
            insert(&mut wanted, &mut session, table)?;
        }
    }
    if let Some(Built { reach, .. }) = chain {
        let mut session =
            Session::open(&reach.connection, Some(&reach.database), Purpose::Catalog)?;
        for table in proof::tables(&mut session, version_tables)? {
            if !named.contains(&table.name) && wanted.rows.tables.contains_key(&table.name) {
                insert(&mut wanted, &mut session, &table)?;
            }
        }
    }
    Ok(wanted)
}

fn insert(wanted: &mut Wanted, session: &mut Session, table: &catalog::CatalogTable) -> Result<()> {
    let about = format!("rows of {}", table.name);
    let statements = seed::inserts(session, table)?;
    wanted.inserts.extend(statements.into_iter().map(|sql| Step { about: about.clone(), sql }));
    let rows = wanted.rows.tables.get(&table.name).map_or(0, |content| content.rows);
    if rows > 0 {
        wanted.seeds.push((table.name.to_string(), rows));
    }
    Ok(())
}

/// All statements of the revision, and what none of them makes.
fn steps(wanted: &Wanted, version_tables: &[QualifiedName]) -> Result<(Vec<Step>, Vec<String>)> {
    let objects = order::restore_order(wanted.schema.objects.clone())?;
    let baseline = baseline::statements(&objects, version_tables, &wanted.rights);
    let step = |about: &str, sql: String| Step { about: about.to_owned(), sql };
    let bodies = "functions may name what comes after them";
    let mut steps = vec![step(bodies, String::from("SET check_function_bodies = false"))];
    steps.extend(baseline.before_rows);
    steps.extend(wanted.inserts.iter().cloned());
    let moved = |state: &&SequenceState| state.is_called || state.last_value != 1;
    for state in wanted.rows.sequences.values().filter(moved) {
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
        archive: work.archive.to_owned(),
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
        // Revisions may read files that lie anywhere beside them.
        let locations = &work.project.version_locations;
        let beside = work.project.files.iter();
        for file in beside.filter(|file| !new_tree::is_below_any(&file.path, locations)) {
            folder.write(&file.path, &file.content)?;
        }
        for file in new_tree::files(work.project, gone, written) {
            folder.write(&file.path, &file.content)?;
        }
        let places = work.project.version_locations.iter().map(|l| folder.path().join(l)).collect();
        Ok(Self { _folder: folder, places })
    }
}
