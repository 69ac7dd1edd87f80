//! Connection strings, as libpq reads them: URLs, and keywords with values.

use super::parameters::{self, Values};
use crate::error::{Error, Kind, Result};

/// Reads a connection string. No error shows a value of it, since any of them may be a password
/// that stands in the wrong place.
///
/// # Errors
/// [`Kind::Usage`] for what libpq would refuse.
pub fn parse(string: &str) -> Result<Values> {
    let text = string.trim();
    check_pasted(text)?;
    match scheme(text)? {
        Some(rest) => url(rest),
        None => pairs(text),
    }
}

fn wrong(reason: impl Into<String>) -> Error {
    Error::new(Kind::Usage, format!("the connection string cannot be read: {}", reason.into()))
        .hint("it should look like postgresql://user@host:5432/database, or like host=… dbname=…")
}

/// What may come second in a connection string for .NET, which has semicolons where libpq has spaces.
const DOT_NET: &[&str] =
    &["host", "server", "port", "database", "username", "user id", "password", "ssl mode"];

/// Fails for what services print around a connection string, and people paste with it.
fn check_pasted(text: &str) -> Result<()> {
    if text.starts_with("psql ") {
        return Err(wrong("it begins with \"psql\"")
            .hint("leave out \"psql\" and the quotes: the string alone is wanted"));
    }
    // Supabase's, and what Neon shows of a password.
    if text.contains(":[YOUR-PASSWORD]@") || text.contains("****@") {
        return Err(wrong("it holds a placeholder in the place of the password").hint(
            "put the password itself there, or leave it out and say it in .pgpass or PGPASSWORD",
        ));
    }
    // A semicolon of libpq's stands in a value, before none of these.
    let after = text.split_once(';').and_then(|(_, rest)| rest.split_once('='));
    if after.is_some_and(|(name, _)| DOT_NET.contains(&name.trim().to_ascii_lowercase().as_str())) {
        return Err(wrong("it is one for .NET"));
    }
    if text.starts_with(['\'', '"', '`']) {
        return Err(wrong("it begins with a quote").hint("leave out the quotes around it"));
    }
    let assigned = text.strip_prefix("export ").unwrap_or(text);
    if let Some((name, value)) = assigned.split_once('=') {
        let is_variable = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let value = value.trim_start_matches(['\'', '"']);
        let is_url = value.starts_with("postgres://") || value.starts_with("postgresql://");
        if is_url && !name.is_empty() && name.chars().all(is_variable) {
            return Err(wrong(format!("it begins with \"{name}=\""))
                .hint(format!("leave out \"{name}=\": the string alone is wanted")));
        }
    }
    Ok(())
}

/// What follows the scheme of a URL, or none if it is not one.
///
/// SQLAlchemy's schemes name the driver, as in `postgresql+psycopg2://`; which one is of no
/// interest here.
fn scheme(text: &str) -> Result<Option<&str>> {
    let Some((scheme, rest)) = text.split_once("://") else { return Ok(None) };
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_' | ':');
    if scheme.is_empty() || !scheme.chars().all(is_scheme) {
        // A value of a keyword may be a URL.
        return Ok(None);
    }
    let (name, driver) = scheme.split_once('+').map_or((scheme, None), |(n, d)| (n, Some(d)));
    match (name, driver) {
        ("postgresql" | "postgres", None) => Ok(Some(rest)),
        ("postgresql" | "postgres", Some(driver)) if !driver.is_empty() => Ok(Some(rest)),
        ("jdbc:postgresql", _) => Err(wrong("it is one for Java").hint(
            "leave out \"jdbc:\", and write the user before the host: postgresql://user@host/database",
        )),
        _ => Err(wrong(format!("\"{scheme}://\" is not PostgreSQL's"))),
    }
}

