//! Where a database is: what the user said about it.

use std::collections::BTreeMap;
use std::fmt;

/// A connection as the user gave it: a URL or key/value string, and what libpq's environment
/// variables add. `Debug` shows neither, since both may hold a password.
#[derive(Clone, Default)]
pub struct Connection {
    /// `postgresql://…` or `host=… dbname=…`; empty when only the environment speaks.
    pub string: String,
    /// libpq parameter names (`host`, `port`, `user`, `password`, `dbname` …) to values: used for
    /// what the string leaves open.
    pub defaults: BTreeMap<String, String>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Connection(…)")
    }
}
