//! Which migration project, as it is typed.

use crate::ops::migrations::project::{Place, Sought};
use clap::Args;
use std::path::PathBuf;

/// Which migration project.
#[derive(Debug, Args)]
pub struct Project {
    /// Folder of the Alembic project, or its configuration file.
    ///
    /// Without it, the project is looked for in the current folder (alembic.ini, pyproject.toml).
    /// Its files are read as they are; Python is not needed.
    #[arg(long, value_name = "DIR")]
    pub migrations: Option<PathBuf>,
    /// Do not look for a migration project.
    #[arg(long, conflicts_with = "migrations")]
    pub no_migrations: bool,
    /// Section of the ini file, as `alembic --name` takes it.
    #[arg(long, value_name = "NAME", default_value = "alembic")]
    pub ini_section: String,
}

impl Project {
    /// Where to look.
    pub fn sought(&self) -> Sought {
        Sought {
            place: match (&self.migrations, self.no_migrations) {
                (Some(path), _) => Place::In(path.clone()),
                (None, true) => Place::None,
                (None, false) => Place::Find,
            },
            section: self.ini_section.clone(),
        }
    }
}
