//! Berkeley DB's hash files (its `dbinc/db_page.h`), as far as rpm uses them: each header is a value on overflow pages.

use super::little;

const MAGIC: u32 = 0x0006_1561;
const PAGE_HEADER: usize = 26;
const HASH_UNSORTED: u8 = 2;
const HASH: u8 = 13;
const OVERFLOW: u8 = 7;
/// An item that says on which page its data begins.
const OFF_PAGE: u8 = 3;

/// Reads all values that are too long for their page: rpm's headers all are.
pub(super) fn blobs(database: &[u8]) -> Option<Vec<Vec<u8>>> {
    // A file of a big-endian machine is not read.
    if little(database, 12)? != MAGIC {
        return None;
    }
    let size = little(database, 20)? as usize;
    if !(512..=65_536).contains(&size) {
        return None;
    }
    let mut blobs = Vec::new();
    for page in database.chunks_exact(size).skip(1) {
        if !matches!(page[25], HASH | HASH_UNSORTED) {
            continue;
        }
        let entries = half(page, 20)? as usize;
        for number in (1..entries).step_by(2) {
            let at = half(page, PAGE_HEADER + 2 * number)? as usize;
            if *page.get(at)? == OFF_PAGE {
                blobs.push(overflow(database, size, little(page, at + 4)?, little(page, at + 8)?)?);
            }
        }
    }
    Some(blobs)
}

/// Follows the pages of one value.
fn overflow(database: &[u8], size: usize, mut page: u32, length: u32) -> Option<Vec<u8>> {
    let mut value = Vec::new();
    while page != 0 && value.len() < length as usize {
        let start = (page as usize).checked_mul(size)?;
        let bytes = database.get(start..start.checked_add(size)?)?;
        let used = half(bytes, 22)? as usize;
        if bytes[25] != OVERFLOW || used == 0 {
            return None;
        }
        value.extend_from_slice(bytes.get(PAGE_HEADER..PAGE_HEADER + used)?);
        page = little(bytes, 16)?;
    }
    (value.len() == length as usize).then_some(value)
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}
