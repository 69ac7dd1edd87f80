//! `pgark migrations …`: the migration project's files against the database.

pub mod ledgers;
pub mod project;
pub mod status;
