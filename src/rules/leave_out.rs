//! Which objects of a schema a restore does without.

use super::object_selection::{Fate, Selected, split};
use super::selection::nearest;
use crate::error::{Error, Kind, Result};
use crate::model::name::{enumerate, shell_quoted, shell_word};
use crate::model::schema::{ObjectClass, SchemaObject};
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};

/// Objects to do without: all of a class, or those of a name.
#[derive(Clone, Debug)]
pub struct LeaveOut {
    class: ObjectClass,
    name: Option<Name>,
}

/// A name as messages write it, in which `*` is any text.
#[derive(Clone, Debug)]
struct Name {
    text: String,
    pattern: Regex,
}

impl LeaveOut {
    /// All objects of a class.
    pub fn class(class: ObjectClass) -> Self {
        Self { class, name: None }
    }

    /// The objects of a class whose names are this one, or are like it.
    ///
    /// # Errors
    /// [`Kind::Usage`] for an empty or an endless name.
    pub fn named(class: ObjectClass, name: &str) -> Result<Self> {
        let wrong = |why| Error::new(Kind::Usage, format!("the name of a {class} {why}"));
        if name.is_empty() {
            return Err(wrong("to leave out is empty"));
        }
        let pattern = regex::escape(name).replace(r"\*", ".*");
        let pattern =
            Regex::new(&format!("^(?s:{pattern})$")).map_err(|_| wrong("is too long a pattern"))?;
        Ok(Self { class, name: Some(Name { text: name.to_owned(), pattern }) })
    }

    /// Whether all of a class, or something of this name, is to be left out.
    pub fn takes_name(&self, class: ObjectClass, name: &str) -> bool {
        let is_it = |wanted: &Name| wanted.pattern.is_match(name);
        class == self.class && self.name.as_ref().is_none_or(is_it)
    }

    /// Positions of the objects. Where something has exactly the name, `*` in it is itself.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for a name that nothing has; of a class there may be none.
    fn chosen(&self, objects: &[SchemaObject]) -> Result<Vec<usize>> {
        let of_class = objects.iter().enumerate().filter(|(_, object)| object.class == self.class);
        let Some(wanted) = &self.name else {
            return Ok(of_class.map(|(position, _)| position).collect());
        };
        let named: Vec<(usize, String)> =
            of_class.map(|(position, object)| (position, name_of(object))).collect();
        let those = |is_it: &dyn Fn(&str) -> bool| -> Vec<usize> {
            named.iter().filter(|(_, name)| is_it(name)).map(|(position, _)| *position).collect()
        };
        let exact = those(&|name| name == wanted.text);
        let chosen = match exact.is_empty() {
            true => those(&|name| wanted.pattern.is_match(name)),
            false => exact,
        };
        match chosen.is_empty() {
            true => Err(self.unknown(&wanted.text, named.into_iter().map(|(_, name)| name))),
            false => Ok(chosen),
        }
    }

    fn unknown(&self, wanted: &str, there: impl Iterator<Item = String>) -> Error {
        let class = self.class;
        let there: Vec<String> = there.collect();
        let error =
            Error::new(Kind::NotFound, format!("there is no {class} {wanted} to leave out"));
        match nearest(wanted, there.iter().cloned()) {
            Some(near) => {
                error.hint(format!("did you mean {}?", shell_quoted(&format!("{class}:{near}"))))
            }
            None if there.is_empty() => error.hint(format!("there is nothing of class {class}")),
            None => error.hint(format!("of class {class} there is {}", enumerate(&there))),
        }
    }
}

/// What leaves out exactly this object, as it is typed.
pub fn flag(object: &SchemaObject) -> String {
    let what = format!("{}:{}", object.class, name_of(object));
    format!("--leave-out {}", shell_word(&what))
}

/// What leaves out these of the objects: by class, where they are all of it.
pub fn flags(objects: &[SchemaObject], unwanted: &[&SchemaObject]) -> BTreeSet<String> {
    let mut spared: BTreeMap<ObjectClass, usize> = BTreeMap::new();
    for object in objects {
        *spared.entry(object.class).or_default() += 1;
    }
    for object in unwanted {
        spared.entry(object.class).and_modify(|count| *count -= 1);
    }
    let flag_of = |object: &&SchemaObject| match spared.get(&object.class) {
        Some(0) => format!("--leave-out {}", object.class),
        _ => flag(object),
    };
    unwanted.iter().map(flag_of).collect()
}

/// Everything but what is to be left out, and what needs that.
///
/// # Errors
/// A table would have to go, and its rows with it; [`Kind::NotFound`] for a name that nothing has.
pub fn without(objects: Vec<SchemaObject>, unwanted: &[LeaveOut]) -> Result<Selected> {
    if unwanted.is_empty() {
        return Ok(Selected { objects, left_out: Vec::new() });
    }
    let mut chosen = BTreeSet::new();
    for unwanted in unwanted {
        chosen.extend(unwanted.chosen(&objects)?);
    }
    let mut fates = Vec::with_capacity(objects.len());
    for (position, object) in objects.iter().enumerate() {
        let gone = object.depends_on.iter().find(|needed| fates[**needed] == Fate::Removed);
        let chosen = chosen.contains(&position);
        if object.class == ObjectClass::Table && (chosen || gone.is_some()) {
            let reason = gone.map(|gone| format!(", since it needs {}", objects[*gone]));
            return Err(Error::refused(format!(
                "{object} would be left out{}",
                reason.unwrap_or_default()
            ))
            .hint("restore into tables that are there with --data-only and --exclude-table"));
        }
        let removed = chosen || gone.is_some();
        fates.push(if removed { Fate::Removed } else { Fate::Kept });
    }
    // Whatever goes is named, a part of something else or not.
    let seeds = vec![Fate::Kept; objects.len()];
    Ok(split(objects, &seeds, &fates))
}

/// The name of an object without its class: `public.v`, `public.f(integer)`, `public.i on public.t`.
fn name_of(object: &SchemaObject) -> String {
    let printed = object.to_string();
    printed.split_once(' ').map_or_else(String::new, |(_, name)| name.to_owned())
}
