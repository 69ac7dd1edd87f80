//! Configuration files as Python's `ConfigParser` reads them, with `BasicInterpolation`.

use std::collections::BTreeMap;

/// The section whose keys all others inherit.
const DEFAULT: &str = "DEFAULT";
/// Python's own limit on nested interpolation.
const DEEPEST: usize = 10;

/// A configuration file: sections, and their keys in lower case.
pub struct Ini {
    sections: BTreeMap<String, BTreeMap<String, String>>,
}

impl Ini {
    /// Reads a file.
    ///
    /// # Errors
    /// What `ConfigParser` would not read, with the line.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut sections: BTreeMap<String, BTreeMap<String, Vec<String>>> = BTreeMap::new();
        let mut section: Option<String> = None;
        // The key whose value may go on, and its indentation.
        let mut open: Option<(String, usize)> = None;
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        for (number, line) in text.split('\n').enumerate() {
            let wrong = |what: &str| format!("line {}: {what}", number + 1);
            let value = line.trim();
            let indent = line.chars().take_while(|c| c.is_whitespace()).count();
            let of_open = |sections: &mut BTreeMap<String, BTreeMap<String, Vec<String>>>,
                           part: &str| {
                let keys = section.as_ref().and_then(|name| sections.get_mut(name));
                let key = open.as_ref().and_then(|(key, _)| keys?.get_mut(key));
                key.map(|parts| parts.push(part.to_owned()))
            };
            if value.starts_with(['#', ';']) {
                continue;
            }
            if value.is_empty() {
                // An empty line inside a value belongs to it.
                of_open(&mut sections, "");
                continue;
            }
            if open.as_ref().is_some_and(|(_, key_indent)| indent > *key_indent) {
                of_open(&mut sections, value);
                continue;
            }
            if let Some(header) = value.strip_prefix('[').and_then(|rest| rest.rsplit_once(']')) {
                let name = header.0.to_owned();
                if name.is_empty() {
                    return Err(wrong("a section without a name"));
                }
                if name != DEFAULT && sections.contains_key(&name) {
                    return Err(wrong(&format!("section [{name}] is there twice")));
                }
                sections.entry(name.clone()).or_default();
                (section, open) = (Some(name), None);
                continue;
            }
            let Some(keys) = section.as_ref().and_then(|name| sections.get_mut(name)) else {
                return Err(wrong("a value before the first section"));
            };
            let Some((key, first)) = value.split_once(['=', ':']) else {
                return Err(wrong("neither a section nor a key with a value"));
            };
            let key = key.trim().to_lowercase();
            if key.is_empty() {
                return Err(wrong("a value without a key"));
            }
            if keys.insert(key.clone(), vec![first.trim().to_owned()]).is_some() {
                return Err(wrong(&format!("key {key} is there twice")));
            }
            open = Some((key, indent));
        }
        let joined = |parts: Vec<String>| parts.join("\n").trim_end().to_owned();
        let sections = sections.into_iter().map(|(name, keys)| {
            (name, keys.into_iter().map(|(key, parts)| (key, joined(parts))).collect())
        });
        Ok(Self { sections: sections.collect() })
    }

    /// Whether there is such a section.
    pub fn has_section(&self, name: &str) -> bool {
        name != DEFAULT && self.sections.contains_key(name)
    }

    /// A key's value, interpolated; `here` is the value of `%(here)s` where the file has none.
    /// `None` when the section or the key is not there.
    ///
    /// # Errors
    /// A percent sign that is neither `%%` nor `%(name)s`, a name that is not there, a cycle.
    pub fn get(&self, section: &str, key: &str, here: &str) -> Result<Option<String>, String> {
        if !self.has_section(section) {
            return Ok(None);
        }
        match self.raw(section, key) {
            None => Ok(None),
            Some(raw) => interpolate(raw, &|name| match (self.raw(section, name), name) {
                (None, "here") => Some(here),
                (value, _) => value,
            })
            .map(Some)
            .map_err(|why| format!("key {key} of [{section}]: {why}")),
        }
    }

    fn raw(&self, section: &str, key: &str) -> Option<&str> {
        [section, DEFAULT]
            .iter()
            .find_map(|name| self.sections.get(*name)?.get(key))
            .map(String::as_str)
    }
}

