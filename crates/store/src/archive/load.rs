//! Taking all images of an archive into the store: `docker load`.

use jettison_image::{Digest, Platform, Reference};

use super::Archive;
use super::error::{ArchiveError, Result};
use crate::{Store, TagEntry};

/// An image that was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The image.
    pub image: Digest,
    /// The names it got; docker prints these, and the ID where there are none.
    pub names: Vec<Reference>,
}

impl Archive {
    /// Takes every image that serves `platform` into the store, with its names.
    pub fn load(&self, store: &Store, platform: &Platform) -> Result<Vec<Loaded>> {
        let images = self.images(platform)?;
        if images.is_empty() {
            let path = self.files.path().to_owned();
            return Err(ArchiveError::NoImage { path, wanted: format!("for {platform}"), there: Vec::new() });
        }
        // All are verified before the first gets a name.
        let mut records = Vec::new();
        for image in &images {
            records.push(self.import(store, image)?);
        }
        let mut loaded = Vec::new();
        for (image, record) in images.into_iter().zip(records) {
            store.put_image(&record)?;
            let manifest = record.manifest.as_ref().map(|manifest| manifest.digest);
            // A name from a file says nothing about any registry, so that there is no digest of one.
            let entry = TagEntry {
                image: record.config,
                platform: record.platform.clone(),
                manifest,
                repo_digest: None,
                index: None,
            };
            image.names.iter().try_for_each(|name| store.tag(name, &entry))?;
            loaded.push(Loaded { image: record.config, names: image.names });
        }
        store.sync()?;
        Ok(loaded)
    }
}
