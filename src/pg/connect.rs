//! A connection string and libpq's defaults become a connection.

use super::failure::server;
use crate::error::{Error, Kind, Result};
use crate::model::connection::Connection;
use postgres::config::{Host, SslMode};
use postgres::{Client, Config, NoTls};
use std::path::Path;
use std::time::Duration;

/// How long one attempt to connect may take when the connection does not say.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// After how much silence the server is asked for a sign of life, and how long what was sent may
/// stay unacknowledged, when the connection does not say: a server that vanished must not hold a
/// run for hours.
const KEEPALIVES_IDLE: Duration = Duration::from_secs(60);
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(120);

/// What `get_keepalives_idle` gives where the connection does not say.
const DRIVERS_KEEPALIVES_IDLE: Duration = Duration::from_secs(2 * 60 * 60);

/// Opens a connection to `database`, or to the database that the connection itself names.
///
/// # Errors
/// [`Kind::Usage`] for a string that cannot be read, [`Kind::Server`] when the server cannot be
/// reached or refuses.
pub fn open(connection: &Connection, database: Option<&str>) -> Result<Client> {
    let mut config = config(connection)?;
    if let Some(database) = database {
        config.dbname(database);
    }
    config
        .connect(NoTls)
        .map_err(|error| server(format!("cannot connect to {}", describe(&config)), error))
}

/// Where the connection leads, for people: `database "x" at host:port as "role"`, no password.
pub fn destination(connection: &Connection, database: Option<&str>) -> Result<String> {
    let mut config = config(connection)?;
    if let Some(database) = database {
        config.dbname(database);
    }
    Ok(describe(&config))
}

/// The database that the connection names, or that libpq would take.
pub fn database_name(connection: &Connection) -> Result<String> {
    let config = config(connection)?;
    Ok(config.get_dbname().or(config.get_user()).unwrap_or_default().to_owned())
}

fn describe(config: &Config) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        Some(Host::Unix(folder)) => folder.display().to_string(),
        None => String::from("localhost"),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let user = config.get_user().unwrap_or_default();
    let database = config.get_dbname().unwrap_or(user);
    format!("database \"{database}\" at {host}:{port} as \"{user}\"")
}

fn config(connection: &Connection) -> Result<Config> {
    // The parser's error can quote the string, and so a password: only its reason is shown.
    let mut config: Config = connection.string.parse().map_err(|error: postgres::Error| {
        let reason = std::error::Error::source(&error).map(ToString::to_string);
        Error::new(
            Kind::Usage,
            format!(
                "the connection string cannot be read: {}",
                reason.unwrap_or_else(|| String::from("not a URL and not key=value pairs"))
            ),
        )
        .hint("it should look like postgresql://user@host:5432/database")
    })?;
    let default = |name: &str| connection.defaults.get(name).filter(|value| !value.is_empty());
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        match default("host") {
            Some(hosts) => hosts.split(',').for_each(|host| {
                config.host(host);
            }),
            None => add_local_host(&mut config),
        }
    }
    if config.get_ports().is_empty()
        && let Some(ports) = default("port")
    {
        for port in ports.split(',') {
            config.port(port.parse().map_err(|_| {
                Error::new(Kind::Usage, format!("PGPORT is not a port number: \"{port}\""))
            })?);
        }
    }
    if config.get_user().is_none() {
        match default("user") {
            Some(user) => config.user(user),
            None => return Err(no_user()),
        };
    }
    if config.get_password().is_none()
        && let Some(password) = default("password")
    {
        config.password(password);
    }
    if config.get_dbname().is_none() {
        let database = default("dbname").cloned();
        let user = config.get_user().map(str::to_owned);
        if let Some(database) = database.or(user) {
            config.dbname(&database);
        }
    }
    if config.get_options().is_none()
        && let Some(options) = default("options")
    {
        config.options(options);
    }
    if config.get_application_name().is_none() {
        config.application_name(default("application_name").map_or("pgark", String::as_str));
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    if config.get_keepalives_idle() == DRIVERS_KEEPALIVES_IDLE {
        config.keepalives_idle(KEEPALIVES_IDLE);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(TCP_USER_TIMEOUT);
    }
    check_encryption(&config, default("sslmode").map(String::as_str))?;
    config.ssl_mode(SslMode::Disable);
    Ok(config)
}

fn no_user() -> Error {
    Error::new(Kind::Usage, "no user to connect as")
        .hint("name one in the connection string or in PGUSER")
}

/// libpq's default host: the socket folder that distributions compile in, else localhost.
fn add_local_host(config: &mut Config) {
    let folder = ["/var/run/postgresql", "/tmp"].into_iter().find(|folder| {
        let port = config.get_ports().first().copied().unwrap_or(5432);
        Path::new(folder).join(format!(".s.PGSQL.{port}")).exists()
    });
    match folder {
        Some(folder) => config.host_path(folder),
        None => config.host("localhost"),
    };
}

/// Refuses to go on unencrypted where encryption was asked for.
fn check_encryption(config: &Config, environment: Option<&str>) -> Result<()> {
    let required = config.get_ssl_mode() == SslMode::Require
        || matches!(environment, Some("require" | "verify-ca" | "verify-full"));
    if required {
        return Err(Error::new(Kind::Usage, "this version of pgark cannot encrypt connections")
            .hint("use a unix socket, a local port forwarded over ssh, or sslmode=prefer on a trusted network"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeouts(string: &str) -> (Duration, Duration) {
        let connection = Connection { string: string.to_owned(), ..Connection::default() };
        let config = config(&connection).unwrap();
        (config.get_keepalives_idle(), *config.get_tcp_user_timeout().unwrap())
    }

    #[test]
    fn a_server_that_vanished_is_noticed_unless_the_connection_says_otherwise() {
        let seconds = Duration::from_secs;
        assert_eq!(timeouts("host=h user=u"), (seconds(60), seconds(120)));
        let said = "host=h user=u keepalives_idle=7 tcp_user_timeout=9";
        assert_eq!(timeouts(said), (seconds(7), seconds(9)));
    }
}
