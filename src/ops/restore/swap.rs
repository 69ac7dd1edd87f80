//! Restore beside the target: a new database is filled and proved under another name, and takes
//! the target's name in one transaction. There is no moment of half a database.

use super::full::{self, Failure};
use super::{Options, Summary};
use crate::archive::reader::ArchiveReader;
use crate::error::{Error, Kind, Result};
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::Observer;
use crate::pg::ident::quote;
use crate::pg::session::{Purpose, Session};
use crate::pg::{connect, database};
use chrono::Utc;

/// How often the swap is tried when sessions come back after they were ended.
const ATTEMPTS: usize = 10;

/// How the new database takes the target's name.
pub struct How<'a> {
    pub swap: bool,
    pub disconnect: bool,
    pub maintenance: &'a str,
}

/// Restores into a new database and gives it the target's name.
pub fn run(
    reader: &ArchiveReader,
    options: &Options,
    how: &How<'_>,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Summary> {
    let target = connect::database_name(&options.connection)?;
    if target == how.maintenance {
        return Err(Error::refused(format!(
            "database \"{target}\" is the one that pgark has to connect to meanwhile"
        ))
        .hint("name another with --maintenance-db"));
    }
    let mut session = Session::open(&options.connection, Some(how.maintenance), Purpose::Write)?;
    interrupt.register(&session);
    let owner = database::owner(&mut session, &target)?;
    if owner.is_some() {
        check_swap(&mut session, &target, how)?;
    }
    for left_over in database::beginning_with(&mut session, &format!("{target}_pgark_"))? {
        observer.warn(&format!(
            "database \"{left_over}\" is left over from a restore that was killed; drop it when no restore runs"
        ));
    }
    let now = Utc::now().format("%Y%m%d_%H%M%S");
    let staged = database::suffixed(&target, &format!("_pgark_{now}"));
    let kept = database::suffixed(&target, &format!("_before_{now}"));
    database::create(&mut session, &staged, &reader.manifest().source, owner.as_deref())?;
    let restored = full::into_empty(reader, options, Some(&staged), observer, interrupt);
    let mut summary = match restored {
        Ok(summary) => summary,
        // The rows are there and proved: they are worth more than a clean table of databases.
        Err(Failure::Late(error)) => {
            return Err(interrupt.reason(error).hint(format!(
                "the restored database is \"{staged}\"; mend it there, DROP SCHEMA pgark_restore_unfinished CASCADE in it, and then {}",
                rename_by_hand(&target, &staged, &kept, owner.is_some())
            )));
        }
        Err(Failure::Early(error)) => {
            // The session that is registered for interruption may go on being cancelled.
            let removed = Session::open(&options.connection, Some(how.maintenance), Purpose::Write)
                .and_then(|mut session| database::remove(&mut session, &staged));
            return Err(match removed {
                Ok(()) => error,
                Err(_) => interrupt
                    .reason(error)
                    .hint(format!("DROP DATABASE \"{staged}\", which is left over")),
            });
        }
    };
    observer.phase("giving the new database its name", None);
    let renames: Vec<(&str, &str)> = match owner {
        Some(_) => vec![(&target, &kept), (&staged, &target)],
        None => vec![(&staged, &target)],
    };
    let copied = match owner {
        Some(_) => database::copy_settings(&mut session, &target, &staged),
        None => Ok(Vec::new()),
    };
    let renamed = copied.and_then(|lost| {
        for setting in lost {
            observer.warn(&format!(
                "a setting of \"{target}\" cannot be given to the new database: {setting}"
            ));
        }
        rename(&mut session, &renames, &target, how)
    });
    renamed.map_err(|error| {
        interrupt.reason(error).hint(format!(
            "the restored and proved database is \"{staged}\"; when nobody is connected, {}",
            rename_by_hand(&target, &staged, &kept, owner.is_some())
        ))
    })?;
    summary.kept_as = owner.map(|_| kept);
    summary.database = target;
    Ok(summary)
}

fn rename_by_hand(target: &str, staged: &str, kept: &str, exists: bool) -> String {
    let (target, staged, kept) = (quote(target), quote(staged), quote(kept));
    let first = match exists {
        true => format!("ALTER DATABASE {target} RENAME TO {kept}; "),
        false => String::new(),
    };
    format!("{first}ALTER DATABASE {staged} RENAME TO {target}")
}

/// What would make the swap fail in the end is said at the beginning.
fn check_swap(session: &mut Session, target: &str, how: &How<'_>) -> Result<()> {
    if !how.swap {
        return Err(Error::refused(format!("database \"{target}\" exists"))
            .hint("--swap replaces it, and keeps the old one under another name"));
    }
    let connected = database::sessions(session, target)?;
    if connected > 0 && !how.disconnect {
        return Err(Error::new(
            Kind::Locked,
            format!("{connected} sessions are connected to \"{target}\""),
        )
        .hint(
            "stop the application, or let pgark end the sessions at the swap with --disconnect",
        ));
    }
    Ok(())
}

fn rename(
    session: &mut Session,
    renames: &[(&str, &str)],
    target: &str,
    how: &How<'_>,
) -> Result<()> {
    for _ in 0..ATTEMPTS {
        if how.disconnect {
            database::disconnect(session, target)?;
        }
        match database::rename(session, renames) {
            Err(error) if error.kind() == Kind::Locked && how.disconnect => {}
            result => return result,
        }
    }
    database::rename(session, renames)
}
