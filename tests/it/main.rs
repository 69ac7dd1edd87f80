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

/// Restores into empty and new databases.
mod restore;
/// The main job: back up, verify, restore, compare.
mod round_trip;
/// Every family of schema objects, as `pg_dump` sees it.
mod schema_roundtrip;
