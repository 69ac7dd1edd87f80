//! `.pgpass`: passwords by host, port, database and user.

use crate::model::connection::{Connection, Password};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What is looked up.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// The host's name, a socket's folder, or `localhost` for the default one.
    pub host: &'a str,
    /// The port.
    pub port: u16,
    /// The database.
    pub database: &'a str,
    /// The role.
    pub user: &'a str,
}

/// The password that `file` has for the server. A file that is not there or has no line for it has
/// none; one that others may read is not used, and the person is warned.
pub fn find(file: &Path, wanted: &Wanted<'_>, connection: &Connection) -> Option<Password> {
    let found = std::fs::metadata(file).ok()?;
    let name = file.display();
    if !found.is_file() {
        connection.warn(&format!("the password file {name} is not used: it is not a plain file"));
        return None;
    }
    if found.mode() & 0o077 != 0 {
        connection.warn(&format!(
            "the password file {name} is not used, because others may read it: chmod 600 {name}"
        ));
        return None;
    }
    match std::fs::read(file) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let found = look_up(&text, wanted)?;
            // Another line may be in any encoding, but a changed password is none.
            if found.reveal().contains('\u{fffd}') && std::str::from_utf8(&bytes).is_err() {
                connection.warn(&format!(
                    "the password in the password file {name} is not used: it is not UTF-8"
                ));
                return None;
            }
            Some(found)
        }
        Err(error) => {
            connection.warn(&format!("the password file {name} is not used: {error}"));
            None
        }
    }
}

fn look_up(text: &str, wanted: &Wanted<'_>) -> Option<Password> {
    let port = wanted.port.to_string();
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut rest = line;
        for value in [wanted.host, &port, wanted.database, wanted.user] {
            rest = matching(rest, value)?;
        }
        let password = field(rest).0;
        (!password.is_empty()).then(|| Password::new(password))
    })
}

/// What follows the first field of `line` if the field is `value` or `*`.
fn matching<'a>(line: &'a str, value: &str) -> Option<&'a str> {
    if let Some(rest) = line.strip_prefix("*:") {
        return Some(rest);
    }
    let (field, rest) = field(line);
    rest.filter(|_| field == value)
}

/// The first field, with `\:` and `\\` resolved, and what follows its colon.
fn field(line: &str) -> (String, Option<&str>) {
    let mut field = String::new();
    let mut characters = line.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            ':' => return (field, Some(&line[at + 1..])),
            '\\' => match characters.next() {
                Some((_, escaped)) => field.push(escaped),
                None => field.push('\\'),
            },
            other => field.push(other),
        }
    }
    (field, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str, host: &str) -> Option<String> {
        let wanted = Wanted { host, port: 5432, database: "shop", user: "app" };
        look_up(text, &wanted).map(|password| password.reveal().to_owned())
    }

    #[test]
    fn the_first_line_that_fits_counts() {
        let text = "# db:5432:shop:app:comment\n\ndb:5433:shop:app:port\ndb:5432:other:app:database\n\
                    db:5432:shop:other:user\nother:*:*:*:host\n*:*:shop:app:right\ndb:5432:shop:app:late\n";
        assert_eq!(password(text, "db").as_deref(), Some("right"));
        assert_eq!(password("db:5432:shop:app", "db"), None);
        assert_eq!(password("db:5432:shop:app:", "db"), None);
        assert_eq!(password("", "db"), None);
    }

    #[test]
    fn colons_and_backslashes_are_escaped() {
        let text = "fe80\\:\\:1:5432:*:*:a\\:b\\\\c:rest\n";
        assert_eq!(password(text, "fe80::1").as_deref(), Some("a:b\\c"));
        assert_eq!(password("\\*:*:*:*:star", "db"), None);
        assert_eq!(password("\\*:*:*:*:star", "*").as_deref(), Some("star"));
        assert_eq!(password("*:*:*:*: spaces \r\n", "db").as_deref(), Some(" spaces "));
    }
}