fn url(mut rest: &str) -> Result<Values> {
    let mut values = Values::new();
    let mut store = |name: &str, encoded: &str| -> Result<()> {
        if !encoded.is_empty() {
            values.insert(name.to_owned(), decode(encoded)?);
        }
        Ok(())
    };
    // The first `@` before any `/` ends the credentials.
    let path = rest.find('/').unwrap_or(rest.len());
    if let Some(at) = rest[..path].find('@') {
        let (user, password) = rest[..at].split_once(':').unwrap_or((&rest[..at], ""));
        store("user", user)?;
        store("password", password)?;
        rest = &rest[at + 1..];
    }
    let (hosts, after) = split_hosts(rest)?;
    let (mut names, mut ports) = (Vec::new(), Vec::new());
    for (name, port) in hosts {
        names.push(name);
        ports.push(port);
    }
    if names.iter().any(|name| name.contains('@')) {
        return Err(wrong("a host's name holds an \"@\"")
            .hint("in a password, write %40 for @, %3A for :, %2F for / and %25 for %"));
    }
    for port in &ports {
        if !port.chars().all(|c| c.is_ascii_digit() || c == '%') {
            return Err(wrong("after a host's \":\" there is no port number")
                .hint("in a password, write %40 for @, %3A for :, %2F for / and %25 for %"));
        }
    }
    store("host", &names.join(","))?;
    if ports.iter().any(|port| !port.is_empty()) {
        store("port", &ports.join(","))?;
    }
    let (path, query) = after.split_once('?').unwrap_or((after, ""));
    store("dbname", path.strip_prefix('/').unwrap_or(path))?;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(wrong("a parameter after the \"?\" has no \"=\""));
        };
        if value.contains('=') {
            return Err(wrong(format!("parameter \"{name}\" has a second \"=\""))
                .hint("write %3D for an = in a value"));
        }
        let (mut name, mut value) = (decode(name)?, decode(value)?);
        if (name.as_str(), value.as_str()) == ("ssl", "true") {
            (name, value) = (String::from("sslmode"), String::from("require"));
        }
        parameters::check_name(&name)?;
        values.insert(name, value);
    }
    Ok(values)
}

/// Hosts with their ports, and what follows them, with its `/` or `?`.
fn split_hosts(mut rest: &str) -> Result<(Vec<(&str, &str)>, &str)> {
    let mut hosts = Vec::new();
    loop {
        let host;
        if let Some(bracketed) = rest.strip_prefix('[') {
            let Some(end) = bracketed.find(']') else {
                return Err(wrong("an IPv6 address begins with \"[\" and has no \"]\""));
            };
            if end == 0 {
                return Err(wrong("there is no IPv6 address between \"[\" and \"]\""));
            }
            host = &bracketed[..end];
            rest = &bracketed[end + 1..];
            if !rest.is_empty() && !rest.starts_with([':', '/', '?', ',']) {
                return Err(wrong("after the \"]\" of an IPv6 address there is something else"));
            }
        } else {
            let end = rest.find([':', '/', '?', ',']).unwrap_or(rest.len());
            host = &rest[..end];
            rest = &rest[end..];
        }
        let mut port = "";
        if let Some(after) = rest.strip_prefix(':') {
            let end = after.find(['/', '?', ',']).unwrap_or(after.len());
            port = &after[..end];
            rest = &after[end..];
        }
        hosts.push((host, port));
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return Ok((hosts, rest)),
        }
    }
}

/// Percent-decoding; a `+` is a plus.
fn decode(text: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let mut byte = [0];
        let digits =
            after.get(..2).filter(|digits| hex::decode_to_slice(digits, &mut byte).is_ok());
        match (digits, byte) {
            (None, _) => {
                return Err(wrong("a \"%\" is not followed by two hexadecimal digits")
                    .hint("write %25 for a % that means itself"));
            }
            (Some(_), [0]) => return Err(wrong("%00 is not allowed")),
            (Some(_), [byte]) => bytes.push(byte),
        }
        rest = &after[2..];
    }
    String::from_utf8(bytes).map_err(|_| wrong("what the percent signs stand for is not UTF-8"))
}