/// Replaces `%(name)s` and `%%`.
pub fn interpolate<'a>(
    value: &str,
    lookup: &dyn Fn(&str) -> Option<&'a str>,
) -> Result<String, String> {
    expand(value, lookup, 1)
}

fn expand<'a>(
    value: &str,
    lookup: &dyn Fn(&str) -> Option<&'a str>,
    depth: usize,
) -> Result<String, String> {
    if depth > DEEPEST {
        return Err(String::from("interpolations that go on for ever"));
    }
    let mut plain = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('%') {
        plain.push_str(before);
        if let Some(after) = after.strip_prefix('%') {
            plain.push('%');
            rest = after;
            continue;
        }
        let reference = after.strip_prefix('(').and_then(|inner| inner.split_once(")s"));
        let Some((name, after)) = reference.filter(|(name, _)| !name.contains(')')) else {
            return Err(format!("a % that is neither %% nor %(name)s in \"{value}\""));
        };
        let Some(found) = lookup(&name.to_lowercase()) else {
            return Err(format!("%({name})s, which nothing defines"));
        };
        // As in Python: what is put in is interpolated itself only if it has a percent sign.
        if found.contains('%') {
            plain.push_str(&expand(found, lookup, depth + 1)?);
        } else {
            plain.push_str(found);
        }
        rest = after;
    }
    plain.push_str(rest);
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(text: &str, key: &str) -> Option<String> {
        Ini::read(text).unwrap().get("alembic", key, "/here").unwrap()
    }

    #[test]
    fn values_are_those_of_python() {
        let text = "; c\n[DEFAULT]\nbase = %(here)s/x\n[other]\nk = 1\n[alembic]  trailing\n\
                    # c\nKey_A : m ; x\nlist =\n  a\n  # c\n\n  b:c\n   d=e\n\nempty=\n\
                    nested = %(base)s/%%d/%(KEY_a)s\r\nlast = x\n  \n\n[after]\nkey_a = 2\n";
        for (key, value) in [
            ("key_a", "m ; x"),
            ("list", "\na\n\nb:c\nd=e"),
            ("empty", ""),
            ("nested", "/here/x/%d/m ; x"),
            ("base", "/here/x"),
            ("last", "x"),
        ] {
            assert_eq!(get(text, key).as_deref(), Some(value), "{key}");
        }
        assert_eq!(get(text, "k"), None);
        assert_eq!(get("[Alembic]\na = 1\n[DEFAULT]\na = 2\n", "a"), None);
        assert_eq!(get("[alembic]\nhere = /there\na = %(here)s\n", "a").as_deref(), Some("/there"));
        assert_eq!(
            get("[DEFAULT]\na = 1\n[alembic]\n[DEFAULT]\nb = 2\n", "b").as_deref(),
            Some("2")
        );
    }

    #[test]
    fn what_python_refuses_is_refused() {
        for (text, what) in [
            ("a = 1\n[alembic]\n", "line 1: a value before"),
            ("\u{feff}[alembic]\n", "before the first section"),
            ("[alembic]\na = 1\nA: 2\n", "line 3: key a is there twice"),
            ("[alembic]\n[alembic]\n", "line 2: section [alembic]"),
            ("[alembic]\nnothing\n", "neither"),
            ("[alembic\n", "before the first section"),
            ("[alembic]\n= 1\n", "without a key"),
        ] {
            let said = Ini::read(text).err().unwrap();
            assert!(said.contains(what), "{text}: {said}");
        }
        for (value, what) in [
            ("%(gone)s", "%(gone)s, which nothing defines"),
            ("50%", "neither"),
            ("%d", "neither"),
            ("%(a", "neither"),
            ("%(a)s", "for ever"),
        ] {
            let ini = Ini::read(&format!("[alembic]\na = {value}\n")).unwrap();
            let said = ini.get("alembic", "a", "").unwrap_err();
            assert!(said.contains(what) && said.contains("key a of [alembic]"), "{value}: {said}");
        }
    }
}
