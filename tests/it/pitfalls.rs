//! dump-correctness section 4: what a logical backup gets wrong without an error. Each test shows
//! the naive form to fail on this very server, and then that pgark's archive does not.

/// P1 to P9 and P19: rows that are missing, doubled, swapped or altered.
mod rows;
/// P10 to P18 and P20: definitions that come back as others.
mod schema;
