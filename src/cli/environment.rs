//! libpq's environment variables.

use crate::model::connection::Connection;

/// Environment variable and the libpq parameter that it stands for.
const VARIABLES: &[(&str, &str)] = &[
    ("PGHOST", "host"),
    ("PGPORT", "port"),
    ("PGUSER", "user"),
    ("PGPASSWORD", "password"),
    ("PGDATABASE", "dbname"),
    ("PGOPTIONS", "options"),
    ("PGAPPNAME", "application_name"),
    ("PGSSLMODE", "sslmode"),
];

/// The connection that a string and the environment describe together. As in libpq, the user is
/// the operating system's if nobody says otherwise.
pub fn connection(string: &str) -> Connection {
    let mut connection = Connection { string: string.to_owned(), ..Connection::default() };
    for (variable, parameter) in VARIABLES {
        if let Ok(value) = std::env::var(variable) {
            connection.defaults.insert((*parameter).to_owned(), value);
        }
    }
    if !connection.defaults.contains_key("user")
        && let Some(user) = operating_system_user()
    {
        connection.defaults.insert(String::from("user"), user);
    }
    connection
}

/// The name of the effective user, from the system's list of users.
fn operating_system_user() -> Option<String> {
    let uid = rustix::process::geteuid().as_raw().to_string();
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let found = users
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.get(2) == Some(&uid.as_str()));
    found.map(|fields| fields[0].to_owned()).or_else(|| std::env::var("USER").ok())
}
