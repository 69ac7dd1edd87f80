//! libpq's parameters: which there are, which of them pgark knows, and where their values come
//! from: the string, the service file, the environment, in this order.

use super::{parse, service};
use crate::error::{Error, Kind, Result};
use crate::model::connection::Connection;
use std::collections::BTreeMap;

/// Parameters and their values.
pub type Values = BTreeMap<String, String>;

/// What pgark does with a parameter.
enum Use {
    /// What libpq does.
    Taken,
    /// Nothing: it does not concern pgark, for this reason.
    NotConcerned,
    /// It cannot do what the parameter asks for, and says so, unless the value is one of these.
    Refused(&'static [&'static str]),
}

use Use::{NotConcerned, Refused, Taken};

/// All parameters of libpq 18, and those of older versions.
const KNOWN: &[(&str, Use)] = &[
    ("application_name", Taken),
    // libpq itself takes no notice any more.
    ("authtype", NotConcerned),
    ("channel_binding", Taken),
    // pgark sets what it needs.
    ("client_encoding", NotConcerned),
    ("connect_timeout", Taken),
    ("dbname", Taken),
    ("fallback_application_name", Taken),
    ("gssdelegation", NotConcerned),
    ("gssencmode", Refused(&["disable", "prefer"])),
    // Only used with GSSAPI, which is never used.
    ("gsslib", NotConcerned),
    ("host", Taken),
    ("hostaddr", Taken),
    ("keepalives", Taken),
    ("keepalives_count", Taken),
    ("keepalives_idle", Taken),
    ("keepalives_interval", Taken),
    ("krbsrvname", NotConcerned),
    ("load_balance_hosts", Taken),
    // The highest that may be spoken; pgark speaks 3.0.
    ("max_protocol_version", Refused(&["3.0", "3.2", "latest"])),
    ("min_protocol_version", Refused(&["3.0"])),
    ("oauth_client_id", Refused(&[])),
    ("oauth_client_secret", Refused(&[])),
    ("oauth_issuer", Refused(&[])),
    ("oauth_scope", Refused(&[])),
    ("options", Taken),
    ("passfile", Taken),
    ("password", Taken),
    ("port", Taken),
    ("replication", Refused(&["false", "off", "no", "0"])),
    ("require_auth", Taken),
    ("requirepeer", Taken),
    // See `sslmode_of_old`.
    ("requiressl", Taken),
    ("scram_client_key", Refused(&[])),
    ("scram_server_key", Refused(&[])),
    ("service", Taken),
    ("servicefile", Taken),
    ("sslcert", Taken),
    ("sslcertmode", Taken),
    // libpq itself never compresses any more.
    ("sslcompression", NotConcerned),
    ("sslcrl", Taken),
    ("sslcrldir", Taken),
    ("sslkey", Taken),
    ("sslkeylogfile", Refused(&[])),
    ("sslmode", Taken),
    ("sslnegotiation", Taken),
    // Of no use to a key in the clear; one that is encrypted is refused when it is read.
    ("sslpassword", NotConcerned),
    ("sslrootcert", Taken),
    ("sslsni", Taken),
    ("ssl_max_protocol_version", Taken),
    ("ssl_min_protocol_version", Taken),
    ("target_session_attrs", Taken),
    ("tcp_user_timeout", Taken),
    ("tty", NotConcerned),
    ("user", Taken),
];

/// Whether libpq has such a parameter.
pub fn is_known(name: &str) -> bool {
    KNOWN.iter().any(|(known, _)| *known == name)
}

/// # Errors
/// [`Kind::Usage`] for a parameter that libpq does not have; the nearest one is named.
pub fn check_name(name: &str) -> Result<()> {
    if is_known(name) {
        return Ok(());
    }
    let distance = |known: &str| strsim::damerau_levenshtein(name, known);
    let alike = KNOWN.iter().map(|(known, _)| *known);
    let nearest = alike
        .clone()
        .map(|known| (distance(known), known))
        .filter(|(distance, _)| *distance <= name.chars().count().div_ceil(3))
        .min();
    let begins = (name == "ssl").then_some("sslmode");
    // A word that is like no parameter may be part of a password with spaces.
    let (error, hint) = match begins.or(nearest.map(|(_, known)| known)) {
        Some(known) => (
            format!("unknown connection parameter \"{name}\""),
            format!("did you mean \"{known}\"?"),
        ),
        None if name.len() <= 32 && name.chars().all(|c| c.is_ascii_lowercase() || c == '_') => (
            format!("unknown connection parameter \"{name}\""),
            String::from(
                "the parameters are those of libpq; leave out what is meant for another program",
            ),
        ),
        None => (
            String::from("unknown connection parameter"),
            String::from(
                "the parameters are those of libpq; a value with spaces stands in single quotes",
            ),
        ),
    };
    Err(Error::new(Kind::Usage, error).hint(hint))
}

