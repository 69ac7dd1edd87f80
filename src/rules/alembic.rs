//! Alembic projects, read without Python: configuration, revision files, and the graph they form.

pub mod baseline;
pub mod override_ini;
pub mod written;
