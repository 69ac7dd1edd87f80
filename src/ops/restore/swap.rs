//! Restore beside the target: a new database is filled and proved under another name, and takes
//! the target's name in one transaction. There is no moment of half a database.

use super::full::{self, Failure};
use super::late::Advice;
use super::origin::Origin;
use super::{Options, Summary, adapt, finish, revisions, roles, tell_target};
use crate::error::{Error, Kind, Result};
use crate::model::connection::Connection;
use crate::model::server::DatabaseProperties;
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::Observer;
use crate::pg::database::NewDatabase;
use crate::pg::ident::quote;
use crate::pg::session::{Purpose, Session};
use crate::pg::{connect, database};
use crate::rules::leave_out;
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
    origin: &dyn Origin,
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
    let doing = match how.swap {
        true => "restoring into a new database, which then takes the place of",
        false => "restoring into a new database, which then becomes",
    };
    let before = |error| interrupt.leaving(error, "no database was created or changed");
    let mut session = interrupt
        .open(&options.connection, Some(how.maintenance), Purpose::Write)
        .map_err(before)?;
    tell_target(doing, &target, &session, observer);
    let replaced = database::properties(&mut session, &target).map_err(before)?;
    if replaced.is_some() {
        check_swap(&mut session, &target, how).map_err(before)?;
        revisions::compare_replaced(origin, options, observer, interrupt).map_err(before)?;
    }
    let beginning = format!("{target}_pgark_");
    for left_over in database::beginning_with(&mut session, &beginning).map_err(before)? {
        observer.warn(&format!(
            "database \"{left_over}\" is left over from a restore that was killed or is to be ended by hand; drop it when no restore runs"
        ));
    }
    let (staged, kept) = free_names(&mut session, &target).map_err(before)?;
    let archived = archived(origin, options);
    let properties = replaced.as_ref().or(archived.as_ref());
    let new = NewDatabase {
        name: &staged,
        like: &origin.manifest().source,
        locale: options.locale.as_ref(),
        icu_rules: origin.manifest().database.as_ref().and_then(|d| d.icu_rules.as_deref()),
        owner: properties
            .map(|properties| properties.owner.as_str())
            .filter(|_| replaced.is_some() || !options.no_owner),
        tablespace: properties.and_then(|properties| properties.tablespace.as_deref()),
    };
    let created_roles =
        make_roles(&mut session, origin, new.owner, options, observer).map_err(before)?;
    if let Err(error) = database::create(&mut session, &new) {
        roles::take_back(&mut session, &created_roles, observer);
        return Err(before(error));
    }
    let restored = full::into_empty(origin, options, Some(&staged), observer, interrupt);
    let mut summary = match restored {
        Ok(summary) => summary,
        // The rows are there and proved: they are worth more than a clean table of databases.
        Err(Failure::Late(error, advice)) => {
            return Err(beside(
                interrupt.reason(error),
                &staged,
                format!(
                    "the restored database is \"{staged}\"; create there what is missing, DROP SCHEMA pgark_restore_unfinished CASCADE in it, and then {}",
                    rename_by_hand(&target, &staged, &kept, replaced.is_some())
                ),
                &advice,
            ));
        }
        Err(Failure::Early(error)) => {
            // The session that is registered for interruption may go on being cancelled.
            let removed = Session::open(&options.connection, Some(how.maintenance), Purpose::Write)
                .and_then(|mut session| {
                    database::remove(&mut session, &staged)?;
                    roles::take_back(&mut session, &created_roles, observer);
                    Ok(())
                });
            let error = interrupt.reason(error);
            let as_before = match replaced {
                Some(_) => format!("database \"{target}\" is as it was"),
                None => format!("there is no database \"{target}\", as before"),
            };
            return Err(match removed {
                Ok(()) => error.while_doing(format!(
                    "the restore failed; the new database was removed, and {as_before}"
                )),
                Err(second) => error
                    .while_doing(format!(
                        "the restore failed, and {as_before}; the new database could not be removed ({second})"
                    ))
                    .hint(format!("DROP DATABASE {}, which is left over", quote(&staged))),
            });
        }
    };
    observer.phase("giving the new database its name", None);
    let renames: Vec<(&str, &str)> = match replaced {
        Some(_) => vec![(&target, &kept), (&staged, &target)],
        None => vec![(&staged, &target)],
    };
    let settled = match replaced {
        Some(_) => copy_settings(&mut session, &target, &staged, observer),
        None => own_settings(origin, options, &staged, observer),
    };
    let renamed = settled.and_then(|refused| {
        summary.refused_settings.extend(refused);
        if let Some(properties) = properties {
            database::set_properties(&mut session, &staged, properties)?;
        }
        rename(&mut session, &renames, &target, how)
    });
    renamed.map_err(|error| {
        beside(
            interrupt.reason(error),
            &staged,
            format!(
                "the restored and proved database is \"{staged}\"; when nobody is connected, {}",
                rename_by_hand(&target, &staged, &kept, replaced.is_some())
            ),
            &Advice::default(),
        )
    })?;
    summary.kept_as = replaced.map(|_| kept);
    summary.database = target;
    summary.created_roles.extend(created_roles);
    Ok(summary)
}

