//! Passwords of connection strings in texts.

use regex::Regex;

/// Whether `text` holds `://user:password@` with a password that is neither empty nor a placeholder
/// (`%(password)s`, `${PASSWORD}`, `{password}`) nor that of the example that Alembic generates.
pub fn holds_password(text: &str) -> bool {
    // A pattern that is wrong is one that the tests find.
    let Ok(pattern) = Regex::new(r#"(\w*)://([^\s:/@'"]*):([^\s/@'"]+)@"#) else { return false };
    pattern.captures_iter(text).any(|found| {
        let (scheme, user, password) = (&found[1], &found[2], &found[3]);
        let placeholder = (password.starts_with("%(") && password.ends_with(")s"))
            || (password.trim_start_matches('$').starts_with('{') && password.ends_with('}'))
            || password.starts_with('$')
            || password == "%s";
        let example = (scheme, user, password) == ("driver", "user", "pass");
        !placeholder && !example
    })
}

/// `text` with `…` for the passwords of the connection strings in it, URLs or keywords with values.
pub fn hide(text: &str) -> String {
    // Up to the last @ of a word: a password that was not encoded may hold one itself.
    let url = Regex::new(r"(://[^\s:/@\x22']*):[^\s]*@");
    let keyword = Regex::new(
        r"(?i)\b((?:ssl)?(?:password|passwd|pwd)\s*=\s*)('(?:[^'\\]|\\.)*'?|[^\s&'\x22]+)",
    );
    match (url, keyword) {
        (Ok(url), Ok(keyword)) => {
            keyword.replace_all(&url.replace_all(text, "$1:…@"), "$1…").into_owned()
        }
        // Wrong patterns, which the tests would find, show nothing.
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{hide, holds_password};

    #[test]
    fn passwords_are_hidden_and_nothing_else_is() {
        for (text, shown) in [
            (
                "unexpected 'postgresql://app:gehe@im@h/d' found",
                "unexpected 'postgresql://app:…@h/d' found",
            ),
            ("postgresql+psycopg2://:geheim@h?x=1", "postgresql+psycopg2://:…@h?x=1"),
            ("host=h password=geheim user=u", "host=h password=… user=u"),
            ("PASSWORD = 'ge he\\'im' user=u", "PASSWORD = … user=u"),
            ("postgresql://h/d?password=geheim&user=u", "postgresql://h/d?password=…&user=u"),
            ("sslpassword='geheim", "sslpassword=…"),
            ("postgresql://h/d?passwd=geheim", "postgresql://h/d?passwd=…"),
        ] {
            assert_eq!(hide(text), shown);
        }
        for text in [
            "cannot connect to database \"d\" at h:5432 as \"u\"",
            "postgresql://u@h:5432/d",
            "the password is wrong: PGPASSWORD, a .pgpass file",
            "see https://example.org:8080/a",
        ] {
            assert_eq!(hide(text), text);
        }
    }

    #[test]
    fn passwords_are_told_from_placeholders() {
        for text in [
            "sqlalchemy.url = postgresql+psycopg://app:geheim@db.example/shop",
            "DATABASE_URL='postgres://app:p%40ss@localhost'",
            "url = \"postgres://:geheim@h/d\"",
        ] {
            assert!(holds_password(text), "{text}");
        }
        for text in [
            "sqlalchemy.url = driver://user:pass@localhost/dbname",
            "postgresql://app@db.example/shop",
            "postgresql://app:@db.example/shop",
            "postgresql://%(user)s:%(password)s@h/d",
            "postgresql://app:${PASSWORD}@h/d and postgresql://app:$PASSWORD@h/d",
            "f\"postgresql://{user}:{password}@{host}\"",
            "see https://example.org:8080/a@b",
        ] {
            assert!(!holds_password(text), "{text}");
        }
    }
}
