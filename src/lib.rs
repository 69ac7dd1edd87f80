//! pgark archives PostgreSQL databases into files and brings them back.
//!
//! The map: dependencies point down only, `cli → ops → { rules | pg | archive | store } → model,
//! error`, and the four in the middle do not know each other (`tests/architecture.rs`).
#![warn(missing_docs)]

pub mod error;

/// Nouns that every layer shares; no I/O.
pub mod model {
    pub mod connection;
    pub mod content;
    pub mod name;
    pub mod schema;
    pub mod server;
    pub mod table;
}

/// Pure decisions: no I/O, no clock, no SQL.
pub mod rules {
    pub mod row_digest;
}

/// The bytes of one archive: the only home of tar, zstd and SHA-256.
pub mod archive {
    pub mod frame;
    pub mod hashing;
    pub mod manifest;
    pub mod reader;
    pub mod schema_text;
    pub mod tar_layout;
    pub mod writer;
}

/// Files: the only writer to disk.
pub mod store {
    pub mod durable;
    pub mod repository;
}

/// The server: the only home of the `postgres` crate.
pub mod pg {
    pub mod catalog;
    pub mod connect;
    pub mod copy;
    pub mod failure;
    pub mod ident;
    pub mod session;
    pub mod snapshot;
}
