//! Lists as they are read, without room to spare: there are some in every entry of a manifest, most have
//! one item or two, and a list that grows makes room for four.

use serde::{Deserialize, Deserializer};

/// Reads a list and gives back the room that it has over.
///
/// # Errors
/// The deserializer's.
pub fn exact<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let mut list = Vec::deserialize(deserializer)?;
    list.shrink_to_fit();
    Ok(list)
}
