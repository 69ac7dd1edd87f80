//! `pgark migrations`: revisions and the database that they have made, kept in step.

pub mod alembic;
pub mod proof;
pub mod scratch;
