//! How many bytes an archive has, from its manifest alone.

use super::manifest::{Manifest, Member};
use super::tar_layout::{BLOCK, END, MemberHeader, padding};
use super::writer::checksum_line;
use crate::error::Result;

/// Longest name that a header of one block has room for.
const SHORT_NAME: usize = 100;

/// Bytes of the archive of `manifest`, which has `json_bytes` as JSON. A file of another size is not
/// that archive any more; one of this size may still be damaged.
///
/// # Errors
/// A member's name cannot stand in a tar.
pub fn of_archive(manifest: &Manifest, json_bytes: u64) -> Result<u64> {
    let mut sums = checksum_line(&sealed(json_bytes)).len() as u64;
    let mut total = END.len() as u64;
    for member in manifest.members() {
        sums = sums.saturating_add(checksum_line(member).len() as u64);
        total = total.saturating_add(with_header(&member.member, member.size)?);
    }
    total = total.saturating_add(with_header("manifest.json", json_bytes)?);
    Ok(total.saturating_add(with_header("SHA256SUMS", sums)?))
}

/// The manifest's own line among the checksums: only its length matters here.
fn sealed(json_bytes: u64) -> Member {
    Member { member: String::from("manifest.json"), size: json_bytes, sha256: "0".repeat(64) }
}

fn with_header(name: &str, size: u64) -> Result<u64> {
    let header = match name.len() <= SHORT_NAME {
        true => BLOCK,
        false => {
            let header = MemberHeader { name: name.to_owned(), size: 0, mode: 0, mtime: 0 };
            header.to_blocks()?.len() as u64
        }
    };
    Ok(header.saturating_add(size).saturating_add(padding(size)))
}
