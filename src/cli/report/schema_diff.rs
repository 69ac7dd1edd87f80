//! Differences of schemas for people: `-` is on the left alone, `+` on the right alone, `~` on both
//! and not equal.

use crate::model::catalog::{Address, Properties, Property, Value};
use crate::model::name::{Printable, enumerate, plain_names};
use crate::rules::schema_diff::{Aspect, Change, Difference, Side};
use similar::{Algorithm, ChangeTag};
use std::collections::BTreeMap;

/// Equal lines that are shown around what differs in a long text.
const CONTEXT: usize = 2;

/// How long a value may be to be shown on one line.
const ONE_LINE: usize = 60;

/// The differences, those of one relation under its name.
pub fn lines(differences: &[Difference]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut under: Option<&Address> = None;
    for difference in differences {
        let object_alone =
            difference.column.is_none() && matches!(difference.change, Change::Only { .. });
        let head = match &difference.whole {
            Some(whole) => Some(whole),
            None if object_alone => None,
            None => Some(&difference.object),
        };
        if head != under
            && let Some(head) = head
        {
            lines.push(format!("~ {head}"));
        }
        under = head;
        let indent = if head.is_some() { "  " } else { "" };
        let shown = one(difference).into_iter();
        lines.extend(shown.map(|line| format!("{indent}{line}").trim_end().to_owned()));
    }
    lines
}

/// How many differences there are, by what they are about.
pub fn counted(differences: &[Difference]) -> String {
    let mut counts: BTreeMap<Aspect, usize> = BTreeMap::new();
    for difference in differences {
        *counts.entry(difference.aspect).or_default() += 1;
    }
    let counts: Vec<String> =
        counts.iter().map(|(aspect, count)| format!("{aspect} {count}")).collect();
    counts.join(", ")
}

fn one(difference: &Difference) -> Vec<String> {
    let name = place(difference);
    let mut lines = match &difference.change {
        Change::Only { side, properties, columns, parts } => {
            let mut line = format!("{} {name}", sign(*side));
            let about = about(difference, properties, columns, parts);
            if !about.is_empty() {
                line.push_str(&format!(": {about}"));
            }
            vec![line]
        }
        Change::Order { left, right } => {
            let list = |names: &[String]| {
                names.iter().map(|name| Printable(name).to_string()).collect::<Vec<_>>()
            };
            between(&joined(&name, "column order"), &list(left), &list(right))
        }
        Change::Property { property, left, right } => {
            let mark = if difference.uncertain { " (?)" } else { "" };
            let label = joined(&name, &format!("{}{mark}", words(*property)));
            property_lines(&label, *property, left.as_ref(), right.as_ref())
        }
    };
    if let Some(first) = lines.first_mut() {
        if let Some(other) = &difference.perhaps_renamed {
            first.push_str(&format!(" (perhaps renamed: {})", Printable(other)));
        }
        if !difference.also.is_empty() {
            let also: Vec<String> = difference.also.iter().map(Address::to_string).collect();
            first.push_str(&format!(" (also {})", enumerate(&also)));
        }
    }
    lines
}

fn sign(side: Side) -> char {
    match side {
        Side::Left => '-',
        Side::Right => '+',
    }
}

/// What differs, as it is called below the name of its relation.
fn place(difference: &Difference) -> String {
    let object = &difference.object;
    match (&difference.column, &difference.whole, &difference.change) {
        (Some(column), _, _) => format!("column {}", Printable(column)),
        (None, Some(_), _) => format!("{} {}", object.class, Printable(&object.name)),
        (None, None, Change::Only { .. }) => object.to_string(),
        (None, None, _) => String::new(),
    }
}

fn joined(name: &str, what: &str) -> String {
    if name.is_empty() { what.to_owned() } else { format!("{name}: {what}") }
}

fn words(property: Property) -> String {
    property.to_string().replace('-', " ")
}

