//! Finds an Alembic project and reads it: its files as they are, and the revisions they hold.

use crate::error::{Error, Kind, Result};
use crate::model::name::enumerate;
use crate::ops::observer::Observer;
use crate::rules::alembic::config::{self, AlembicConfig, Location};
use crate::rules::alembic::graph::Graph;
use crate::rules::alembic::position;
use crate::rules::alembic::revision_file::{self, RevisionFile, Unreadable};
use crate::rules::secrets;
use crate::store::project_files::{self, ProjectFile};
use crate::store::tree_swap::{self, ProjectLock};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const PYPROJECT: &str = "pyproject.toml";
const INI: &str = "alembic.ini";

/// Where to look for the migration project.
#[derive(Clone, Debug, Default)]
pub enum Place {
    /// In the current folder; it is no error if there is none.
    #[default]
    Find,
    /// In this folder, or with this configuration file; one must be there.
    In(PathBuf),
    /// Nowhere.
    None,
}

/// Which migration project.
#[derive(Clone, Debug)]
pub struct Sought {
    /// Where to look.
    pub place: Place,
    /// Section of the ini file, as `alembic -n` names it.
    pub section: String,
}

impl Default for Sought {
    fn default() -> Self {
        Self { place: Place::Find, section: String::from("alembic") }
    }
}

impl Sought {
    /// No project.
    pub fn none() -> Self {
        Self { place: Place::None, ..Self::default() }
    }

    /// The same failure with what is to be typed for this section of the ini file.
    pub fn in_section(&self, error: Error) -> Error {
        match error.next_step().map(|next| position::in_section(next, &self.section)) {
            Some(next) => error.hint(next),
            None => error,
        }
    }
}

/// A project, read whole.
pub struct AlembicProject {
    /// The folder that all paths are relative to: that of the configuration.
    pub root: PathBuf,
    /// The configuration file; none where only `env.py` was found.
    pub config_file: Option<String>,
    /// Folder of `env.py`.
    pub script_location: String,
    /// Folders of revisions.
    pub version_locations: Vec<String>,
    /// Every file that belongs to the project, sorted by path.
    pub files: Vec<ProjectFile>,
    /// The revisions that could be read, in the order of `files`.
    pub revisions: Vec<RevisionFile>,
    /// The files in the revisions' folders that could not.
    pub unreadable: Vec<Unreadable>,
}

impl AlembicProject {
    /// The graph of the revisions.
    ///
    /// # Errors
    /// Files that cannot be read, or that do not fit together: all of them are named.
    pub fn graph(&self) -> Result<Graph> {
        let shown: Vec<String> = self.unreadable.iter().map(ToString::to_string).collect();
        if !shown.is_empty() {
            return Err(Error::refused(format!(
                "the revisions of {} cannot be told: {}",
                self.root.display(),
                shown.join("; ")
            ))
            .hint("give revision, down_revision, branch_labels and depends_on plain values, and move other Python files out of the folders of revisions"));
        }
        let graph = Graph::new(self.revisions.clone());
        let problems: Vec<String> = graph.problems().iter().map(ToString::to_string).collect();
        if !problems.is_empty() {
            return Err(Error::refused(format!(
                "the revisions of {} do not fit together: {}",
                self.root.display(),
                enumerate(&problems)
            ))
            .hint("bring back missing files, or mend down_revision and depends_on; Alembic fails with most of this, and does the rest in an order that is wrong"));
        }
        Ok(graph)
    }

    /// What was found, for people.
    pub fn describe(&self) -> String {
        format!(
            "{} files of an alembic project, {} revisions in {}",
            self.files.len(),
            self.revisions.len() + self.unreadable.len(),
            self.version_locations.join(", ")
        )
    }

    /// A file's bytes.
    pub fn file(&self, path: &str) -> Option<&ProjectFile> {
        self.files.iter().find(|file| file.path == path)
    }
}

/// Finds and reads the migration project.
///
/// # Errors
/// No project where one was named; a configuration that points to folders which are not there, or
/// that only Python could resolve. Revisions that cannot be read are no error here.
pub fn load(sought: &Sought, observer: &dyn Observer) -> Result<Option<AlembicProject>> {
    let Some(found) = seek(sought)? else {
        if !matches!(sought.place, Place::None) {
            observer.note("no migration project in this folder; name one with --migrations DIR");
        }
        return Ok(None);
    };
    let root = found.root.clone();
    let project = read(found).map_err(|error| match check_settled(&root) {
        // A folder that is missing may be on its way.
        Err(unsettled) => unsettled.caused_by(error),
        Ok(()) => error,
    })?;
    for file in project.files.iter().filter(|file| is_configuration(&file.path)) {
        if secrets::holds_password(&String::from_utf8_lossy(&file.content)) {
            observer.warn(&format!(
                "{} holds a connection string with a password, and goes into archives as it is",
                project.root.join(&file.path).display()
            ));
        }
    }
    Ok(Some(project))
}

