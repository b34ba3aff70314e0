//! Images: a config, its layers in this store, and where they came from.

use jettison_image::{Config, Descriptor, Digest, Platform};
use serde::{Deserialize, Serialize};

use crate::Store;
use crate::error::{Error, Result};
use crate::files::{self, Durability};
use crate::layer::LayerId;
use crate::object::Object;

/// The largest config that is read, in bytes.
pub(crate) const MAX_CONFIG: u64 = 16 << 20;

/// An image of the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// The image's ID: the digest of its config, which is a blob.
    pub config: Digest,
    /// Its layers, lowest first.
    pub layers: Vec<ImageLayer>,
    /// Its manifest as pulled, which is a blob then.
    pub manifest: Option<Descriptor>,
    /// What it runs on.
    pub platform: Platform,
    /// When it came into the store, in seconds since 1970.
    pub stored: i64,
    /// What the build that made it remembers, in a form of its own.
    pub build: Option<serde_json::Value>,
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageLayer {
    /// The digest of its uncompressed tar.
    pub diff_id: Digest,
    /// The layer in this store, if it was made here or has been unpacked or indexed.
    pub layer: Option<LayerId>,
    /// Its blob as pulled.
    pub blob: Option<Descriptor>,
}

impl ImageRecord {
    /// Returns the blobs it needs.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = Digest> {
        let layers = self.layers.iter().filter_map(|layer| layer.blob.as_ref()).map(|blob| blob.digest);
        let manifest = self.manifest.iter().map(|manifest| manifest.digest);
        std::iter::once(self.config).chain(manifest).chain(layers)
    }

    /// Returns the layers it needs.
    pub(crate) fn layer_ids(&self) -> impl Iterator<Item = &LayerId> {
        self.layers.iter().filter_map(|layer| layer.layer.as_ref())
    }
}

impl Store {
    /// Stores an image whose config, layers and pulled blobs are in the store, in the place of an older record. One that
    /// says the same stays, with the time when it came: a build that changed nothing leaves nothing to sync.
    pub fn put_image(&self, image: &ImageRecord) -> Result<()> {
        if let Some(missing) = self.missing(image)? {
            return Err(missing);
        }
        if let Some(known) = self.image(&image.config)?
            && known == (ImageRecord { stored: known.stored, ..image.clone() })
        {
            return Ok(());
        }
        // Plain structs with string keys: serialising to memory has nothing that can fail.
        let bytes = serde_json::to_vec(image).expect("image records are plain data");
        let inner = &self.inner;
        let (temporary, path) = (inner.temporary()?, inner.layout.image(&image.config));
        inner.publish(&Object::Image(image.config), || {
            files::replace(&temporary, &path, &bytes, Durability::Later)
        })
    }

    /// Looks up an image by the digest of its config, and keeps it and what it needs in the store.
    ///
    /// An image that lacks a blob or layer counts as absent.
    pub fn image(&self, config: &Digest) -> Result<Option<ImageRecord>> {
        let gate = self.inner.gate.take()?;
        self.inner.hold(&Object::Image(*config), &gate)?;
        drop(gate);
        match self.peek_image(config)? {
            Some(image) if self.missing(&image)?.is_none() => Ok(Some(image)),
            _ => Ok(None),
        }
    }

    /// Returns all images, sorted by ID, without keeping them in the store.
    pub fn images(&self) -> Result<Vec<ImageRecord>> {
        let mut images = Vec::new();
        for name in files::names(&self.inner.layout.images())? {
            let Some(Ok(config)) = name.strip_suffix(".json").map(Digest::from_hex) else {
                continue;
            };
            images.extend(self.peek_image(&config)?);
        }
        Ok(images)
    }

    /// Reads and verifies an image's config.
    pub fn config(&self, image: &ImageRecord) -> Result<Config> {
        let bytes = self.config_bytes(image)?;
        let what = || format!("the config {}", image.config);
        Config::parse(&bytes).map_err(|source| Error::Manifest { what: what(), source })
    }

    /// Reads and verifies an image's config as it is stored.
    pub fn config_bytes(&self, image: &ImageRecord) -> Result<Vec<u8>> {
        self.blobs().read_small(&image.config, MAX_CONFIG)
    }

    fn peek_image(&self, config: &Digest) -> Result<Option<ImageRecord>> {
        let bytes = files::read_if_there(&self.inner.layout.image(config), files::MAX_DOCUMENT)?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Holds what an image needs; returns the first that is not there.
    fn missing(&self, image: &ImageRecord) -> Result<Option<Error>> {
        for digest in image.blobs() {
            if !self.blobs().has(&digest)? {
                return Ok(Some(Error::NoSuchBlob(digest)));
            }
        }
        for id in image.layer_ids() {
            if self.layer(id)?.is_none() {
                return Ok(Some(Error::NoSuchLayer(id.clone())));
            }
        }
        Ok(None)
    }
}
