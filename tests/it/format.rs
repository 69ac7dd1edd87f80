//! `docs/format.md` is the specification, and every *must* in it names the test that holds it.

use crate::harness::project;
use regex::Regex;
use std::fs;

#[test]
fn every_must_of_the_format_names_a_test_that_exists() {
    let text = fs::read_to_string(project().join("docs/format.md")).unwrap();
    let reference = Regex::new(r"\[test: ([\w:/]+)::(\w+)\]").unwrap();
    let mut count = 0;
    for found in reference.captures_iter(&text) {
        count += 1;
        let (file, name) = (&found[1], &found[2]);
        let paths =
            [format!("tests/it/{file}.rs"), format!("tests/{file}.rs"), format!("src/{file}.rs")];
        let source = paths.iter().find_map(|path| fs::read_to_string(project().join(path)).ok());
        let source = source.unwrap_or_else(|| panic!("{file} of {} is no file", &found[0]));
        assert!(source.contains(&format!("fn {name}(")), "there is no test {}", &found[0]);
    }
    assert!(count > 25, "{count} references");
    // A paragraph or list item that says *must* says also how it is known to hold.
    for paragraph in text.split("\n\n").flat_map(|p| p.split("\n- ")) {
        let holds = !paragraph.contains("*must*") || paragraph.contains("[test: ");
        assert!(holds, "no test is named for: {paragraph}");
    }
}

#[test]
fn every_property_of_a_description_is_in_the_specification() {
    let text = fs::read_to_string(project().join("docs/format.md")).unwrap();
    let source = fs::read_to_string(project().join("src/model/catalog.rs")).unwrap();
    let list = source.split("pub enum Property {").nth(1).unwrap().split("\n}").next().unwrap();
    let variant = Regex::new(r"(?m)^    (\w+),$").unwrap();
    let upper = Regex::new("[A-Z]").unwrap();
    let mut count = 0;
    for found in variant.captures_iter(list) {
        count += 1;
        let kebab = upper.replace_all(&found[1], "-$0").to_lowercase();
        let name = kebab.trim_start_matches('-');
        assert!(text.contains(&format!("`{name}`")), "docs/format.md does not know `{name}`");
    }
    assert!(count > 60, "{count} properties");
}

#[test]
fn every_aspect_that_can_be_ignored_is_in_the_manual() {
    let text = fs::read_to_string(project().join("docs/compare.md")).unwrap();
    for aspect in pgark::rules::schema_diff::Aspect::IGNORABLE {
        assert!(text.contains(&format!("`{aspect}`")), "docs/compare.md does not know `{aspect}`");
    }
}

#[test]
fn every_field_of_the_manifest_is_in_the_specification() {
    fn fields(value: &serde_json::Value, found: &mut std::collections::BTreeSet<String>) {
        match value {
            serde_json::Value::Array(values) => values.iter().for_each(|v| fields(v, found)),
            serde_json::Value::Object(map) => {
                for (name, value) in map {
                    found.insert(name.clone());
                    fields(value, found);
                }
            }
            _ => {}
        }
    }
    let text = fs::read_to_string(project().join("docs/format.md")).unwrap();
    let manifest = crate::harness::archive::Parts::of(crate::harness::archive::small()).manifest();
    let mut found = std::collections::BTreeSet::new();
    fields(&manifest, &mut found);
    let missing: Vec<_> =
        found.iter().filter(|name| !text.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "docs/format.md does not say what these are: {missing:?}");
}
