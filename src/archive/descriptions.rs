//! The member that says what the schema's objects are, property by property: `docs/format.md`,
//! "Descriptions". It is for comparisons alone; a restore does without.

use super::frame::{self, FrameWriter};
use crate::error::{Error, Result};
use crate::model::catalog::Description;
use crate::model::schema::SchemaObject;
use serde::de::{DeserializeOwned, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// The member's name.
pub const MEMBER: &str = "schema/objects.json.zst";

/// What this program writes; it understands what was written before. It changes whenever a property comes to mean something
/// else or is written for objects that did not have it: descriptions of two versions would differ
/// where the objects do not. Version 1 does not have the members of extensions, which are compared only
/// where both sides have them.
pub const VERSION: u64 = 2;

/// Bytes of JSON that are decompressed at most.
const LARGEST: u64 = 1 << 30;

#[derive(Serialize)]
struct Written<'a> {
    version: u64,
    objects: Vec<&'a [Description]>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read<Objects> {
    #[serde(rename = "version")]
    _version: u64,
    objects: Objects,
}

/// How many lists of descriptions there are; each was read, and none is kept.
struct Counted(usize);

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Lists;
        impl<'de> Visitor<'de> for Lists {
            type Value = Counted;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a list of lists")
            }

            fn visit_seq<A: SeqAccess<'de>>(
                self,
                mut lists: A,
            ) -> std::result::Result<Counted, A::Error> {
                let mut count = 0;
                while lists.next_element::<Vec<Description>>()?.is_some() {
                    count += 1;
                }
                Ok(Counted(count))
            }
        }
        deserializer.deserialize_seq(Lists)
    }
}

/// The bytes of the member.
pub fn write(objects: &[SchemaObject], level: i32) -> Result<Vec<u8>> {
    let objects = objects.iter().map(|object| object.descriptions.as_slice()).collect();
    let mut frame = FrameWriter::new(level)?;
    serde_json::to_writer(&mut frame, &Written { version: VERSION, objects })
        .map_err(|error| Error::failed("cannot write the descriptions").caused_by(error))?;
    frame.finish()
}

/// Reads the member: its version, and one list per object of the manifest, in the same order. `None`:
/// a newer pgark wrote it, and what it says cannot be compared with what this one would say.
///
/// # Errors
/// [`Kind::Damaged`](crate::error::Kind::Damaged) for anything but a member for `count` objects.
pub fn read(member: &[u8], count: usize) -> Result<Option<(u64, Vec<Vec<Description>>)>> {
    let Some((version, mut objects)) = parsed::<Vec<Vec<Description>>>(member)? else {
        return Ok(None);
    };
    check_count(objects.len(), count)?;
    objects.iter_mut().for_each(Vec::shrink_to_fit);
    Ok(Some((version, objects)))
}

/// Fails where [`read`] would, and holds one object's descriptions at a time.
///
/// # Errors
/// Those of [`read`].
pub fn check(member: &[u8], count: usize) -> Result<()> {
    parsed(member)?.map_or(Ok(()), |(_, Counted(found))| check_count(found, count))
}

fn check_count(found: usize, count: usize) -> Result<()> {
    if found == count {
        return Ok(());
    }
    Err(Error::damaged(format!("there are descriptions for {found} objects instead of {count}")))
}

fn parsed<Objects: DeserializeOwned>(member: &[u8]) -> Result<Option<(u64, Objects)>> {
    #[derive(Deserialize)]
    struct Head {
        version: u64,
    }
    let damaged = |error| Error::damaged("the descriptions cannot be read").caused_by(error);
    let size = frame::declared_size(member)?;
    if size > LARGEST {
        return Err(Error::damaged("the descriptions are larger than anything pgark writes"));
    }
    let json = frame::decompress_whole(member, size)?;
    let head: Head = serde_json::from_slice(&json).map_err(damaged)?;
    if !(1..=VERSION).contains(&head.version) {
        return Ok(None);
    }
    let read: Read<Objects> = serde_json::from_slice(&json).map_err(damaged)?;
    Ok(Some((head.version, read.objects)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::catalog::{Address, Property};
    use crate::model::name::QualifiedName;
    use crate::model::schema::ObjectClass;

    #[test]
    fn descriptions_come_back_and_another_version_is_told_apart() {
        let mut description =
            Description::new(Address::part(ObjectClass::Index, &QualifiedName::new("s", "t"), "i"));
        description.set(Property::Definition, "btree (a)").add(Property::Options, "x=1");
        description.column("a").set(Property::Type, "integer");
        let one = |objects: &str| frame::compress(objects.as_bytes(), 3).unwrap();
        let json = serde_json::to_string(&description).unwrap();
        let member = one(&format!(r#"{{"version":1,"objects":[[{json}],[]]}}"#));
        assert_eq!(read(&member, 2).unwrap(), Some((1, vec![vec![description], Vec::new()])));
        assert!(read(&write(&[], 3).unwrap(), 0).unwrap().is_some());
        assert!(check(&member, 2).is_ok());
        assert!(read(&member, 3).is_err() && check(&member, 3).is_err());
        assert!(read(&member[1..], 2).is_err());
        let newer = one(r#"{"version":3,"objects":[{"what":"ever"}],"more":1}"#);
        assert_eq!(read(&newer, 1).unwrap(), None);
        assert!(check(&newer, 1).is_ok());
        assert!(read(&one(r#"{"version":1,"objects":[],"more":1}"#), 0).is_err());
        assert!(check(&one(r#"{"version":1,"objects":[[{"of":1}]]}"#), 1).is_err());
    }
}
