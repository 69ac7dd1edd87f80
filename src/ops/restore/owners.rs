//! A superuser gives things to whom he likes. From everybody else PostgreSQL takes them only for owners
//! who could have made them where they lie.

use super::Options;
use crate::error::{Error, Result};
use crate::model::name::enumerate;
use crate::model::schema::{ObjectClass, SchemaObject};
use crate::pg::ddl::foreign;
use crate::pg::lending::{self, Lent, Place};
use crate::pg::session::Session;
use std::collections::{BTreeMap, BTreeSet};

/// For as long as objects get their owners.
pub struct Owners {
    /// Who needs something of what is there before the restore.
    before: Needs,
    /// The same of what it makes.
    made: Needs,
    lent: Lent,
}

type Needs = BTreeMap<Place, BTreeSet<String>>;

impl Owners {
    /// What the owners of these objects need, and the role that makes them.
    ///
    /// # Errors
    /// The server's.
    pub fn of(session: &mut Session, objects: &[SchemaObject], options: &Options) -> Result<Self> {
        let mut needs = Needs::new();
        for object in if session.facts.superuser { &[] } else { objects } {
            let Some(place) = place_of(object, &session.facts.database) else { continue };
            let roles = needs.entry(place).or_default();
            roles.insert(session.facts.role.clone());
            roles.extend(object.owner.clone().filter(|_| !options.no_owner));
        }
        let (mut before, mut made) = (Needs::new(), Needs::new());
        for (place, roles) in needs {
            let is_there = match &place {
                Place::Schema(name) => name == "public",
                Place::Database(_) => true,
                Place::Wrapper(name) => lending::has_wrapper(session, name)?,
            };
            if is_there { &mut before } else { &mut made }.insert(place, roles);
        }
        Ok(Self { before, made, lent: Lent::default() })
    }

    /// The places that are there before a restore must let the owners in.
    ///
    /// # Errors
    /// [`Kind::Refused`](crate::error::Kind::Refused) where they do not, and the role cannot change that.
    pub fn check(&self, session: &mut Session) -> Result<()> {
        for (place, owners) in &self.before {
            let lacking = lending::lacking(session, place, owners)?;
            if !lacking.is_empty() && !lending::may_lend(session, place)? {
                return Err(Error::refused(format!(
                    "{} {}, and \"{}\" cannot let them",
                    enumerate(&lacking),
                    place.denied(),
                    session.facts.role
                ))
                .hint(format!("GRANT {} TO them, or restore as a superuser", place.sql())));
            }
        }
        Ok(())
    }

    /// Lends what the owners need where a restore begins.
    ///
    /// # Errors
    /// The server's.
    pub fn begin(&mut self, session: &mut Session) -> Result<()> {
        self.before.iter().try_for_each(|(place, owners)| self.lent.lend(session, place, owners))
    }

    /// Lends what they need of what has just been made, a schema after it was given to its own owner.
    ///
    /// # Errors
    /// The server's.
    pub fn made(&mut self, session: &mut Session, object: &SchemaObject) -> Result<()> {
        use ObjectClass::{Extension, ForeignDataWrapper, Schema};
        for (place, owners) in &self.made {
            let is_made = match (place, object.class) {
                (Place::Schema(name), Schema) => *name == object.name,
                (Place::Wrapper(name), Extension | ForeignDataWrapper) => {
                    lending::has_wrapper(session, name)?
                }
                _ => false,
            };
            if is_made {
                self.lent.lend(session, place, owners)?;
            }
        }
        Ok(())
    }

    /// Takes back what has been lent, before the privileges are made what they are to be.
    ///
    /// # Errors
    /// The server's.
    pub fn end(&mut self, session: &mut Session) -> Result<()> {
        self.lent.take_back(session)
    }
}

/// What the owner of an object needs a privilege on.
fn place_of(object: &SchemaObject, database: &str) -> Option<Place> {
    use ObjectClass::{ForeignServer, Language, Publication, Subscription};
    match (&object.schema, object.class) {
        (Some(schema), _) => Some(Place::Schema(schema.clone())),
        (None, Publication | Subscription | Language) => Some(Place::Database(database.to_owned())),
        (None, ForeignServer) => foreign::wrapper_of(object).map(Place::Wrapper),
        _ => None,
    }
}
