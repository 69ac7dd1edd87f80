//! The exchange of a project's folders as whoever runs it hears of it.

use super::project;
use crate::error::Result;
use crate::ops::observer::Observer;
use crate::store::tree_swap::{self, NewTree, ProjectLock, Recovered, Staged};

/// Ends or undoes what a killed run has begun in a project; the answer is whether there was anything.
pub fn recover(lock: &ProjectLock, look_only: bool, observer: &dyn Observer) -> Result<bool> {
    if look_only {
        return project::check_settled(lock.root()).map(|()| false);
    }
    let Some(archive) = tree_swap::pending_archive(lock.root())? else { return Ok(false) };
    let done = match lock.recover()? {
        None => return Ok(false),
        Some(Recovered::Finished) => {
            String::from("exchanged the folders of the migrations: parked the old ones")
        }
        Some(Recovered::Undone(others)) => {
            let done = "begun to exchange the folders of the migrations: undid that";
            match others.is_empty() {
                true => String::from(done),
                false => format!(
                    "{done}, and kept what others had put into the new ones: {}",
                    tree_swap::named(&others)
                ),
            }
        }
    };
    observer.warn(&format!("a run that was killed had {done}; its archive is {archive}"));
    Ok(true)
}

/// Writes the new folders beside the old ones, and says what was in their way.
pub fn stage(lock: &ProjectLock, trees: Vec<NewTree>, observer: &dyn Observer) -> Result<Staged> {
    lock.stage(trees, &mut |place| {
        observer.warn(&format!(
            "{} is what a run that was killed has left, the old revisions perhaps, and its journal is gone: look at it before it is removed",
            place.display()
        ));
    })
}
