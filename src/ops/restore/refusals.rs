//! What is to be done where the target refuses what the source took.

use crate::error::Error;
use crate::pg::failure;

/// Why a function of the schema does not find what is there.
pub const WHY: &str = "functions run here without a search_path, and a body that names things without their schema finds nothing";

/// A failure to load rows, with what helps.
pub fn explained(error: Error) -> Error {
    if failure::is_of_search_path(&error) {
        error.hint(format!(
            "{WHY}: give it one where the rows come from (ALTER FUNCTION … SET search_path = …), or name the schemas with --search-path"
        ))
    } else if failure::is_of_partition(&error) {
        error.hint(
            "the key hashes or sorts otherwise on this server: with --load-via-partition-root it puts the rows where they belong here",
        )
    } else {
        error
    }
}
