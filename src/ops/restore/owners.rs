//! A superuser gives things to whom he likes. From everybody else PostgreSQL takes them only for owners
//! who could have made them where they lie.

use super::Options;
use crate::error::{Error, Result};
use crate::model::name::enumerate;
use crate::model::schema::{ObjectClass, SchemaObject};
use crate::pg::lending::{self, Lent, Place};
use crate::pg::session::Session;
use std::collections::{BTreeMap, BTreeSet};

/// For as long as objects get their owners.
pub struct Owners {
    of: BTreeMap<Place, BTreeSet<String>>,
    lent: Lent,
}

impl Owners {
    /// What the owners of these objects need, and the role that makes them.
    pub fn of(session: &Session, objects: &[SchemaObject], options: &Options) -> Self {
        let mut of: BTreeMap<Place, BTreeSet<String>> = BTreeMap::new();
        for object in if session.facts.superuser { &[] } else { objects } {
            use ObjectClass::{Language, Publication, Subscription};
            let place = match (&object.schema, object.class) {
                (Some(schema), _) => Place::Schema(schema.clone()),
                (None, Publication | Subscription | Language) => {
                    Place::Database(session.facts.database.clone())
                }
                _ => continue,
            };
            let roles = of.entry(place).or_default();
            roles.insert(session.facts.role.clone());
            roles.extend(object.owner.clone().filter(|_| !options.no_owner));
        }
        Self { of, lent: Lent::default() }
    }

    /// The places that are there before a restore must let the owners in.
    ///
    /// # Errors
    /// [`Kind::Refused`](crate::error::Kind::Refused) where they do not, and the role cannot change that.
    pub fn check(&self, session: &mut Session) -> Result<()> {
        for (place, owners) in self.of.iter().filter(|(place, _)| is_there_before(place)) {
            let owners: Vec<String> = owners.iter().cloned().collect();
            let lacking = lending::lacking(session, place, &owners)?;
            if !lacking.is_empty() && !lending::may_lend(session, place)? {
                return Err(Error::refused(format!(
                    "{} may create nothing in {place}, where something of theirs is to be, and \"{}\" cannot let them",
                    enumerate(&lacking),
                    session.facts.role
                ))
                .hint(format!("GRANT CREATE ON {} TO them, or restore as a superuser", place.sql())));
            }
        }
        Ok(())
    }

    /// Lends what the owners need where a restore begins.
    ///
    /// # Errors
    /// The server's.
    pub fn begin(&mut self, session: &mut Session) -> Result<()> {
        for (place, owners) in self.of.iter().filter(|(place, _)| is_there_before(place)) {
            self.lent.lend(session, place, &owners.iter().cloned().collect::<Vec<_>>())?;
        }
        Ok(())
    }

    /// Lends what they need in a schema that has just been made, or given to its own owner.
    ///
    /// # Errors
    /// The server's.
    pub fn made(&mut self, session: &mut Session, object: &SchemaObject) -> Result<()> {
        let place = Place::Schema(object.name.clone());
        match self.of.get(&place) {
            Some(owners) if object.class == ObjectClass::Schema => {
                self.lent.lend(session, &place, &owners.iter().cloned().collect::<Vec<_>>())
            }
            _ => Ok(()),
        }
    }

    /// Takes back what has been lent, before the privileges are made what they are to be.
    ///
    /// # Errors
    /// The server's.
    pub fn end(&mut self, session: &mut Session) -> Result<()> {
        self.lent.take_back(session)
    }
}

fn is_there_before(place: &Place) -> bool {
    match place {
        Place::Schema(name) => name == "public",
        Place::Database(_) => true,
    }
}
