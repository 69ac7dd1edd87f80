//! An Alembic ini file with some keys of `[alembic]` changed, for a run of Alembic on another
//! database or other revisions.

/// What is written where the project has no ini file: env.py files ask the configuration file for
/// loggers.
const WITHOUT_INI: &str = "\
[alembic]

[loggers]
keys = root

[handlers]
keys = console

[formatters]
keys = generic

[logger_root]
level = WARNING
handlers = console
qualname =

[handler_console]
class = StreamHandler
args = (sys.stderr,)
level = NOTSET
formatter = generic

[formatter_generic]
format = %(levelname)s [%(name)s] %(message)s
";

/// The text of an ini file in which `section` says `values`, and `%(here)s` elsewhere is `here`, as
/// the file itself lies in another place. Both are written as they are: `%` must be doubled by
/// [`escaped`], unless it is to be interpolated.
pub fn with(
    ini: Option<&str>,
    section: &str,
    here: Option<&str>,
    values: &[(&str, String)],
) -> String {
    let text = ini.unwrap_or(WITHOUT_INI);
    let mut out = String::new();
    let mut in_section = false;
    let mut dropping = false;
    let mut written = false;
    for line in text.lines() {
        let continues = line.starts_with([' ', '\t']) && !line.trim().is_empty();
        if dropping && continues {
            continue;
        }
        dropping = false;
        if let Some(name) = section_of(line) {
            in_section = name == section;
            out.push_str(line);
            out.push('\n');
            if in_section && !written {
                written = true;
                write(&mut out, values);
            }
            continue;
        }
        // The keys must not come from [DEFAULT] either, but there they do no harm.
        if in_section && key(line).is_some_and(|key| values.iter().any(|(name, _)| *name == key)) {
            dropping = true;
            continue;
        }
        match here {
            Some(here) => out.push_str(&line.replace("%(here)s", here)),
            None => out.push_str(line),
        }
        out.push('\n');
    }
    if !written {
        out.push_str(&format!("\n[{section}]\n"));
        write(&mut out, values);
    }
    out
}

fn write(out: &mut String, values: &[(&str, String)]) {
    for (name, value) in values {
        out.push_str(&format!("{name} = {value}\n"));
    }
}

/// The keys that name folders of revisions, in the project's own way to separate them.
pub fn locations(
    ini: Option<&str>,
    section: &str,
    folders: &[String],
) -> Vec<(&'static str, String)> {
    let separator = ini.and_then(|ini| {
        let mut in_section = false;
        ini.lines().find_map(|line| {
            if let Some(name) = section_of(line) {
                in_section = name == section;
            }
            let known = matches!(key(line)?.as_str(), "path_separator" | "version_path_separator");
            (in_section && known).then(|| line.split_once(['=', ':']).map(|(_, v)| v.trim()))?
        })
    });
    let between = match separator {
        Some("space") => " ",
        Some("newline") => "\n    ",
        Some(";") => ";",
        _ => ":",
    };
    let mut values = vec![("version_locations", folders.join(between))];
    if separator.is_none() {
        // Without one, Alembic splits at spaces and commas.
        values.push(("version_path_separator", String::from("os")));
    }
    values
}

/// A value without interpolation.
pub fn escaped(value: &str) -> String {
    value.replace('%', "%%")
}

fn section_of(line: &str) -> Option<&str> {
    line.strip_prefix('[')?.split(']').next()
}

/// The key of a line, as ConfigParser takes it: in lower case.
fn key(line: &str) -> Option<String> {
    if line.starts_with([' ', '\t', '#', ';']) {
        return None;
    }
    let end = line.find(['=', ':'])?;
    Some(line[..end].trim().to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_replaced_with_their_continuation_lines_and_nothing_else_is() {
        let ini = "# mine\n[alembic]\nscript_location = %(here)s/m\nSQLAlchemy.URL: x\n    more\n\
                   version_locations =\n    a\n    b\n\n[loggers]\nkeys = root\nsqlalchemy.url = kept\n";
        let values = [
            ("sqlalchemy.url", escaped("postgresql://a%20b")),
            ("version_locations", String::from("/new")),
        ];
        let text = with(Some(ini), "alembic", Some("/a%%b"), &values);
        assert_eq!(
            text,
            "# mine\n[alembic]\nsqlalchemy.url = postgresql://a%%20b\nversion_locations = /new\n\
             script_location = /a%%b/m\n\n[loggers]\nkeys = root\nsqlalchemy.url = kept\n"
        );
    }

    #[test]
    fn folders_are_separated_as_the_project_does_it() {
        let folders = [String::from("/a b"), String::from("/c")];
        let of = |ini| locations(ini, "alembic", &folders);
        let os = ("version_path_separator", String::from("os"));
        assert_eq!(of(None), [("version_locations", String::from("/a b:/c")), os]);
        let ini = "[alembic]\npath_separator = newline\n";
        assert_eq!(of(Some(ini)), [("version_locations", String::from("/a b\n    /c"))]);
    }

    #[test]
    fn a_project_without_ini_gets_one_that_can_be_logged_by() {
        let text = with(None, "alembic", None, &[("script_location", String::from("m"))]);
        assert!(text.starts_with("[alembic]\nscript_location = m\n"), "{text}");
        assert!(text.contains("[formatter_generic]"));
        let text = with(Some("[other]\na = b\n"), "alembic", None, &[("x", String::from("y"))]);
        assert_eq!(text, "[other]\na = b\n\n[alembic]\nx = y\n");
    }
}
