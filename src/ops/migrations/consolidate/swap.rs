//! The exchange of the folders: checked while it can be undone, and once more when it cannot.

use super::admission::Admitted;
use super::prepare::Archived;
use super::{Options, Proved, Summary, checks};
use crate::error::Result;
use crate::ops::interrupt::Interrupt;
use crate::ops::migrations::{exchange, new_tree};
use crate::ops::observer::Observer;
use crate::rules::schema_diff::Aspect;
use std::collections::BTreeSet;
use std::time::Duration;

/// All that is needed for it.
pub(super) struct Swap<'a> {
    pub options: &'a Options,
    pub admitted: Admitted,
    pub archived: Archived,
    pub proved: Proved,
    /// In which aspects the live schema may change meanwhile.
    pub ignored: BTreeSet<Aspect>,
}

impl Swap<'_> {
    /// Puts the new folders in the place of the old ones.
    ///
    /// # Errors
    /// The old ones are back, unless they could only not be parked.
    pub(super) fn run(&mut self, observer: &dyn Observer, interrupt: &Interrupt) -> Result<()> {
        observer.phase("exchanging the folders", None);
        interrupt.check()?;
        let Admitted { lock, project, parked, .. } = &self.admitted;
        let files = new_tree::files(project, &self.proved.gone, &self.proved.written);
        let (_, companion) = new_tree::legacy_ini(project, &self.options.sought.section, parked);
        let trees = new_tree::swaps(project, &files, parked, Some(companion))?;
        checks::check_same_files(project, self.options, observer)?;
        let exchange = exchange::stage(lock, trees, observer)?.exchange(&self.archived.name)?;
        // Nobody finds the old files by their names any more, and all can still be undone.
        let checked = exchange
            .check_old(&project.files)
            .map_err(|error| error.hint("run again when nobody works on the migrations"))
            .and_then(|()| self.check_new(observer))
            .and_then(|()| {
                let live = &self.archived.live;
                checks::check_live(live, &self.ignored, &mut self.admitted.held)
            });
        if let Err(error) = checked {
            return Err(exchange.undone(error));
        }
        exchange.park()?;
        self.check_new(observer).map_err(|error| checks::after_parking(error, &self.archived.name))
    }

    fn check_new(&mut self, observer: &dyn Observer) -> Result<()> {
        checks::check_new_files(self.options, &mut self.admitted, &self.proved, observer)
    }

    /// What was done, or would be.
    pub(super) fn summary(self, elapsed: Duration) -> Summary {
        let Self { options, admitted, archived, mut proved, .. } = self;
        let Admitted { project, graph, parked, held, others, .. } = admitted;
        let unread = archived.live.not_carried.iter();
        proved.uncompared.extend(
            unread.map(|object| {
                format!("{} {}, which pgark does not carry", object.class, object.name)
            }),
        );
        let (legacy_ini, _) = new_tree::legacy_ini(&project, &options.sought.section, &parked);
        Summary {
            dry_run: options.dry_run,
            database: held.session.facts.database,
            heads: graph.tips().into_iter().map(str::to_owned).collect(),
            root: project.root,
            proved,
            parked,
            legacy_ini,
            section: options.sought.section.clone(),
            archive: archived.path,
            not_carried: archived.not_carried,
            behind: others.behind,
            not_looked_into: others.not_looked_into,
            elapsed,
        }
    }
}
