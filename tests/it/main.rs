//! All integration tests, in one program, so that one server serves them all.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot set the scene has failed"
)]
#![allow(dead_code, reason = "the harness is for all of them")]

mod harness;

/// Projects as pgark reads them, and as Alembic does.
mod alembic_graph;
/// Rules, row-level security, foreign data, replication, event triggers: with rows, by the binary.
mod attached;
/// pgark beside its peers, measured.
mod bench;
/// Without pgark: tar, zstd, sha256sum, psql.
mod by_hand;
/// Would a backup succeed now?
mod check;
/// What people type, rightly and wrongly.
mod command_line;
/// How servers are reached: strings and files, TLS, logins, several hosts, poolers.
mod connections;
/// One revision in the place of many: gate, proof, exchange.
mod consolidate;
/// Killed and failed at every file operation of the exchange.
mod consolidate_crash;
mod consolidate_guards;
/// Some revisions stay, and the others fold into them.
mod consolidate_keep;
/// Other databases and servers, and who is held off.
mod consolidate_places;
/// What must never be lost, left in between or kept silent about.
mod consolidate_safety;
/// Projects of every shape, with every driver.
mod consolidate_shapes;
/// From database to database.
mod copy;
/// Killed, failed and interrupted at every file operation.
mod crash;
/// Roles that the server lacks, made by a restore.
mod created_roles;
/// Flipped, cut, moved, forged and hostile bytes.
mod damage;
/// Rows into tables that are there.
mod data_only;
/// Settings, default privileges, tablespaces, labels, and what a new database is.
mod database;
/// Definitions that the server's text does not bring back.
mod definitions;
/// Start commands that need an archive before the application.
mod deploy;
/// The example application is what it says.
mod example;
/// Extensions, and what is built on them.
mod extensions;
/// Parts of archives as plain files.
mod extract;
/// Some rows of a table, and patterns out of files.
mod filters;
/// What a review found.
mod findings;
/// The specification of the format, and the tests it names.
mod format;
/// Disks without room.
mod full_disk;
/// Schemas made at random.
mod generated;
/// Archives of every released format.
mod golden;
/// Keys and their indexes.
mod keys;
/// The ledgers of every migration tool, by its own DDL.
mod ledgers;
/// What a restore lends to owners, and a kill meanwhile.
mod lending;
/// What is in a repository, and what one archive is.
mod listing;
/// The migration project inside the archive.
mod loading;
mod migrations_bundle;
/// After a consolidation: the checklist, and the way back.
mod migrations_checked;
/// Files against the database: status, backup --require-migrations, restore.
mod migrations_status;
/// Databases as they should not be: names, values, sizes, encodings.
mod odd_databases;
/// The twenty pitfalls of logical backups: the naive form fails, pgark does not.
mod pitfalls;
/// Every way in which scripts for consolidation have lost data.
mod plan_defects;
/// One moment: backups while others TRUNCATE, ALTER, CREATE and DROP.
mod race;
/// Restores into empty and new databases.
mod restore;
/// Backup and restore without superuser, settings of roles, and who is refused.
mod roles;
/// Whose archive a rollback takes, and what it may change.
mod rollback_guards;
mod rollback_rows;
/// The main job: back up, verify, restore, compare.
mod round_trip;
/// Schemas compared, property by property.
mod schema_diff;
/// Schemas with something in their way.
mod schema_restore;
/// Every family of schema objects, as `pg_dump` sees it.
mod schema_roundtrip;
/// Functions that need a search_path.
mod search_path;
/// Parts of a database, by pattern, and objects that may be missing.
mod selection;
/// pgark.toml, completions, manual pages.
mod settings;
/// What pgark says: at a terminal, in logs, to programs; when connections fail and signals come.
mod talk;
/// What users add to the type system, with rows.
mod type_system;
/// Archives of older servers in newer ones, beside pg_dump and psql.
mod upward;
