//! The memory of compression: which blob a layer's tar became, so that no layer is compressed twice.

use jettison_image::{Descriptor, Digest};

use crate::Store;
use crate::error::Result;
use crate::files::{self, Durability};

/// What is known of compressed layers, by diff ID and variant.
///
/// A variant names all that the compressed bytes depend on, such as `gzip-6-v2`: lower-case letters, digits,
/// dots and hyphens. The memory is weak: it keeps a blob only while an image or a layer with that diff ID is kept.
#[derive(Debug, Clone)]
pub struct Memo {
    store: Store,
}

impl Memo {
    pub(crate) fn new(store: Store) -> Memo {
        Memo { store }
    }

    /// Returns the blob that the tar `diff_id` became, and keeps it in the store.
    pub fn get(&self, diff_id: &Digest, variant: &str) -> Result<Option<Descriptor>> {
        let path = self.store.inner.layout.memo(diff_id).join(variant);
        let Some(bytes) = files::read_if_there(&path, files::MAX_DOCUMENT)? else {
            return Ok(None);
        };
        if let Ok(descriptor) = serde_json::from_slice::<Descriptor>(&bytes)
            && self.store.blobs().size(&descriptor.digest)? == Some(descriptor.size)
        {
            return Ok(Some(descriptor));
        }
        files::remove_file(&path)?;
        Ok(None)
    }

    /// Remembers that the tar `diff_id` became the blob `descriptor`.
    pub fn put(&self, diff_id: &Digest, variant: &str, descriptor: &Descriptor) -> Result<()> {
        let inner = &self.store.inner;
        let folder = inner.layout.memo(diff_id);
        files::make_folder(&folder)?;
        // Descriptors are plain data with string keys: serialising to memory has nothing that can fail.
        let bytes = serde_json::to_vec(descriptor).expect("descriptors are plain data");
        // Lost or torn by a power cut, a memo names no blob of the right size, and is void.
        files::replace(&inner.temporary()?, &folder.join(variant), &bytes, Durability::Later)
    }
}
