//! All integration tests, in one program, so that one server serves them all.
#![allow(clippy::unwrap_used, reason = "a test that cannot set the scene has failed")]
#![allow(clippy::expect_used, dead_code, reason = "the harness is for all of them")]
#![allow(clippy::zombie_processes, reason = "the server's shell ends with the test program")]

mod harness;

/// Flipped, cut, moved, forged and hostile bytes.
mod damage;
/// The main job: back up, verify, restore, compare.
mod round_trip;
/// Every family of schema objects, as `pg_dump` sees it.
mod schema_roundtrip;
