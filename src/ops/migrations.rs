//! `pgark migrations …`: the migration project's files against the database.

pub mod project;