/// All that is said about a connection.
///
/// # Errors
/// [`Kind::Usage`] for what cannot be read or is not supported, [`Kind::NotFound`] for a service
/// that is defined nowhere.
pub fn resolve(connection: &Connection) -> Result<Values> {
    let mut values = parse::parse(&connection.string)?;
    sslmode_of_old(&mut values);
    let said = |values: &Values, name: &str| -> Option<String> {
        values.get(name).or_else(|| connection.defaults.get(name)).cloned()
    };
    if let Some(service) = said(&values, "service").filter(|service| !service.is_empty()) {
        let file = values.get("servicefile").filter(|file| !file.is_empty()).map(Into::into);
        let mut of_service = service::read(&service, file, &connection.places)?;
        sslmode_of_old(&mut of_service);
        for (name, value) in of_service {
            values.entry(name).or_insert(value);
        }
    }
    for (name, value) in &connection.defaults {
        // libpq takes no notice of an empty variable, save that it overrides nothing.
        if !value.is_empty() {
            values.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
    // The variable says something only with a 1, and only where nobody else does.
    if values.remove("requiressl").is_some_and(|value| value.starts_with('1')) {
        values.entry(String::from("sslmode")).or_insert_with(|| String::from("require"));
    }
    for (name, value) in &values {
        check_supported(name, value)?;
    }
    // An empty value is as good as none.
    values.retain(|_, value| !value.is_empty());
    Ok(values)
}

/// `requiressl` is how `sslmode` was written before PostgreSQL 7.4: libpq goes on reading it so.
fn sslmode_of_old(values: &mut Values) {
    if let Some(value) = values.remove("requiressl") {
        let mode = if value.starts_with('1') { "require" } else { "prefer" };
        values.entry(String::from("sslmode")).or_insert_with(|| mode.to_owned());
    }
}

fn check_supported(name: &str, value: &str) -> Result<()> {
    match KNOWN.iter().find(|(known, _)| *known == name) {
        Some((_, Refused(allowed))) if !value.is_empty() && !allowed.contains(&value) => {
            let shown = match name.starts_with("oauth") || name.starts_with("scram") {
                true => String::new(),
                false => format!("={value}"),
            };
            let error = Error::new(Kind::Usage, format!("pgark cannot do {name}{shown}"));
            Err(match allowed {
                [] => error.hint("leave the parameter out"),
                allowed => error.hint(format!("{name} can be {}", allowed.join(", "))),
            })
        }
        _ => Ok(()),
    }
}

/// A value that must be one of a few.
///
/// # Errors
/// [`Kind::Usage`] for any other.
pub fn one_of<T: Copy>(
    values: &Values,
    name: &str,
    default: &str,
    choices: &[(&str, T)],
) -> Result<T> {
    let value = values.get(name).map_or(default, String::as_str);
    match choices.iter().find(|(choice, _)| *choice == value) {
        Some((_, meaning)) => Ok(*meaning),
        None => {
            let listed: Vec<&str> = choices.iter().map(|(choice, _)| *choice).collect();
            Err(Error::new(Kind::Usage, format!("\"{value}\" is no value for {name}"))
                .hint(format!("it can be {}", listed.join(", "))))
        }
    }
}

/// A whole number, which may be negative.
///
/// # Errors
/// [`Kind::Usage`] for anything else.
pub fn number(values: &Values, name: &str) -> Result<Option<i32>> {
    let Some(value) = values.get(name) else { return Ok(None) };
    match value.trim().parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(Error::new(Kind::Usage, format!("\"{value}\" is no number for {name}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(string: &str, variables: &[(&str, &str)]) -> Option<String> {
        let defaults = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        let connection = Connection {
            string: string.to_owned(),
            defaults: defaults.collect(),
            ..Connection::default()
        };
        resolve(&connection).unwrap().remove("sslmode")
    }

    #[test]
    fn the_old_word_for_encryption_is_read_as_libpq_reads_it() {
        assert_eq!(mode("requiressl=1", &[]).as_deref(), Some("require"));
        assert_eq!(mode("requiressl=0", &[("sslmode", "require")]).as_deref(), Some("prefer"));
        assert_eq!(mode("requiressl=1 sslmode=disable", &[]).as_deref(), Some("disable"));
        assert_eq!(mode("", &[("requiressl", "1")]).as_deref(), Some("require"));
        assert_eq!(mode("", &[("requiressl", "0")]), None);
        let both = [("requiressl", "1"), ("sslmode", "allow")];
        assert_eq!(mode("", &both).as_deref(), Some("allow"));
    }

    #[test]
    fn versions_of_the_protocol_are_bounds() {
        let said = |string: &str| {
            let connection = Connection { string: string.to_owned(), ..Connection::default() };
            resolve(&connection)
        };
        for highest in ["3.0", "3.2", "latest"] {
            said(&format!("max_protocol_version={highest}")).unwrap();
        }
        assert!(
            said("min_protocol_version=3.2").is_err() && said("max_protocol_version=2").is_err()
        );
    }
}
