//! Whether a text holds the password of a connection string.

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

#[cfg(test)]
mod tests {
    use super::holds_password;

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
