//! Alembic projects, read without Python: configuration, revision files, and the graph they form.

pub mod config;
pub mod graph;
mod ini;
pub mod position;
pub mod revision_file;