/// Names for the new database and for the old one that no database has: several restores may begin
/// in one second.
fn free_names(session: &mut Session, target: &str) -> Result<(String, String)> {
    let now = Utc::now().format("%Y%m%d_%H%M%S").to_string();
    let mut moment = now.clone();
    for number in 2_u32.. {
        let staged = database::suffixed(target, &format!("_pgark_{moment}"));
        let kept = database::suffixed(target, &format!("_before_{moment}"));
        if !database::exists(session, &staged)? && !database::exists(session, &kept)? {
            return Ok((staged, kept));
        }
        moment = format!("{now}_{number}");
    }
    Err(Error::failed("there are too many databases of one moment"))
}

fn make_roles(
    session: &mut Session,
    origin: &dyn Origin,
    owner: Option<&str>,
    options: &Options,
    observer: &dyn Observer,
) -> Result<Vec<String>> {
    let objects = leave_out::without(adapt::schema(origin, options)?, &options.leave_out)?;
    let (manifest, objects) = (origin.manifest(), &objects.objects);
    roles::make_for_new_database(session, manifest, objects, owner, options, observer)
}

/// What the archive says of its database, in the target's terms.
fn archived(origin: &dyn Origin, options: &Options) -> Option<DatabaseProperties> {
    let mut properties = origin.manifest().database.clone()?;
    let wanted = properties.tablespace.take().filter(|_| !options.no_tablespaces);
    properties.tablespace = wanted.map(|name| options.tablespace_map.of(&name).to_owned());
    Some(properties)
}

/// Gives the new database the settings of the one that it replaces: they belong to the place.
fn copy_settings(
    session: &mut Session,
    from: &str,
    to: &str,
    observer: &dyn Observer,
) -> Result<Vec<String>> {
    let settings = database::settings(&mut session.client, from)?;
    let refused = database::set_settings(session, to, &settings)?;
    for setting in &refused {
        observer.warn(&format!(
            "a setting of \"{from}\" cannot be given to the new database: {setting}"
        ));
    }
    Ok(refused)
}

/// Gives the new database the archive's settings.
fn own_settings(
    origin: &dyn Origin,
    options: &Options,
    staged: &str,
    observer: &dyn Observer,
) -> Result<Vec<String>> {
    let objects = adapt::schema(origin, options)?;
    let mut session = Session::open(&options.connection, Some(staged), Purpose::Write)?;
    finish::settings(&mut session, &objects, options, observer)
}

fn rename_by_hand(target: &str, staged: &str, kept: &str, exists: bool) -> String {
    let (target, staged, kept) = (quote(target), quote(staged), quote(kept));
    let first = match exists {
        true => format!("ALTER DATABASE {target} RENAME TO {kept}; "),
        false => String::new(),
    };
    format!("{first}ALTER DATABASE {staged} RENAME TO {target}")
}

/// The failure of a restore that leaves the new database. It is never one that passes by itself: each
/// further try would leave one more.
fn beside(error: Error, staged: &str, mended: String, advice: &Advice) -> Error {
    let error = match error.kind() {
        Kind::Locked => error.of_kind(Kind::Failed),
        _ => error,
    };
    let staged = quote(staged);
    let without = match advice.flags.as_slice() {
        [] => String::new(),
        flags => format!(" (perhaps with {})", flags.join(" ")),
    };
    let lost = advice.lost.as_ref().map(|lost| format!("{lost}; or ")).unwrap_or_default();
    error.hint(format!(
        "{lost}{mended}; or DROP DATABASE {staged} before another try{without}, which makes a new one"
    ))
}

/// Fails where a new database cannot take the target's name.
pub fn check_place(session: &mut Session, how: &How<'_>, connection: &Connection) -> Result<()> {
    let target = connect::database_name(connection)?;
    match database::exists(session, &target)? {
        true => check_swap(session, &target, how),
        false => Ok(()),
    }
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
            match connected {
                1 => format!("1 session is connected to \"{target}\""),
                _ => format!("{connected} sessions are connected to \"{target}\""),
            },
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
