//! `pgark check` as it is typed.

use super::Backup;
use clap::Args;

/// Look whether a backup would succeed now, and what would mend it.
///
/// Takes the options of `pgark backup`, and looks whether that backup would succeed now: the
/// connection, every privilege that is missing with the GRANT that gives it, what would be covered
/// and left out, locks that it would wait for, room on the disk, and whether the repository can be
/// written to. Nothing is changed and nothing is waited for. The exit code is that which the backup
/// would end with; warnings leave it at 0.
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub backup: Backup,
}
