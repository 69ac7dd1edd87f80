//! All integration tests, in one program, so that one server serves them all.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says no more than that"
)]

mod harness;

/// Rows into tables that are there.
mod data_only;
/// The example application is what it says.
mod example;
/// What a review found.
mod findings;
/// Databases as they should not be: names, values, sizes, encodings.
mod odd_databases;
/// The twenty pitfalls of logical backups: the naive form fails, pgark does not.
mod pitfalls;
/// One moment: backups while others TRUNCATE, ALTER, CREATE and DROP.
mod race;
/// Restores into empty and new databases.
mod restore;
/// Backup and restore without superuser, settings of roles, and who is refused.
mod roles;
/// The main job: back up, verify, restore, compare.
mod round_trip;
/// Every family of schema objects, as `pg_dump` sees it.
mod schema_roundtrip;
/// Parts of a database, by pattern, and objects that may be missing.
mod selection;
