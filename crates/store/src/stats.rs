//! What is known of the files of directories outside the store, such as build contexts: bytes by key.

use jettison_image::Digest;

use crate::Store;
use crate::error::Result;
use crate::files::{self, Durability};

/// The largest of them that is read, in bytes: about three million files.
const MAX_STATS: u64 = 256 << 20;

impl Store {
    /// Returns what was put under `key`. A power cut may have torn it: whoever reads it must be able to tell.
    pub fn stats(&self, key: &Digest) -> Result<Option<Vec<u8>>> {
        files::read_if_there(&self.inner.layout.stat(key), MAX_STATS)
    }

    /// Keeps `bytes` under `key` until the next prune, in the place of what was there.
    pub fn put_stats(&self, key: &Digest, bytes: &[u8]) -> Result<()> {
        let inner = &self.inner;
        files::make_folder(&inner.layout.stats())?;
        files::replace(&inner.temporary()?, &inner.layout.stat(key), bytes, Durability::Later)
    }
}
