//! SUSE's `Packages.db`: slots that say where blobs are (rpm: `lib/backend/ndb/rpmpkg.c`), all little-endian.

use super::little;

const PAGE: usize = 4096;
const BLOCK: usize = 16;

/// Reads all blobs.
pub(super) fn blobs(database: &[u8]) -> Option<Vec<Vec<u8>>> {
    if !database.starts_with(b"RpmP") {
        return None;
    }
    let pages = little(database, 12)? as usize;
    let slots = database.get(32..pages.checked_mul(PAGE)?)?;
    let mut blobs = Vec::new();
    for slot in slots.chunks_exact(16).filter(|slot| slot.starts_with(b"Slot")) {
        let start = (little(slot, 8)? as usize).checked_mul(BLOCK)?;
        if start == 0 {
            continue;
        }
        let blob = database.get(start..)?;
        if !blob.starts_with(b"BlbS") {
            return None;
        }
        blobs.push(blob.get(16..16 + little(blob, 12)? as usize)?.to_vec());
    }
    Some(blobs)
}