/// As [`load`], and fails where a run that was killed has left the folders of revisions between old
/// and new.
pub fn load_settled(sought: &Sought, observer: &dyn Observer) -> Result<Option<AlembicProject>> {
    if let Some(root) = root(sought)? {
        check_settled(&root)?;
    }
    load(sought, observer)
}

/// Fails where a run has begun to exchange the folders of revisions, and was killed or is still at it.
///
/// # Errors
/// [`Kind::Refused`], with what to do; [`Kind::Locked`] while it is at it.
pub fn check_settled(root: &Path) -> Result<()> {
    if !tree_swap::pending(root) {
        return Ok(());
    }
    match ProjectLock::check_free(root) {
        Err(error) if error.kind() == Kind::Locked => Err(error),
        _ => Err(Error::refused(format!(
            "a run that was killed has begun to exchange the folders of revisions in {}: some may be old, and some new",
            root.display()
        ))
        .hint("run pgark migrations consolidate or rollback again, without --dry-run: it ends or undoes that first")),
    }
}

/// The folder of the project, whose files may be broken.
pub fn root(sought: &Sought) -> Result<Option<PathBuf>> {
    Ok(seek(sought)?.map(|found| found.root))
}

fn seek(sought: &Sought) -> Result<Option<Found>> {
    match &sought.place {
        Place::None => Ok(None),
        Place::Find => find(Path::new("."), &sought.section),
        Place::In(path) => {
            let found = if path.is_file() {
                with_file(path, &sought.section)?
            } else {
                find(path, &sought.section)?
            };
            if found.is_none() {
                return Err(Error::new(
                    Kind::NotFound,
                    format!("no migration project in {}", path.display()),
                )
                .hint("name the folder of alembic.ini, of a pyproject.toml with [tool.alembic], or of env.py"));
            }
            Ok(found)
        }
    }
}

/// A configuration, not yet followed.
struct Found {
    root: PathBuf,
    files: Vec<String>,
    config: AlembicConfig,
}

fn find(folder: &Path, section: &str) -> Result<Option<Found>> {
    let there = |name: &str| project_files::has_file(folder, name).then(|| name.to_owned());
    match configured(folder, there(INI), there(PYPROJECT), section)? {
        Some(found) => Ok(Some(found)),
        None => find_scripts(folder, section),
    }
}

/// The project of one configuration file. Alembic looks into the other one besides.
fn with_file(path: &Path, section: &str) -> Result<Option<Found>> {
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
        Error::new(Kind::Usage, format!("the name of {} is not UTF-8", path.display()))
    })?;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let other = |other: &str| project_files::has_file(folder, other).then(|| other.to_owned());
    if name == PYPROJECT {
        return configured(folder, other(INI), Some(name.to_owned()), section);
    }
    configured(folder, Some(name.to_owned()), other(PYPROJECT), section)
}

fn configured(
    root: &Path,
    ini: Option<String>,
    pyproject: Option<String>,
    section: &str,
) -> Result<Option<Found>> {
    let text = |name: &Option<String>| -> Result<Option<String>> {
        let Some(name) = name else { return Ok(None) };
        let file = project_files::read(root, name)?;
        String::from_utf8(file.content).map(Some).map_err(|_| {
            Error::new(Kind::Usage, format!("{} is not UTF-8", root.join(name).display()))
        })
    };
    let (ini_text, pyproject_text) = (text(&ini)?, text(&pyproject)?);
    let config = config::read(config::Files {
        ini: ini.as_deref().zip(ini_text.as_deref()),
        section,
        pyproject: pyproject_text.as_deref(),
    })?;
    Ok(config.map(|config| Found {
        root: root.to_owned(),
        files: ini.into_iter().chain(pyproject).collect(),
        config,
    }))
}

/// A folder with `env.py`: the configuration is beside it, or there is none.
fn find_scripts(folder: &Path, section: &str) -> Result<Option<Found>> {
    if !project_files::has_file(folder, "env.py") {
        return Ok(None);
    }
    let above = folder.join("..");
    let there = |name: &str| project_files::has_file(&above, name).then(|| name.to_owned());
    if let Some(found) = configured(&above, there(INI), there(PYPROJECT), section)? {
        return Ok(Some(found));
    }
    let config = AlembicConfig { script_location: Location::from("."), ..AlembicConfig::default() };
    Ok(Some(Found { root: folder.to_owned(), files: Vec::new(), config }))
}

