//! libpq's environment variables, and the home folder.

use crate::error::{Error, Kind, Result};
use crate::model::connection::{Asking, Connection, Person, Places};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

/// Environment variable and the libpq parameter that it stands for.
///
/// PGDATESTYLE, PGTZ and PGGEQO are settings of the session, which pgark makes for itself.
const VARIABLES: &[(&str, &str)] = &[
    ("PGHOST", "host"),
    ("PGHOSTADDR", "hostaddr"),
    ("PGPORT", "port"),
    ("PGUSER", "user"),
    ("PGPASSWORD", "password"),
    ("PGPASSFILE", "passfile"),
    ("PGDATABASE", "dbname"),
    ("PGSERVICE", "service"),
    ("PGOPTIONS", "options"),
    ("PGAPPNAME", "application_name"),
    ("PGCONNECT_TIMEOUT", "connect_timeout"),
    ("PGCHANNELBINDING", "channel_binding"),
    ("PGREQUIREAUTH", "require_auth"),
    ("PGREQUIREPEER", "requirepeer"),
    ("PGREQUIRESSL", "requiressl"),
    ("PGSSLMODE", "sslmode"),
    ("PGSSLNEGOTIATION", "sslnegotiation"),
    ("PGSSLCOMPRESSION", "sslcompression"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLKEY", "sslkey"),
    ("PGSSLCERTMODE", "sslcertmode"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGSSLCRL", "sslcrl"),
    ("PGSSLCRLDIR", "sslcrldir"),
    ("PGSSLSNI", "sslsni"),
    ("PGSSLMINPROTOCOLVERSION", "ssl_min_protocol_version"),
    ("PGSSLMAXPROTOCOLVERSION", "ssl_max_protocol_version"),
    ("PGGSSENCMODE", "gssencmode"),
    ("PGKRBSRVNAME", "krbsrvname"),
    ("PGGSSLIB", "gsslib"),
    ("PGGSSDELEGATION", "gssdelegation"),
    ("PGTARGETSESSIONATTRS", "target_session_attrs"),
    ("PGLOADBALANCEHOSTS", "load_balance_hosts"),
    ("PGMINPROTOCOLVERSION", "min_protocol_version"),
    ("PGMAXPROTOCOLVERSION", "max_protocol_version"),
    ("PGCLIENTENCODING", "client_encoding"),
];

/// The connection that a string and the environment describe together. As in libpq, the user is
/// the operating system's if nobody says otherwise.
///
/// # Errors
/// [`Kind::Usage`] for a variable that is not UTF-8: without it, it would be another connection.
pub fn connection(string: &str, asking: Asking, person: Arc<dyn Person>) -> Result<Connection> {
    let mut connection = Connection {
        string: string.to_owned(),
        asking,
        person: Some(person),
        ..Connection::default()
    };
    for (variable, parameter) in VARIABLES {
        let Some(value) = std::env::var_os(variable) else { continue };
        let value = value.into_string().map_err(|_| {
            Error::new(Kind::Usage, format!("the variable {variable} is not UTF-8"))
                .hint("set it anew, or say it in the connection string")
        })?;
        connection.defaults.insert((*parameter).to_owned(), value);
    }
    let (user, home) = operating_system_user();
    connection.system_user = user;
    let path = |variable: &str| {
        std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
    };
    connection.places = Places {
        home: path("HOME").or(home),
        service_file: path("PGSERVICEFILE"),
        system_folder: path("PGSYSCONFDIR"),
    };
    Ok(connection)
}

/// All variables, for programs that pgark runs.
pub fn variables() -> Vec<(OsString, OsString)> {
    std::env::vars_os().collect()
}

/// libpq's variables that are set, with their values.
pub fn of_libpq() -> Vec<(&'static str, String)> {
    let value = |(name, _): &(&'static str, _)| {
        Some((*name, std::env::var_os(name)?.to_string_lossy().into_owned()))
    };
    VARIABLES.iter().filter_map(value).collect()
}

/// The name and home of the effective user, from the system's list of users.
fn operating_system_user() -> (Option<String>, Option<PathBuf>) {
    let uid = rustix::process::geteuid().as_raw().to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = users
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.get(2) == Some(&uid.as_str()));
    match found {
        Some(fields) => {
            let home = fields.get(5).filter(|home| !home.is_empty());
            (Some(fields[0].to_owned()), home.map(PathBuf::from))
        }
        None => (std::env::var("USER").ok(), None),
    }
}
