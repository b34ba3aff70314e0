//! What is worth knowing again and easily done without: bytes by key, such as the digests of a build context's files.

use jettison_image::Digest;

use crate::Store;
use crate::error::Result;
use crate::files::{self, Durability};

/// The largest note that is read, in bytes: what is known of about three million files.
const MAX_NOTE: u64 = 256 << 20;

impl Store {
    /// Returns what was put under `key`. A power cut may have torn it: whoever reads it must be able to tell.
    pub fn note(&self, key: &Digest) -> Result<Option<Vec<u8>>> {
        files::read_if_there(&self.inner.layout.note(key), MAX_NOTE)
    }

    /// Tells whether something is kept under `key`.
    pub fn has_note(&self, key: &Digest) -> Result<bool> {
        files::is_there(&self.inner.layout.note(key))
    }

    /// Keeps `bytes` under `key` until the next prune, in the place of what was there.
    pub fn put_note(&self, key: &Digest, bytes: &[u8]) -> Result<()> {
        let inner = &self.inner;
        files::make_folder(&inner.layout.notes())?;
        files::replace(&inner.temporary()?, &inner.layout.note(key), bytes, Durability::Later)
    }
}
