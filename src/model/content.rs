//! How much a table, a chunk or a set of large objects holds, and a digest of it.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::ops::AddAssign;

/// An order-independent digest of rows: the sum, modulo 2^128, of the XXH3-128 hashes of all rows.
///
/// A sum, because equal rows must not cancel each other as they would in an exclusive or, and
/// because rows come in any order when several workers load them. It detects accidents, not
/// forgery; members of an archive carry SHA-256 besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RowDigest(u128);

impl RowDigest {
    /// Adds the hash of one row.
    pub fn add_row(&mut self, hash: u128) {
        self.0 = self.0.wrapping_add(hash);
    }
}

impl AddAssign for RowDigest {
    fn add_assign(&mut self, other: Self) {
        self.0 = self.0.wrapping_add(other.0);
    }
}

impl fmt::Display for RowDigest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:032x}", self.0)
    }
}

impl Serialize for RowDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RowDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let lower_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if text.len() != 32 || !text.chars().all(lower_hex) {
            return Err(de::Error::custom("a digest is 32 lower-case hexadecimal digits"));
        }
        u128::from_str_radix(&text, 16).map(Self).map_err(de::Error::custom)
    }
}

/// The amount and the digest of some rows as COPY writes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// Number of rows.
    pub rows: u64,
    /// Bytes: of COPY text, line ends included, or of the rows in the binary format.
    pub bytes: u64,
    /// Digest of the rows.
    pub digest: RowDigest,
}

impl AddAssign for Content {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.digest += other.digest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_survives_json_and_wraps() {
        let mut digest = RowDigest(u128::MAX);
        digest.add_row(2);
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(json, "\"00000000000000000000000000000001\"");
        assert_eq!(serde_json::from_str::<RowDigest>(&json).unwrap(), digest);
        assert!(serde_json::from_str::<RowDigest>("\"+0000000000000000000000000000001\"").is_err());
    }
}
