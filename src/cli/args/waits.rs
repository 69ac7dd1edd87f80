//! How long a silent server is waited for.

use crate::model::connection::Connection;
use clap::Args;
use std::time::Duration;

/// How long a silent server is waited for.
#[derive(Clone, Copy, Debug, Args)]
pub struct Waits {
    /// How many seconds an attempt to connect may take; 0 is for ever.
    ///
    /// Goes before connect_timeout in the connection string and PGCONNECT_TIMEOUT; without any of
    /// them it is 30.
    #[arg(long, value_name = "SECONDS")]
    pub connect_timeout: Option<u32>,
    /// How many seconds a server may be silent while rows are copied; 0 is for ever.
    ///
    /// In other statements, such as the making of an index, which may rightly take hours, the server
    /// is asked after so long on another connection whether it still works on the statement.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub stall_timeout: u32,
}

impl Waits {
    /// The same connection with these limits.
    pub fn bound(self, mut connection: Connection) -> Connection {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        connection.connect_timeout = self.connect_timeout.map(seconds);
        connection.stall_timeout = Some(self.stall_timeout).filter(|s| *s > 0).map(seconds);
        connection
    }
}
