//! The migration project's files and the state of its ledger go into the archive.

use crate::archive::manifest::{Ledger, Member, MigrationBundle, MigrationFile};
use crate::archive::writer::ArchiveWriter;
use crate::error::{Error, Kind, Result};
use crate::ops::observer::Observer;
use crate::pg::catalog::{self, CatalogTable};
use crate::pg::session::Session;
use crate::rules::alembic_config::{self, AlembicConfig};
use crate::rules::secrets;
use crate::store::project_files::{self, ProjectFile};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A project's files, read but not yet written.
pub struct Collected {
    bundle: MigrationBundle,
    files: Vec<ProjectFile>,
}

impl Collected {
    /// What was found, for people.
    pub fn describe(&self) -> String {
        format!(
            "{} files of an {} project, revisions in {}",
            self.files.len(),
            self.bundle.tool,
            self.bundle.version_locations.join(", ")
        )
    }
}

/// Where to look for the migration project.
#[derive(Clone, Debug, Default)]
pub enum Project {
    /// In the current folder; it is no error if there is none.
    #[default]
    Find,
    /// In this folder, where one must be.
    In(PathBuf),
    /// Nowhere.
    None,
}

/// Finds and reads the migration project.
///
/// # Errors
/// No project in the folder that was named; a configuration that points to folders which are not
/// there, or that only Python could resolve.
pub fn collect(project: &Project, observer: &dyn Observer) -> Result<Option<Collected>> {
    let found = match project {
        Project::None => return Ok(None),
        Project::Find => find(Path::new("."))?,
        Project::In(folder) => match find(folder)? {
            None => {
                return Err(Error::new(
                    Kind::NotFound,
                    format!("no migration project in {}", folder.display()),
                )
                .hint("name the folder of alembic.ini, of a pyproject.toml with [tool.alembic], or of env.py"));
            }
            found => found,
        },
    };
    let Some((root, config_file, config)) = found else {
        observer.note("no migration project in this folder; name one with --migrations DIR");
        return Ok(None);
    };
    let script_location = local(config.script_location.as_deref().unwrap_or("migrations"))?;
    let mut locations =
        config.version_locations.iter().map(|l| local(l)).collect::<Result<Vec<_>>>()?;
    if locations.is_empty() {
        locations.push(join(&script_location, "versions"));
    }
    let mut paths = BTreeSet::new();
    for name in ["alembic.ini", "pyproject.toml"] {
        if project_files::has_file(&root, name) {
            paths.insert(name.to_owned());
        }
    }
    for folder in std::iter::once(&script_location).chain(&locations) {
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
    let files: Vec<ProjectFile> =
        paths.iter().map(|path| project_files::read(&root, path)).collect::<Result<_>>()?;
    for file in files.iter().filter(|file| is_configuration(&file.path)) {
        if secrets::holds_password(&String::from_utf8_lossy(&file.content)) {
            observer.warn(&format!(
                "{} holds a connection string with a password, and goes into the archive as it is",
                root.join(&file.path).display()
            ));
        }
    }
    let bundle = MigrationBundle {
        tool: String::from("alembic"),
        config: config_file,
        script_location: Some(script_location),
        version_locations: locations,
        files: Vec::new(),
    };
    Ok(Some(Collected { bundle, files }))
}

/// Whether connection strings are usually written into such files.
fn is_configuration(path: &str) -> bool {
    [".ini", ".toml", ".env", ".py"].iter().any(|ending| path.ends_with(ending))
}

type Found = (PathBuf, Option<String>, AlembicConfig);

fn find(folder: &Path) -> Result<Option<Found>> {
    let text = |name: &str| -> Result<Option<String>> {
        if !project_files::has_file(folder, name) {
            return Ok(None);
        }
        let file = project_files::read(folder, name)?;
        String::from_utf8(file.content).map(Some).map_err(|_| {
            Error::new(Kind::Usage, format!("{} is not UTF-8", folder.join(name).display()))
        })
    };
    let ini = text("alembic.ini")?.map(|text| alembic_config::from_ini(&text)).transpose()?;
    let toml = match text("pyproject.toml")? {
        Some(text) => alembic_config::from_pyproject(&text)?,
        None => None,
    };
    let file = match (&ini, &toml) {
        (Some(_), _) => "alembic.ini",
        (None, Some(_)) => "pyproject.toml",
        (None, None) => return find_scripts(folder),
    };
    let config = ini.unwrap_or_default().or(toml.unwrap_or_default());
    Ok(Some((folder.to_owned(), Some(file.to_owned()), config)))
}

/// A folder with `env.py`: the configuration is beside it, or there is none.
fn find_scripts(folder: &Path) -> Result<Option<Found>> {
    if !project_files::has_file(folder, "env.py") {
        return Ok(None);
    }
    let above = folder.join("..");
    if project_files::has_file(&above, "alembic.ini") {
        return find(&above);
    }
    let config =
        AlembicConfig { script_location: Some(String::from(".")), ..AlembicConfig::default() };
    Ok(Some((folder.to_owned(), None, config)))
}

/// A folder's path relative to the project, without `.`; it must lie inside.
fn local(path: &str) -> Result<String> {
    if path.contains(':') {
        return Err(Error::new(
            Kind::Usage,
            format!("the migrations lie in a Python package ({path}), which only Python can find"),
        )
        .hint("name the folder of env.py with --migrations DIR"));
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if path.starts_with('/') || parts.contains(&"..") {
        return Err(Error::new(
            Kind::Usage,
            format!("the migrations lie outside their project: {path}"),
        )
        .hint("name a folder that holds all of them with --migrations DIR"));
    }
    Ok(parts.join("/"))
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// Writes the files into the archive, with their modes.
pub fn append<W: Write>(
    collected: Option<Collected>,
    archive: &mut ArchiveWriter<W>,
    members: &mut Vec<Member>,
) -> Result<Option<MigrationBundle>> {
    let Some(Collected { mut bundle, files }) = collected else { return Ok(None) };
    for file in files {
        let name = format!("migrations/{}", file.path);
        let member = archive.add_with_mode(&name, &file.content, file.mode)?;
        bundle.files.push(MigrationFile {
            path: file.path,
            mode: file.mode,
            size: member.size,
            sha256: member.sha256.clone(),
        });
        members.push(member);
    }
    Ok(Some(bundle))
}

/// The ledgers that the role can see, with their rows.
pub fn ledgers(session: &mut Session, tables: &[CatalogTable]) -> Result<Vec<Ledger>> {
    let readable: BTreeSet<_> =
        tables.iter().filter(|t| t.readable && !t.rows_hidden).map(|t| t.name.clone()).collect();
    let mut ledgers = Vec::new();
    for table in catalog::alembic_ledgers(&mut session.client)? {
        if readable.contains(&table) {
            let revisions = catalog::alembic_revisions(&mut session.client, &table)?;
            ledgers.push(Ledger { tool: String::from("alembic"), table, revisions });
        }
    }
    Ok(ledgers)
}
