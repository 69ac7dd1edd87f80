//! Where the archive would go: can it be written there, and is there room for it.

use super::{Report, State};
use crate::error::{Error, Kind, Result};
use crate::ops::backup;
use crate::ops::list;
use crate::store::place::{self, Place};
use crate::store::repository::Repository;
use indicatif::HumanBytes;

/// Looks at the repository.
pub fn check(report: &mut Report, options: &backup::Options) -> Result<Place> {
    let repository = Repository::at(&options.repository)?;
    let mut last = None;
    for folder in repository.folders() {
        let place = place::survey(&folder)?;
        if !place.writable {
            let why = if place.read_only {
                "its file system is for reading alone"
            } else {
                "no permission"
            };
            return Err(Error::failed(format!("{place} cannot be written to: {why}"))
                .hint("name another repository with --repo, or mend its permissions"));
        }
        last = Some(place);
    }
    let place = last.ok_or_else(|| Error::failed("the repository has no folder"))?;
    if repository.is_being_written()? {
        let text = "another pgark is writing to it now: a backup would be refused";
        report.add("repository", State::Failed(Kind::Locked), text);
    } else if let Some(when) = place.gone_when() {
        report.add("repository", State::Warning, format!("{place}: gone when {when}"));
    } else {
        report.add("repository", State::Fine, format!("{place}, can be written to"));
    }
    Ok(place)
}

/// How many bytes an archive will have, and how that is known.
pub struct Estimate {
    bytes: u64,
    from: String,
}

/// An archive has about the size of the last one of the same tables of the same database; without
/// one, half of what the tables take on the server's disk, which most databases stay well below.
/// `None` if neither is known.
pub fn estimate(
    options: &backup::Options,
    database: &str,
    tables: Option<u64>,
) -> Option<Estimate> {
    let listed = list::Options { database: Some(database.to_owned()), ..list::Options::default() };
    let wanted = backup::recorded(&options.source, options.jobs, options.level);
    let last = list::run(&options.repository, &listed).ok().and_then(|listing| {
        listing.archives.into_iter().rev().find_map(|archive| {
            let facts = archive.facts.ok()?;
            facts.options.same_selection(&wanted).then_some((facts.written_size, archive.name))
        })
    });
    match last {
        Some((bytes, name)) => Some(Estimate { bytes, from: format!("as {name}") }),
        None => tables.map(|tables| Estimate {
            bytes: tables / 2,
            from: format!("half of the tables' {}", HumanBytes(tables)),
        }),
    }
}

/// Compares the free room with the estimate.
pub fn check_room(report: &mut Report, place: &Place, estimate: Option<&Estimate>) {
    let Some(estimate) = estimate else {
        let what =
            format!("{} free; how large the tables are is not known", HumanBytes(place.free));
        return report.add("room", State::Warning, what);
    };
    let state = if place.free < estimate.bytes {
        State::Failed(Kind::NoSpace)
    } else if place.free / 2 < estimate.bytes {
        State::Warning
    } else {
        State::Fine
    };
    let what = format!(
        "{} free, an archive will have about {} ({})",
        HumanBytes(place.free),
        HumanBytes(estimate.bytes),
        estimate.from
    );
    report.add("room", state, what);
}
