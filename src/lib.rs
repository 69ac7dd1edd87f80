//! pgark archives PostgreSQL databases into files and brings them back.
//!
//! The map: dependencies point down only, `cli → ops → { rules | pg | archive | store } → model,
//! error`, and the four in the middle do not know each other (`tests/architecture.rs`).
#![warn(missing_docs)]

pub mod error;

/// Nouns that every layer shares; no I/O.
pub mod model {
    pub mod connection;
    pub mod name;
    pub mod schema;
    pub mod server;
}

/// The server: the only home of the `postgres` crate.
pub mod pg {
    pub mod access;
    pub mod connect;
    pub mod ddl;
    pub mod failure;
    pub mod ident;
    pub mod session;
}

/// Decisions without input or output.
pub mod rules {
    pub mod order;
}
