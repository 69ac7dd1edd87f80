//! All integration tests, in one program, so that one server serves them all.
#![allow(clippy::unwrap_used, reason = "a test that cannot set the scene has failed")]
#![allow(clippy::expect_used, dead_code, reason = "the harness is for all of them")]
#![allow(clippy::zombie_processes, reason = "the server's shell ends with the test program")]

mod harness;

/// Without pgark: tar, zstd, sha256sum, psql.
mod by_hand;
/// What people type, rightly and wrongly.
mod command_line;
/// Killed, failed and interrupted at every file operation.
mod crash;
/// Flipped, cut, moved, forged and hostile bytes.
mod damage;
/// The specification of the format, and the tests it names.
mod format;
/// Disks without room.
mod full_disk;
/// Archives of every released format.
mod golden;
/// The migration project inside the archive.
mod migrations_bundle;
/// The main job: back up, verify, restore, compare.
mod round_trip;
/// Every family of schema objects, as `pg_dump` sees it.
mod schema_roundtrip;
