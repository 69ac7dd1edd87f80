//! Patterns that match nothing, and what may have been meant.

use crate::error::{Error, Kind};
use crate::model::name::{QualifiedName, enumerate};
use crate::rules::pattern::{Pattern, exactly};

/// The failure of a pattern that matches none of `tables`.
pub fn no_table(what: &str, pattern: &Pattern, tables: &[&QualifiedName]) -> Error {
    let there = tables.iter().map(|table| exact(table)).collect();
    no_match(what, pattern, candidates(tables.iter().copied()), there)
}

/// The failure of a pattern of plain names that matches none of them.
pub fn no_name<T: AsRef<str>>(what: &str, pattern: &Pattern, names: &[T]) -> Error {
    let names = names.iter().map(AsRef::as_ref);
    let candidates = names.clone().map(|name| (name.to_owned(), exactly(name))).collect();
    no_match(what, pattern, candidates, names.map(exactly).collect())
}

/// What a pattern of tables may have meant: names as they are, and as patterns.
fn candidates<'a>(tables: impl Iterator<Item = &'a QualifiedName>) -> Vec<(String, String)> {
    tables
        .flat_map(|table| {
            let full = format!("{}.{}", table.schema, table.name);
            [(table.name.clone(), exactly(&table.name)), (full, exact(table))]
        })
        .collect()
}

/// The pattern of this table alone.
pub fn exact(table: &QualifiedName) -> String {
    format!("{}.{}", exactly(&table.schema), exactly(&table.name))
}

fn no_match(
    what: &str,
    pattern: &Pattern,
    candidates: Vec<(String, String)>,
    there: Vec<String>,
) -> Error {
    /// More would hide the failure itself.
    const LISTED: usize = 8;
    let error = Error::new(Kind::NotFound, format!("no {what} matches \"{}\"", pattern.text()));
    let plain = pattern.plain().to_lowercase();
    let folded = candidates.into_iter().map(|(name, shown)| (name.to_lowercase(), shown));
    match nearest_of(&plain, folded) {
        Some(name) => error.hint(did_you_mean(&name)),
        None if there.is_empty() => error.hint(format!("there is no {what}")),
        None if there.len() <= LISTED => error.hint(format!("there is {}", enumerate(&there))),
        None => error.hint(format!(
            "there is {} and {} more",
            there[..LISTED].join(", "),
            there.len() - LISTED
        )),
    }
}

/// What to say of a pattern that matches none of `tables`, if one is near enough to be meant.
pub fn meant<'a>(
    pattern: &Pattern,
    tables: impl Iterator<Item = &'a QualifiedName>,
) -> Option<String> {
    let folded = candidates(tables).into_iter().map(|(name, shown)| (name.to_lowercase(), shown));
    nearest_of(&pattern.plain().to_lowercase(), folded).map(|name| did_you_mean(&name))
}

/// A pattern with double quotes stands in single ones, as a shell takes it.
fn did_you_mean(pattern: &str) -> String {
    match pattern.contains('"') {
        true => format!("did you mean '{pattern}'?"),
        false => format!("did you mean \"{pattern}\"?"),
    }
}

/// The name nearest to `wanted`, if one is near enough to be meant.
pub fn nearest(wanted: &str, names: impl Iterator<Item = String>) -> Option<String> {
    nearest_of(wanted, names.map(|name| (name.clone(), name)))
}

/// The same with what each name is shown as. A third of the letters may be wrong, but never all.
fn nearest_of(wanted: &str, names: impl Iterator<Item = (String, String)>) -> Option<String> {
    let letters = wanted.chars().count();
    names
        .map(|(name, shown)| (strsim::damerau_levenshtein(wanted, &name), shown))
        .filter(|(distance, _)| *distance <= letters.div_ceil(3) && *distance < letters)
        .min()
        .map(|(_, shown)| shown)
}
