//! All integration tests, in one program, so that one server serves them all.

mod harness;

/// The main job: back up, verify, restore, compare.
mod round_trip;
/// Every family of schema objects, as `pg_dump` sees it.
mod schema_roundtrip;
