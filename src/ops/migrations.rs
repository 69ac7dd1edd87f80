//! `pgark migrations …`: the migration project's files and the database, kept in step.

pub mod alembic;
pub mod consolidate;
mod gate;
mod new_tree;
pub mod project;
pub mod proof;
pub mod scratch;
