//! `pgark show` as it is typed.

use super::Common;
use clap::Args;

/// Show what an archive's manifest says.
///
/// Shows what the manifest inside an archive says. Where the archive is damaged or gone, its
/// manifest in manifests/ is shown, and the exit code says what is wrong.
#[derive(Debug, Args)]
pub struct Show {
    /// Path of the archive, its name, a unique beginning of it, latest:DATABASE, or latest.
    pub archive: String,
    /// List the tables.
    #[arg(long)]
    pub tables: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
}
