//! SHA-256.

use sha2::{Digest, Sha256};

/// SHA-256 of `content`, in lower-case hexadecimal.
pub fn sha256(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}
