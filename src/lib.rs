//! pgark archives PostgreSQL databases into files and brings them back.
//!
//! The map: dependencies point down only, `cli → ops → { rules | pg | archive | store | process } →
//! model, error`, and the five in the middle do not know each other (`tests/architecture.rs`).
#![warn(missing_docs)]

pub mod error;

/// Nouns that every layer shares; no I/O.
pub mod model {
    pub mod catalog;
    pub mod condition;
    pub mod connection;
    pub mod content;
    pub mod copy_format;
    pub mod ledger;
    pub mod lexing;
    pub mod lists;
    pub mod name;
    pub mod properties;
    pub mod provenance;
    pub mod role;
    pub mod schema;
    pub mod server;
    pub mod table;
}

/// Words in, words out: the only home of clap, the environment and standard output.
pub mod cli {
    pub mod args;
    pub mod configuration;
    pub mod environment;
    pub mod events;
    pub mod exit;
    pub mod ignored_signals;
    pub mod manual;
    pub mod output;
    pub mod private_group;
    pub mod progress;
    pub mod report;
    pub mod run;
    pub mod selection;
    pub mod settings;
    pub mod setup;
    pub mod tips;
}

/// One verb per file: options in, summary out.
pub mod ops {
    pub mod backup;
    pub mod check;
    pub mod compare;
    pub mod connection_string;
    pub mod copy;
    pub mod described;
    pub mod extension_rows;
    pub mod extract;
    pub mod interrupt;
    pub mod list;
    pub mod locate;
    pub mod lock_wait;
    pub mod migrations;
    pub mod observer;
    pub mod pace;
    pub mod plan;
    pub mod pool;
    pub mod reader;
    pub mod restore;
    pub mod scan;
    pub mod show;
    pub mod steady;
    pub mod verify;
}

/// Pure decisions: no I/O, no clock, no SQL.
pub mod rules {
    pub mod alembic;
    pub mod copy_binary;
    pub mod copy_csv;
    pub mod copy_text;
    pub mod extension_members;
    pub mod filter_file;
    pub mod key_by_index;
    pub mod large_object_digest;
    pub mod leave_out;
    pub mod ledgers;
    pub mod load_order;
    pub mod lock_plan;
    pub mod object_selection;
    pub mod order;
    pub mod pattern;
    pub mod polymorphic;
    pub mod python;
    pub mod renames;
    pub mod role_names;
    pub mod row_digest;
    pub mod schema_diff;
    pub mod secrets;
    pub mod selection;
}

/// The bytes of one archive: the only home of tar, zstd and SHA-256.
pub mod archive {
    pub mod descriptions;
    pub mod frame;
    pub mod hashing;
    pub mod manifest;
    pub mod reader;
    pub mod schema_text;
    pub mod size;
    pub mod tar_layout;
    pub mod writer;
}

/// Files: the only writer to disk.
pub mod store {
    pub mod durable;
    pub mod folder;
    pub mod output;
    pub mod place;
    pub mod private_folder;
    pub mod project_files;
    pub mod repository;
    pub mod tree_swap;
}

/// Other programs: the only home of child processes.
pub mod process {
    pub mod child;
    pub mod throwaway;
}

/// The server: the only home of the driver.
pub mod pg {
    pub mod access;
    pub mod blockers;
    pub mod catalog;
    pub mod client;
    pub mod conflicts;
    pub mod connect;
    pub mod copier;
    pub mod copy;
    pub mod database;
    pub mod ddl;
    pub mod extensions;
    pub mod failure;
    pub mod grants;
    pub mod ident;
    pub mod large_objects;
    pub mod ledgers;
    pub mod lending;
    pub mod names;
    pub mod partitions;
    pub mod positions;
    pub mod record;
    pub mod references;
    pub mod rights;
    pub mod roles;
    pub mod rows;
    pub mod search_path;
    pub mod seed;
    pub mod session;
    pub mod settings;
    pub mod snapshot;
    pub mod target;
    pub mod version_table;
    pub mod wire;
}