/// `keyword = value` with spaces between them; values with spaces stand in single quotes, and a
/// backslash takes the next character as it is.
fn pairs(text: &str) -> Result<Values> {
    let mut values = Values::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let name = &rest[..end];
        let Some(after) = rest[end..].trim_start().strip_prefix('=') else {
            // The rest of a value that should have been quoted may be a secret.
            return Err(match parameters::is_known(name) {
                true => wrong(format!("there is no \"=\" after \"{name}\"")),
                false if !text.contains('=') => wrong("it is neither a URL nor a list of host=… and so on"),
                false => wrong("there is a word without \"=\"")
                    .hint("a value with spaces stands in single quotes; a database's name alone is dbname=…"),
            });
        };
        parameters::check_name(name)?;
        let after = after.trim_start();
        let quoted = after.starts_with('\'');
        let mut characters = after.char_indices().skip(usize::from(quoted));
        let mut value = String::new();
        let mut end = after.len();
        let mut closed = !quoted;
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => value.extend(characters.next().map(|(_, character)| character)),
                '\'' if quoted => {
                    (end, closed) = (at + 1, true);
                    break;
                }
                c if c.is_whitespace() && !quoted => {
                    end = at;
                    break;
                }
                c => value.push(c),
            }
        }
        if !closed {
            return Err(wrong(format!(
                "the quote that begins the value of \"{name}\" does not end"
            )));
        }
        values.insert(name.to_owned(), value);
        rest = after[end..].trim_start();
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(string: &str) -> Vec<(String, String)> {
        match parse(string) {
            Ok(values) => values.into_iter().collect(),
            Err(error) => panic!("{string}: {error}"),
        }
    }

    #[track_caller]
    fn same(string: &str, expected: &[(&str, &str)]) {
        let expected: Vec<_> =
            expected.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        assert_eq!(read(string), expected, "{string}");
    }

    #[test]
    fn urls_are_read_as_libpq_reads_them() {
        same("postgresql://", &[]);
        same("postgres:///mydb", &[("dbname", "mydb")]);
        same("postgresql://localhost:5433", &[("host", "localhost"), ("port", "5433")]);
        same("postgresql://user@localhost", &[("host", "localhost"), ("user", "user")]);
        same(
            "postgresql://user:secret@localhost/other?connect_timeout=10&application_name=my%20app",
            &[
                ("application_name", "my app"),
                ("connect_timeout", "10"),
                ("dbname", "other"),
                ("host", "localhost"),
                ("password", "secret"),
                ("user", "user"),
            ],
        );
        same(
            "postgresql://host1:123,host2:456/somedb?target_session_attrs=any",
            &[
                ("dbname", "somedb"),
                ("host", "host1,host2"),
                ("port", "123,456"),
                ("target_session_attrs", "any"),
            ],
        );
        same("postgresql://a,b:2/", &[("host", "a,b"), ("port", ",2")]);
        same(
            "postgresql://[2001:db8::1234]:5/d",
            &[("dbname", "d"), ("host", "2001:db8::1234"), ("port", "5")],
        );
        same("postgresql://[fe80::1%25eth0]/", &[("host", "fe80::1%eth0")]);
        same("postgresql://%2Fvar%2Flib%2Fpg/d", &[("dbname", "d"), ("host", "/var/lib/pg")]);
        same(
            "postgresql:///d?host=/cloudsql/a:b:c",
            &[("dbname", "d"), ("host", "/cloudsql/a:b:c")],
        );
        same(
            "postgresql://u:p%40%3A%2f%25+@h",
            &[("host", "h"), ("password", "p@:/%+"), ("user", "u")],
        );
        same("postgresql://h?ssl=true", &[("host", "h"), ("sslmode", "require")]);
        same("postgresql+psycopg2://h/d", &[("dbname", "d"), ("host", "h")]);
        same("postgres+asyncpg://h/d", &[("dbname", "d"), ("host", "h")]);
    }

    #[test]
    fn what_hosted_servers_print_can_be_pasted() {
        let host = |string: &str| {
            let values: Values = read(string).into_iter().collect();
            (values["host"].clone(), values["password"].clone())
        };
        for (string, name) in [
            (
                "postgresql://neondb_owner:pw@ep-a-1-pooler.eu-central-1.aws.neon.tech/neondb?sslmode=require&channel_binding=require",
                "ep-a-1-pooler.eu-central-1.aws.neon.tech",
            ),
            (
                "postgresql://u:pw@ep-a-1.aws.neon.tech/neondb?sslmode=require&options=endpoint%3Dep-a-1",
                "ep-a-1.aws.neon.tech",
            ),
            (
                "postgresql://postgres:pw@monorail.proxy.rlwy.net:12345/railway",
                "monorail.proxy.rlwy.net",
            ),
            (
                "postgresql://postgres.abc:pw@aws-0-eu-central-1.pooler.supabase.com:5432/postgres",
                "aws-0-eu-central-1.pooler.supabase.com",
            ),
            (
                "host=db.abc.eu-west-1.rds.amazonaws.com port=5432 dbname=d user=u password=pw sslmode=verify-full sslrootcert=/certs/global-bundle.pem",
                "db.abc.eu-west-1.rds.amazonaws.com",
            ),
            (
                "host=/cloudsql/project:region:instance user=u password=pw dbname=d",
                "/cloudsql/project:region:instance",
            ),
            (
                "postgres://u:pw@ec2-1.compute-1.amazonaws.com:5432/d1a2b3",
                "ec2-1.compute-1.amazonaws.com",
            ),
        ] {
            assert_eq!(host(string), (name.to_owned(), String::from("pw")), "{string}");
        }
    }

    #[test]
    fn keywords_and_values_are_read_as_libpq_reads_them() {
        same("", &[]);
        same("  host = h   port=1", &[("host", "h"), ("port", "1")]);
        same(r"host=a\ b user='it\'s \\'", &[("host", "a b"), ("user", r"it's \")]);
        same("options='-c a=b' dbname=d", &[("dbname", "d"), ("options", "-c a=b")]);
        same("user='a'host=h", &[("host", "h"), ("user", "a")]);
        same("user= host=h", &[("user", "host=h")]);
        same("host=h host=i", &[("host", "i")]);
        same("password=postgresql://x", &[("password", "postgresql://x")]);
        same("password=a;b host=h", &[("host", "h"), ("password", "a;b")]);
    }

    #[test]
    fn what_libpq_refuses_is_refused_and_no_secret_is_repeated() {
        for string in [
            "postgresql://u:geheim@h:port/d",
            "postgresql://u:gehe@im@h/d",
            "postgresql://u:geheim/x@h/d",
            "postgresql://u:geheim%@h/d",
            "postgresql://u:geheim%zz@h/d",
            "postgresql://u:geheim%00@h/d",
            "postgresql://u:geheim%ff@h/d",
            "postgresql://u:geheim@[::1/d",
            "postgresql://u:geheim@[]/d",
            "postgresql://u:geheim@[::1]x/d",
            "postgresql://u:geheim@h/d?sslmode",
            "postgresql://u:geheim@h/d?sslmode=a=b",
            "postgresql://u:geheim@h/d?unknown=x",
            "mysql://u:geheim@h/d",
            "postgresql+://u:geheim@h/d",
            "jdbc:postgresql://h/d?password=geheim",
            "host=h password=rest of geheim",
            "host=h password='geheim",
            "geheim",
            "hots=h password=geheim",
        ] {
            let error = parse(string).expect_err(string);
            let said = format!("{error} {:?}", error.next_step());
            assert!(!said.contains("gehe") && !said.contains("im@"), "{string}: {said}");
            assert_eq!(error.kind(), Kind::Usage);
        }
    }

    #[test]
    fn what_was_pasted_with_the_string_is_named() {
        for (string, hint) in [
            ("psql 'postgresql://u:geheim@h/d'", "leave out \"psql\" and the quotes"),
            ("psql \"host=h password=geheim\"", "leave out \"psql\" and the quotes"),
            ("postgresql://u:[YOUR-PASSWORD]@h/d", "put the password itself there"),
            ("localhost:5432/d", "postgresql://user@host"),
            ("User Id=u;Password=geheim;Server=h;Port=5432;Database=d", "postgresql://user@host"),
            ("DATABASE_URL=postgresql://u:geheim@h/d", "leave out \"DATABASE_URL=\""),
            ("export PG_URL='postgres://u:geheim@h/d'", "leave out \"PG_URL=\""),
            ("'postgresql://u:geheim@h/d'", "leave out the quotes"),
            ("\"postgresql://u:geheim@h/d\"", "leave out the quotes"),
        ] {
            let error = parse(string).expect_err(string);
            let said = error.next_step().unwrap();
            assert!(said.contains(hint) && !format!("{error} {said}").contains("geheim"), "{said}");
        }
    }

    #[test]
    fn an_unknown_parameter_is_named_with_the_nearest_one() {
        let hint = |string: &str| {
            let error = parse(string).unwrap_err();
            format!("{error}; {}", error.next_step().unwrap_or_default())
        };
        assert!(hint("hots=h").contains("\"hots\"; did you mean \"host\"?"), "{}", hint("hots=h"));
        assert!(hint("postgresql://h/d?sslrootcer=x").contains("\"sslrootcert\""));
        assert!(hint("postgresql://h/d?ssl=require").contains("\"sslmode\""));
    }
}