/// What something that is on one side alone is.
fn about(
    difference: &Difference,
    properties: &Properties,
    columns: &[String],
    parts: &[Address],
) -> String {
    let mut said = Vec::new();
    // An object's name says enough of a function or a sequence; its owner is said when it differs.
    let telling: &[Property] = match difference.column {
        Some(_) => &[
            Property::Type,
            Property::Collation,
            Property::NotNull,
            Property::Default,
            Property::Generated,
            Property::Identity,
        ],
        None => &[Property::Unique, Property::Labels, Property::Definition],
    };
    for property in telling {
        match properties.get(property) {
            Some(Value::Text(text)) => said.push(match property {
                Property::Type | Property::Definition => readable(*property, text),
                Property::Unique => words(*property),
                Property::NotNull if text == "yes" => words(*property),
                _ => format!("{} {}", words(*property), readable(*property, text)),
            }),
            Some(Value::List(list)) if *property == Property::Labels => said.push(list.join(", ")),
            _ => {}
        }
    }
    match columns.len() {
        0 => {}
        1 => said.push(String::from("1 column")),
        count => said.push(format!("{count} columns")),
    }
    if !parts.is_empty() {
        let part = |part: &Address| format!("{} {}", part.class, Printable(&part.name));
        let parts: Vec<String> = parts.iter().map(part).collect();
        said.push(format!("with {}", enumerate(&parts)));
    }
    let said = said.join(", ");
    Printable(&said.replace('\n', " ")).to_string()
}

fn property_lines(
    label: &str,
    property: Property,
    left: Option<&Value>,
    right: Option<&Value>,
) -> Vec<String> {
    let (mut ours, mut theirs) = (shown(property, left, true), shown(property, right, true));
    if ours == theirs {
        // Only quotes differ, and they mean something then.
        (ours, theirs) = (shown(property, left, false), shown(property, right, false));
    }
    let is_list = matches!((left, right), (Some(Value::List(_)), _) | (_, Some(Value::List(_))));
    let short = |lines: &[String]| lines.len() <= 1 && lines.iter().all(|l| l.len() <= ONE_LINE);
    if is_list || !short(&ours) || !short(&theirs) {
        return between(label, &ours, &theirs);
    }
    let one = |lines: &[String]| lines.first().cloned().unwrap_or_default();
    match (left, right) {
        (None, _) => vec![format!("+ {label}: {}", one(&theirs))],
        (_, None) => vec![format!("- {label}: {}", one(&ours))],
        _ => vec![format!("~ {label}: {} -> {}", one(&ours), one(&theirs))],
    }
}

/// The lines of a value, fit for a terminal.
fn shown(property: Property, value: Option<&Value>, plainly: bool) -> Vec<String> {
    let text = |text: &str| -> Vec<String> {
        let text = if plainly { readable(property, text) } else { text.to_owned() };
        text.split('\n').map(|line| Printable(line).to_string()).collect()
    };
    match value {
        None => Vec::new(),
        Some(Value::Text(value)) => text(value),
        Some(Value::List(items)) => items.iter().flat_map(|item| text(item)).collect(),
    }
}

/// What differs between two lists of lines, with a little of what does not.
fn between(label: &str, left: &[String], right: &[String]) -> Vec<String> {
    let mut lines = vec![format!("~ {label}:")];
    let changes = similar::capture_diff_slices(Algorithm::Myers, left, right);
    for (position, group) in similar::group_diff_ops(changes, CONTEXT).iter().enumerate() {
        if position > 0 {
            lines.push(String::from("    …"));
        }
        for change in group.iter().flat_map(|change| change.iter_changes(left, right)) {
            let sign = match change.tag() {
                ChangeTag::Equal => ' ',
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
            };
            lines.push(format!("    {sign} {}", change.value_ref()));
        }
    }
    lines
}

/// The server quotes every name; for people, names that need no quotes have none. Texts that users
/// wrote are left alone.
fn readable(property: Property, text: &str) -> String {
    match property {
        Property::Body
        | Property::Comment
        | Property::OtherComments
        | Property::Labels
        | Property::Settings
        | Property::Library
        | Property::Statements => text.to_owned(),
        _ => plain_names(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_the_quotes_that_they_do_not_need() {
        for (text, plain) in [
            (r#""btree" ("a", "B b")"#, r#"btree (a, "B b")"#),
            (r#"'"x"'::"text""#, r#"'"x"'::text"#),
            (r#"'it''s "y"' || "z""#, r#"'it''s "y"' || z"#),
            (r#""a""b" "c"#, r#""a""b" "c"#),
        ] {
            assert_eq!(readable(Property::Definition, text), plain);
            assert_eq!(readable(Property::Body, text), text);
        }
    }

    #[test]
    fn a_long_text_is_shown_around_its_differences() {
        let text = |changed: &str| -> Vec<String> {
            (0..20).map(|n| if n == 10 { changed.to_owned() } else { n.to_string() }).collect()
        };
        let shown = between("body", &text("old"), &text("new"));
        assert_eq!(
            shown,
            ["~ body:", "      8", "      9", "    - old", "    + new", "      11", "      12"]
        );
    }
}