fn read(found: Found) -> Result<AlembicProject> {
    let Found { root, files, config } = found;
    let absolute = absolute(&root)?;
    let from = elsewhere(&root, &config)?;
    let within = |location: &Location| match &from {
        Some(from) => location.seen_from(from).within(&absolute),
        None => location.within(&absolute),
    };
    let script_location = within(&config.script_location)?;
    let mut version_locations = Vec::new();
    for location in &config.version_locations {
        let folder = within(location)?;
        if !version_locations.contains(&folder) {
            version_locations.push(folder);
        }
    }
    if version_locations.is_empty() {
        version_locations.push(join(&script_location, "versions"));
    }
    let config_file = files.first().cloned();
    let mut paths: BTreeSet<String> = files.into_iter().collect();
    let mut revision_paths = BTreeSet::new();
    for folder in std::iter::once(&script_location).chain(&version_locations) {
        // Alembic itself skips a folder that is not there, and finds no revisions.
        if !project_files::has_folder(&root, folder) {
            return Err(Error::new(
                Kind::NotFound,
                format!("the migration project has no folder {}", root.join(folder).display()),
            )
            .hint("mend the Alembic configuration, or run with --no-migrations"));
        }
        paths.extend(project_files::list(&root, folder, config.sourceless)?);
    }
    for folder in &version_locations {
        revision_paths.extend(revisions_in(folder, &paths, &config));
    }
    let files: Vec<ProjectFile> =
        paths.iter().map(|path| project_files::read(&root, path)).collect::<Result<_>>()?;
    let (mut revisions, mut unreadable) = (Vec::new(), Vec::new());
    for file in files.iter().filter(|file| revision_paths.contains(&file.path)) {
        match revision_file::read(&file.path, &file.content) {
            Ok(revision) => revisions.push(revision),
            Err(problem) => unreadable.push(problem),
        }
    }
    Ok(AlembicProject {
        root,
        config_file,
        script_location,
        version_locations,
        files,
        revisions,
        unreadable,
    })
}

/// The folder in which Alembic is run for the project: a configuration may name folders from there.
pub fn run_in(project: &AlembicProject, sought: &Sought) -> Result<PathBuf> {
    let from = match seek(sought)? {
        Some(found) => elsewhere(&found.root, &found.config)?,
        None => None,
    };
    Ok(from.map_or_else(|| project.root.clone(), PathBuf::from))
}

/// Alembic takes relative folders from where it is run: that is the project's folder as a rule, and
/// where the scripts are not there, the current one, from which the configuration was named.
fn elsewhere(root: &Path, config: &AlembicConfig) -> Result<Option<String>> {
    let (usual, current) = (absolute(root)?, absolute(Path::new("."))?);
    let is_there = |location: &Location| {
        location.within(&usual).is_ok_and(|folder| project_files::has_folder(root, &folder))
    };
    let location = &config.script_location;
    let only_here = !is_there(location) && is_there(&location.seen_from(&current));
    Ok(only_here.then_some(current))
}

fn absolute(folder: &Path) -> Result<String> {
    let absolute = std::path::absolute(folder)
        .map_err(|error| Error::io(format!("cannot find {}", folder.display()), error))?;
    Ok(absolute.to_string_lossy().into_owned())
}

/// The files of a folder that Alembic loads.
fn revisions_in(folder: &str, paths: &BTreeSet<String>, config: &AlembicConfig) -> Vec<String> {
    let loaded = |path: &&String| {
        let Some(below) = below(path, folder) else { return false };
        let (above, name) = below.rsplit_once('/').unwrap_or(("", below));
        let cached = above == "__pycache__" || above.ends_with("/__pycache__");
        let in_reach = above.is_empty() || config.recursive || above == "__pycache__";
        in_reach
            && revision_file::is_revision_file(name, config.sourceless)
            && !(cached && name.ends_with(".py"))
            && !has_source(path, paths)
    };
    paths.iter().filter(loaded).cloned().collect()
}

/// Whether a compiled file stands for a source file that is there, which Alembic takes instead.
fn has_source(path: &str, paths: &BTreeSet<String>) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
    if ending == "py" {
        return false;
    }
    match folder.strip_suffix("__pycache__") {
        None => {
            paths.contains(&join(folder, &format!("{stem}.py")))
                || (ending == "pyo" && paths.contains(&join(folder, &format!("{stem}.pyc"))))
        }
        Some(above) => {
            let stem = name.split('.').next().unwrap_or(name);
            let of_same_name = |other: &&String| {
                other
                    .strip_prefix(above)
                    .is_some_and(|rest| !rest.contains('/') && rest.split('.').next() == Some(stem))
            };
            paths.iter().any(|other| of_same_name(&other))
        }
    }
}

fn below<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    if folder.is_empty() { Some(path) } else { path.strip_prefix(folder)?.strip_prefix('/') }
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// Whether connection strings are usually written into such files.
fn is_configuration(path: &str) -> bool {
    [".ini", ".toml", ".env", ".py"].iter().any(|ending| path.ends_with(ending))
}
