//! Alembic projects, read without Python: configuration, revision files, and the graph they form;
//! and revisions that pgark writes.

pub mod baseline;
pub mod config;
pub mod current;
pub mod fold;
pub mod graph;
mod ini;
pub mod override_ini;
pub mod position;
pub mod revision_file;
pub mod runner;
pub mod written;
