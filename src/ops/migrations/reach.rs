//! A database as other programs reach it: by a URL, or by its parts.

use crate::model::connection::Connection;
use crate::rules::alembic::override_ini;

/// A database and how it is reached.
#[derive(Clone)]
pub struct Reach {
    /// A connection to its server.
    pub connection: Connection,
    /// Its name.
    pub database: String,
    /// The host, or the folder of the socket.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The role.
    pub user: String,
    /// Its password.
    pub password: Option<String>,
    /// Whether sessions are encrypted.
    pub encrypted: bool,
}

impl Reach {
    /// Its URL, as SQLAlchemy and libpq read it.
    pub fn url(&self, scheme: &str) -> String {
        let (user, database) = (encoded(&self.user), encoded(&self.database));
        let password = match &self.password {
            Some(password) => format!(":{}", encoded(password)),
            None => String::new(),
        };
        let mut url = match self.host.starts_with(['/', '@']) {
            true => format!(
                "{scheme}://{user}{password}@/{database}?host={}&port={}",
                encoded(&self.host),
                self.port
            ),
            false => {
                let host = if self.host.contains(':') {
                    format!("[{}]", self.host)
                } else {
                    self.host.clone()
                };
                format!("{scheme}://{user}{password}@{host}:{}/{database}", self.port)
            }
        };
        if self.encrypted {
            let parameter = if scheme.ends_with("asyncpg") { "ssl" } else { "sslmode" };
            url.push_str(if url.contains('?') { "&" } else { "?" });
            url.push_str(&format!("{parameter}=require"));
        }
        url
    }

    /// The text without the password, in whatever form Alembic was given it.
    pub fn without_password(&self, text: &str) -> String {
        let Some(password) = self.password.as_deref().filter(|password| !password.is_empty())
        else {
            return text.to_owned();
        };
        let in_url = encoded(password);
        // The longest first, so that none is cut apart by another.
        [override_ini::escaped(&in_url), in_url, password.to_owned()]
            .iter()
            .fold(text.to_owned(), |text, form| text.replace(form.as_str(), "…"))
    }
}

/// The scheme of a PostgreSQL URL.
pub fn postgres_scheme(value: &str) -> Option<&str> {
    let (scheme, _) = value.split_once("://")?;
    let name = scheme.split('+').next()?;
    matches!(name, "postgres" | "postgresql").then_some(scheme)
}

fn encoded(text: &str) -> String {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    text.bytes()
        .map(|byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::ops::migrations) fn reach(host: &str) -> Reach {
        Reach {
            connection: Connection::default(),
            database: String::from("d b"),
            host: host.to_owned(),
            port: 5433,
            user: String::from("u@x"),
            password: Some(String::from("p:/%")),
            encrypted: false,
        }
    }

    #[test]
    fn a_url_leads_to_sockets_and_hosts_whatever_the_names() {
        assert_eq!(
            reach("/tmp/s").url("postgresql+psycopg"),
            "postgresql+psycopg://u%40x:p%3A%2F%25@/d%20b?host=%2Ftmp%2Fs&port=5433"
        );
        assert_eq!(reach("h").url("postgres"), "postgres://u%40x:p%3A%2F%25@h:5433/d%20b");
    }

    #[test]
    fn no_form_of_the_password_is_said() {
        let said = "p:/% postgresql://u:p%3A%2F%25@h/d sqlalchemy.url = …//u:p%%3A%%2F%%25@h/d";
        let shown = reach("h").without_password(said);
        assert_eq!(shown, "… postgresql://u:…@h/d sqlalchemy.url = …//u:…@h/d");
    }
}
