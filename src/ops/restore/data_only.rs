//! stub
use super::*;
pub fn run(
    _r: &ArchiveReader,
    _o: &Options,
    _e: OnExisting,
    _ob: &dyn Observer,
    _i: &Interrupt,
) -> Result<Summary> {
    Err(Error::failed("not yet"))
}
