//! How triggers and foreign keys of tables that are there are kept from changing or refusing the
//! rows: by what the role is allowed to do (dump-correctness 3.4).

use super::targets::Target;
use crate::error::{Error, Kind, Result};
use crate::model::name::enumerate;
use crate::ops::observer::Observer;
use crate::pg::references::{self, ForeignKey, Trigger};
use crate::pg::session::Session;
use crate::rules::load_order::load_order;
use std::collections::BTreeSet;

/// The way that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// `session_replication_role = replica`: neither triggers nor foreign keys act.
    Replica,
    /// The owner disables triggers, and defers the foreign keys of cycles.
    Owner,
    /// Parents before children; there is nothing to switch off.
    Order,
}

/// A way, the order of the tables, and what must be put back in the end.
pub struct Arrangement {
    way: Way,
    order: Vec<Vec<usize>>,
    /// Triggers that would act, with the state that they get back.
    triggers: Vec<Trigger>,
    /// Foreign keys within cycles.
    cyclic: Vec<ForeignKey>,
    /// Foreign keys that the loaded tables have a part in.
    touched: Vec<ForeignKey>,
    /// Tables with a foreign key to themselves.
    to_themselves: BTreeSet<usize>,
}

impl Arrangement {
    /// Probes what the role may do, and chooses.
    ///
    /// # Errors
    /// [`Kind::Refused`] when triggers would change the rows, or a cycle of foreign keys cannot
    /// be deferred, and the role may not do anything about it.
    pub fn choose(session: &mut Session, targets: &[Target<'_>]) -> Result<Self> {
        let keys = references::foreign_keys(&mut session.client)?;
        let under = |oid: u32| -> Vec<usize> {
            let below = |target: &Target<'_>| target.oid == oid || target.above_oids.contains(&oid);
            (0..targets.len()).filter(|position| below(&targets[*position])).collect()
        };
        let mut edges = Vec::new();
        let mut touched = Vec::new();
        for key in keys {
            let (from, to) = (under(key.table_oid), under(key.referenced_oid));
            for child in &from {
                edges.extend(to.iter().map(|parent| (*child, *parent)));
            }
            if !from.is_empty() || !to.is_empty() {
                touched.push(key);
            }
        }
        let to_themselves =
            edges.iter().filter(|(child, parent)| child == parent).map(|(child, _)| *child);
        let to_themselves = to_themselves.collect();
        let order = load_order(targets.len(), &edges);
        let group_of = |table: usize| order.iter().position(|group| group.contains(&table));
        let is_cyclic = |key: &&ForeignKey| {
            let (from, to) = (under(key.table_oid), under(key.referenced_oid));
            from.iter().any(|child| {
                to.iter().any(|parent| child != parent && group_of(*child) == group_of(*parent))
            })
        };
        let cyclic: Vec<ForeignKey> = touched.iter().filter(is_cyclic).cloned().collect();
        let mut oids: Vec<u32> = targets.iter().map(|target| target.oid).collect();
        oids.extend(
            targets.iter().filter(|t| t.entry.load_through.is_some()).flat_map(|t| &t.above_oids),
        );
        let triggers = references::triggers(&mut session.client, &oids)?;
        let replica = references::become_replica(session)?;
        let acting = |trigger: &Trigger| match trigger.enabled {
            'D' => false,
            'A' => true,
            'R' => replica,
            _ => !replica,
        };
        let triggers: Vec<Trigger> = triggers.into_iter().filter(acting).collect();
        oids.extend(cyclic.iter().map(|key| key.table_oid));
        let way = if replica {
            Way::Replica
        } else if references::owns_all(&mut session.client, &oids)? {
            Way::Owner
        } else {
            Way::Order
        };
        let arrangement = Self { way, order, triggers, cyclic, touched, to_themselves };
        arrangement.check()?;
        Ok(arrangement)
    }

    /// For the operator: which way, and why.
    pub fn describe(&self) -> String {
        match self.way {
            Way::Replica => String::from(
                "switched off for this transaction (session_replication_role); foreign keys are checked afterwards",
            ),
            Way::Owner => format!(
                "as owner: {} triggers disabled meanwhile, {} foreign keys deferred, parents before children",
                self.triggers.len(),
                self.cyclic.len()
            ),
            Way::Order => String::from(
                "left as they are, parents before children (the role owns not all tables)",
            ),
        }
    }

    /// Whether foreign keys will be altered, which needs the tables alone.
    pub fn alters_keys(&self) -> bool {
        self.way == Way::Owner && !self.cyclic.is_empty()
    }

    /// Whether the rows of a table may come in several statements: the server may check a foreign
    /// key at the end of each, when the row that is meant is not there yet.
    pub fn may_be_split(&self, table: usize) -> bool {
        self.way == Way::Replica || !self.to_themselves.contains(&table)
    }

    /// Positions of the tables in the order in which they are loaded.
    pub fn order(&self) -> Vec<usize> {
        self.order.concat()
    }

    fn check(&self) -> Result<()> {
        if self.way != Way::Order {
            return Ok(());
        }
        if !self.triggers.is_empty() {
            let triggers: Vec<String> =
                self.triggers.iter().map(|t| format!("{} on {}", t.name, t.table)).collect();
            return Err(Error::refused(format!(
                "triggers would act on the loaded rows, and this role may not disable them: {}",
                enumerate(&triggers)
            ))
            .hint("restore as the tables' owner or a superuser"));
        }
        if let Some(key) = self.cyclic.iter().find(|key| !key.deferral.0) {
            return Err(Error::refused(format!(
                "tables refer to each other in a cycle, and this role may not defer foreign key {} on {}",
                key.name, key.table
            ))
            .hint("restore as the tables' owner or a superuser"));
        }
        Ok(())
    }

    /// Puts triggers and foreign keys to rest.
    pub fn apply(&mut self, session: &mut Session) -> Result<()> {
        if self.way != Way::Order {
            for trigger in &self.triggers {
                references::set_trigger(session, trigger, 'D')?;
            }
        }
        match self.way {
            Way::Replica => Ok(()),
            Way::Owner => self
                .cyclic
                .iter()
                .try_for_each(|key| references::set_deferral(session, key, (true, true))),
            Way::Order => session.execute("SET CONSTRAINTS ALL DEFERRED"),
        }
    }

    /// Puts everything back as it was, and checks the foreign keys that the server did not check.
    pub fn settle(
        &mut self,
        session: &mut Session,
        targets: &[Target<'_>],
        observer: &dyn Observer,
    ) -> Result<()> {
        // Deferred checks are done here; a table with checks outstanding cannot be altered.
        session.execute("SET CONSTRAINTS ALL IMMEDIATE")?;
        if self.way == Way::Replica {
            session.execute("SET LOCAL session_replication_role = origin")?;
            self.check_touched(session, targets, observer)?;
        }
        if self.way == Way::Owner {
            for key in &self.cyclic {
                references::set_deferral(session, key, key.deferral)?;
            }
        }
        if self.way != Way::Order {
            for trigger in &self.triggers {
                references::set_trigger(session, trigger, trigger.enabled)?;
            }
        }
        Ok(())
    }

    fn check_touched(
        &self,
        session: &mut Session,
        targets: &[Target<'_>],
        observer: &dyn Observer,
    ) -> Result<()> {
        if !targets.is_empty() {
            observer.phase("checking foreign keys", None);
        }
        let mut broken = Vec::new();
        for key in self.touched.iter().filter(|key| key.validated) {
            if key.period {
                observer.warn(&format!(
                    "foreign key {} on {} has a PERIOD, and was not checked",
                    key.name, key.table
                ));
            } else if references::has_orphans(session, key)? {
                broken.push(format!("{} on {}", key.name, key.table));
            }
        }
        if broken.is_empty() {
            return Ok(());
        }
        Err(Error::new(
            Kind::Refused,
            format!("the rows would break foreign keys: {}", enumerate(&broken)),
        )
        .hint("restore the referenced tables with them"))
    }
}
