//! Settings as the catalogs keep them (`name=value`), as SQL.

use super::ident::{literal, quote};

/// Settings whose values are lists of names that may be in quotes of their own; all others are
/// plain text. Extensions cannot define such settings.
const LISTS: &[&str] = &[
    "local_preload_libraries",
    "oauth_validator_libraries",
    "output_plugin_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// `"name" TO 'value'`, as it follows `ALTER … SET`, of an item `name=value`; `None` for an item
/// that is no assignment.
///
/// A list is taken apart, or it would become one name with commas in it (dump-correctness P11).
pub fn assignment(item: &str) -> Option<String> {
    let (name, value) = item.split_once('=')?;
    // The setting of an extension has two parts; each is a name.
    let quoted = name.split('.').map(quote).collect::<Vec<_>>().join(".");
    let is_list = LISTS.iter().any(|list| list.eq_ignore_ascii_case(name));
    let value = match is_list.then(|| elements(value)).flatten() {
        Some(elements) if !elements.is_empty() => {
            elements.iter().map(|element| literal(element)).collect::<Vec<_>>().join(", ")
        }
        _ => literal(value),
    };
    Some(format!("{quoted} TO {value}"))
}

/// The elements of a list: `a, "B b", ""`. `None`: it is not one.
fn elements(list: &str) -> Option<Vec<String>> {
    let mut elements = Vec::new();
    let mut rest = list.trim_start();
    while !rest.is_empty() {
        let element;
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut text = String::new();
            let mut characters = quoted.char_indices();
            let end = loop {
                match characters.next()? {
                    (at, '"') if quoted[at + 1..].starts_with('"') => {
                        characters.next();
                        text.push('"');
                    }
                    (at, '"') => break at + 1,
                    (_, character) => text.push(character),
                }
            };
            element = text;
            rest = quoted[end..].trim_start();
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            element = rest[..end].trim_end().to_owned();
            if element.is_empty() {
                return None;
            }
            rest = &rest[end..];
        }
        elements.push(element);
        match rest.strip_prefix(',') {
            Some(more) if !more.trim_start().is_empty() => rest = more.trim_start(),
            Some(_) => return None,
            None if rest.is_empty() => {}
            None => return None,
        }
    }
    Some(elements)
}

#[cfg(test)]
mod tests {
    use super::assignment;

    fn sql(item: &str) -> String {
        assignment(item).unwrap()
    }

    #[test]
    fn lists_are_taken_apart_and_plain_values_are_not() {
        assert_eq!(sql("search_path=a, b"), "\"search_path\" TO 'a', 'b'");
        assert_eq!(
            sql("search_path=\"$user\", \"A,\"\"b\", it's"),
            "\"search_path\" TO '$user', 'A,\"b', 'it''s'"
        );
        assert_eq!(sql("search_path=\"\""), "\"search_path\" TO ''");
        assert_eq!(sql("search_path="), "\"search_path\" TO ''");
        assert_eq!(sql("DateStyle=ISO, DMY"), "\"DateStyle\" TO 'ISO, DMY'");
        assert_eq!(sql("app.user=x=y"), "\"app\".\"user\" TO 'x=y'");
        assert_eq!(assignment("nothing"), None);
    }

    #[test]
    fn what_is_no_list_is_kept_as_it_is() {
        assert_eq!(sql("search_path=a, "), "\"search_path\" TO 'a, '");
        assert_eq!(sql("search_path=\"a"), "\"search_path\" TO '\"a'");
        assert_eq!(sql("search_path=\"a\" b"), "\"search_path\" TO '\"a\" b'");
    }
}
