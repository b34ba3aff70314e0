//! What an exporter is given.

use std::io::{self, Write};

use jettison_image::{Descriptor, Digest, RawManifest, Reference};

use super::annotations::Annotations;

/// An image to export.
pub struct ImageSource<'a> {
    /// The config, whose digest is the image's ID.
    pub config: Vec<u8>,
    /// The layers, lowest first, as many as the config has diff IDs.
    pub layers: Vec<SourceLayer<'a>>,
    /// The names it gets.
    pub names: Vec<Reference>,
    /// Its manifest as pulled. It is written unchanged while it still fits the layers.
    pub manifest: Option<RawManifest>,
    /// What a manifest that is made here, and what names it, say beside. With these a pulled one is made anew.
    pub annotations: Annotations,
}

/// A layer to export: a blob, or a way to write its tar, or both.
pub struct SourceLayer<'a> {
    /// The digest of its tar.
    pub diff_id: Digest,
    /// The blob as pulled.
    pub blob: Option<Descriptor>,
    /// Brings `blob` into the store, where it may not be there yet.
    pub fetch: Option<Box<dyn FetchBlob + 'a>>,
    /// Writes the tar.
    pub tar: Option<Box<dyn LayerTar + 'a>>,
    /// The name by which `blob` was pulled: a push within that registry mounts it from there.
    pub origin: Option<Reference>,
}

/// Writes the uncompressed tar of a layer, the same bytes each time.
pub trait LayerTar: Send + Sync {
    /// Writes all of it.
    fn write(&self, out: &mut dyn Write) -> io::Result<()>;
}

impl<F: Fn(&mut dyn Write) -> io::Result<()> + Send + Sync> LayerTar for F {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        self(out)
    }
}

/// Brings a blob into the store.
pub trait FetchBlob: Send + Sync {
    /// Fetches all of it; nothing to do if it is there.
    fn fetch(&self) -> io::Result<()>;
}

impl<F: Fn() -> io::Result<()> + Send + Sync> FetchBlob for F {
    fn fetch(&self) -> io::Result<()> {
        self()
    }
}
