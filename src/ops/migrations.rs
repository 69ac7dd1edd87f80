//! `pgark migrations …`: the migration project's files and the database, kept in step.

pub mod alembic;
mod archived;
pub mod consolidate;
pub mod consolidated;
mod exchange;
mod gate;
pub mod ledgers;
pub mod new_tree;
pub mod project;
pub mod proof;
pub mod reach;
pub mod rollback;
pub mod scratch;
pub mod status;
mod supported;
pub mod verify;
