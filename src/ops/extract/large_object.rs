//! The content of one large object.

use super::Take;
use crate::archive::reader::ArchiveReader;
use crate::error::{Error, Kind, Result};
use crate::model::name::counted;
use crate::ops::verify;
use crate::rules::large_object_digest::{Piece, PieceReader};
use crate::rules::selection::nearest;

const ZEROS: [u8; 8192] = [0; 8192];

/// Writes the content; what no piece covers is zero.
pub fn write(reader: &ArchiveReader, wanted: u32, take: Take<'_>) -> Result<()> {
    let objects = &reader.manifest().large_objects;
    if !objects.objects.iter().any(|object| object.oid == wanted) {
        let text = format!("the archive has no large object with OID {wanted}");
        let error = Error::new(Kind::NotFound, text);
        let oids = objects.objects.iter().map(|object| object.oid.to_string());
        return Err(match nearest(&wanted.to_string(), oids) {
            Some(oid) => error.hint(format!("did you mean {oid}?")),
            None => {
                error.hint(format!("it has {}", counted(objects.count as usize, "large object")))
            }
        });
    }
    let mut pieces = PieceReader::default();
    let mut size = 0;
    let mut put = |piece: Piece| -> Result<()> {
        if piece.oid != wanted {
            return Ok(());
        }
        let mut hole = piece
            .start
            .checked_sub(size)
            .ok_or_else(|| Error::damaged("pieces of the large object overlap"))?;
        size = piece.start + piece.data.len() as u64;
        while hole > 0 {
            let length = hole.min(ZEROS.len() as u64);
            take(&ZEROS[..length as usize])?;
            hole -= length;
        }
        take(&piece.data)
    };
    for chunk in &objects.chunks {
        let frame = reader.member(&chunk.member)?;
        verify::check_chunk(chunk, &frame, &mut |text| pieces.update(text, &mut put)).map_err(
            |error| error.while_doing(format!("cannot extract from {}", chunk.member.member)),
        )?;
    }
    pieces.finish()
}
