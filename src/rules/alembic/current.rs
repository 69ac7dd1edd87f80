//! What `alembic current --verbose` says: a line for each database that `env.py` goes through, and
//! again for each schema that it goes through in one.

/// Ends where the URL begins.
const SAYS: &str = "Current revision(s) for ";

/// Parameters of a URL that do not say which database it is, or are not for everybody to read.
const ASIDE: [&str; 3] = ["options", "application_name", "password"];

/// The databases that it names. Where a URL does not say which one it is, each of its lines counts.
pub fn databases(said: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in said.lines() {
        let Some(url) = line.trim().strip_prefix(SAYS) else { continue };
        let (name, says_which) = name(url.trim_end_matches(':'));
        if !says_which || !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

/// A URL without driver, user and what does not say which database it is; and whether it does.
fn name(url: &str) -> (String, bool) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (rest, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let key = |parameter: &&str| parameter.split('=').next().unwrap_or_default().to_owned();
    let parameters: Vec<&str> = parameters
        .split('&')
        .filter(|parameter| !parameter.is_empty() && !ASIDE.contains(&key(parameter).as_str()))
        .collect();
    let scheme = scheme.split('+').next().unwrap_or_default();
    let mut name = format!("{scheme}://{place}/{database}");
    if !parameters.is_empty() {
        name = format!("{name}?{}", parameters.join("&"));
    }
    (name, !database.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(urls: &[&str]) -> Vec<String> {
        let line = |url: &&str| format!("{SAYS}{url}:\nRev: a (head)\nPath: /x/a.py\n\n");
        databases(&urls.iter().map(line).collect::<String>())
    }

    #[test]
    fn schemas_of_one_database_are_one_and_other_databases_are_not() {
        let one = "postgresql+psycopg2://app:***@db:5432/shop";
        assert_eq!(of(&[one, one]), ["postgresql://db:5432/shop"]);
        let tenant = format!("{one}?options=-csearch_path%3Db");
        assert_eq!(of(&[one, &tenant]).len(), 1);
        assert_eq!(of(&[one, "postgresql+asyncpg://app@db:5432/other"]).len(), 2);
        assert_eq!(
            of(&["postgresql://app@/shop?host=%2Fa", "postgresql://app@/shop?host=%2Fb"]).len(),
            2
        );
        assert_eq!(databases("INFO  [alembic] x\nab12 (head)\n"), Vec::<String>::new());
    }

    #[test]
    fn what_says_nothing_is_not_taken_for_the_same() {
        assert_eq!(of(&["postgresql://", "postgresql://"]).len(), 2);
        assert_eq!(of(&["postgresql://u@h?dbname=a&password=s"]), ["postgresql://h/?dbname=a"]);
    }
}
