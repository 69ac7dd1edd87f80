//! Connection strings as they are shown: read as a connection would read them, so that no password is
//! overlooked, however it is written.

use crate::error::Result;
use crate::pg::connect::parse;
use crate::rules::secrets;
use std::collections::BTreeMap;

/// What is shown for a password.
const HIDDEN: &str = "…";

/// `string` without its passwords. What cannot be read as a connection string is hidden whole.
pub fn shown(string: &str) -> String {
    let Some((values, masked)) = read(string) else { return String::from(HIDDEN) };
    if values == masked {
        return string.to_owned();
    }
    // As it was written, if that says nothing more.
    let written = secrets::hide(string);
    match read(&written) {
        Some((rest, _)) if rest == masked => written,
        _ => as_pairs(&masked),
    }
}

/// Whether `string` holds a password, or may: it cannot be read.
pub fn holds_password(string: &str) -> bool {
    read(string).is_none_or(|(values, masked)| values != masked)
}

/// Whether `string` itself says which database is meant.
///
/// # Errors
/// [`Kind::Usage`](crate::error::Kind::Usage) for what is no connection string.
pub fn names_database(string: &str) -> Result<bool> {
    let values = parse(string)?;
    Ok(["dbname", "service"].iter().any(|name| values.get(*name).is_some_and(|v| !v.is_empty())))
}

type Values = BTreeMap<String, String>;

/// The values of a connection string, and the same without passwords.
fn read(string: &str) -> Option<(Values, Values)> {
    let values: Values = parse(string).ok()?;
    let mask = |(name, value): (&String, &String)| {
        let shown = match (name.as_str(), value.split_once(':')) {
            ("password" | "sslpassword", _) if !value.is_empty() => HIDDEN.to_owned(),
            // A password behind a colon that was written as %3A.
            ("user", Some((user, _))) => format!("{user}:{HIDDEN}"),
            _ => value.clone(),
        };
        (name.clone(), shown)
    };
    let masked = values.iter().map(mask).collect();
    Some((values, masked))
}

fn as_pairs(values: &Values) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./,:…".contains(c);
    let quoted = |value: &String| match !value.is_empty() && value.chars().all(plain) {
        true => value.clone(),
        false => format!("'{}'", value.replace('\\', r"\\").replace('\'', r"\'")),
    };
    let pairs: Vec<String> =
        values.iter().map(|(name, value)| format!("{name}={}", quoted(value))).collect();
    pairs.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_found_however_they_are_written() {
        for (string, expected) in [
            ("postgresql://u:geheim@h/db", "postgresql://u:…@h/db"),
            ("postgresql://u:ge heim@h/db", "dbname=db host=h password=… user=u"),
            (r"host=h password=ge\ heim", "host=h password=…"),
            (r"host=h password='ge\'heim'", "host=h password=…"),
            ("postgresql://h/db?passw%6Frd=geheim", "dbname=db host=h password=…"),
            ("postgres://u%3Ageheim@h/db", "dbname=db host=h user=u:…"),
            ("postgresql://h/db?passwd=geheim", "…"),
            ("geheim", "…"),
        ] {
            assert_eq!(shown(string), expected, "{string}");
            assert!(holds_password(string), "{string}");
        }
        for string in ["", "postgresql://u@h:5432/d?sslmode=require", "host='a b' dbname=d"] {
            assert_eq!(shown(string), string);
            assert!(!holds_password(string), "{string}");
        }
    }
}
