//! The server's own text of expressions and queries, changed where it would be read back as another tree
//! than it was written from: which has another text the next time, or cannot be read at all.

mod array_casts;
mod cycle_marks;
mod extract_fields;
mod negated_numbers;
mod nested_conditions;
mod output_names;
mod values;

pub(super) use values::without_select;

type Change = fn(&str) -> String;

/// Each change, with what stands in all texts that it changes.
const CHANGES: [(&str, Change); 6] = [
    ("(ARRAY[", array_casts::keep),
    ("EXTRACT(", extract_fields::keep),
    ("SELECT", output_names::keep),
    ("((", nested_conditions::keep),
    ("(- ", negated_numbers::keep),
    (" CYCLE ", cycle_marks::keep),
];

/// Changes a statement so that it means the same when it is read back.
pub(super) fn keep(sql: &mut String) {
    for (sign, change) in CHANGES {
        if sql.contains(sign) {
            *sql = change(sql);
        }
    }
}
