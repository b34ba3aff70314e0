//! Base images: what a reference stands for, and the download of its blobs.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::thread;

use jettison_image::{Config, Descriptor, Digest, Digester, MediaType, Platform, RawManifest, Reference};
use jettison_plan::ImageSource;
use jettison_registry::{BlobSink, Cancel, Client};
use jettison_store::{Archive, Download, ImageRecord, LayerId, Object, Partial, Store};
use serde::{Deserialize, Serialize};

use crate::growing::{GrowingFile, Growth};
use crate::{Error, NamedContext};

/// The kind of records that remember what a tag stood for.
const TAGS: &str = "tags";

/// An image whose config is known; its layers may still be elsewhere.
#[derive(Debug, Clone)]
pub(crate) struct BaseImage {
    /// The digest of its config.
    pub(crate) id: Digest,
    pub(crate) config: Config,
    /// Lowest first.
    pub(crate) layers: Vec<BaseLayer>,
}

impl BaseImage {
    /// Returns the blobs of its layers.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.layers.iter().filter_map(|layer| match &layer.content {
            BaseContent::Blob(blob, _) => Some(blob),
            BaseContent::Made(_) => None,
        })
    }
}

/// A layer of a base image.
#[derive(Debug, Clone)]
pub(crate) struct BaseLayer {
    pub(crate) diff_id: Digest,
    pub(crate) content: BaseContent,
}

/// Where a layer of a base image is.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "an image has few layers")]
pub(crate) enum BaseContent {
    /// In the store, made here.
    Made(LayerId),
    /// A blob, in the store or yet in a registry.
    Blob(Descriptor, Option<Reference>),
}

/// What a tag stood for when the registry was asked.
#[derive(Serialize, Deserialize)]
struct Tagged {
    /// The manifest of the image.
    manifest: Descriptor,
}

/// Looks base images up and downloads their blobs.
pub(crate) struct Images<'a> {
    pub(crate) store: &'a Store,
    pub(crate) client: &'a Client,
    pub(crate) contexts: &'a BTreeMap<String, NamedContext>,
    /// `--pull`: tags are looked up even where the store knows them.
    pub(crate) pull: bool,
    pub(crate) cancel: &'a Cancel,
}

impl Images<'_> {
    /// Returns the image that `source` names on `platform`.
    pub(crate) fn resolve(&self, source: &ImageSource, platform: &Platform) -> Result<BaseImage, Error> {
        match source {
            ImageSource::Reference(reference) => self.by_reference(reference, platform),
            ImageSource::Context(name) => match self.contexts.get(name) {
                Some(NamedContext::Image(reference)) => self.by_reference(reference, platform),
                Some(NamedContext::Layout { path, tag, digest }) => {
                    let archive = Archive::open(self.store, path)?;
                    let image = archive.select(tag.as_deref(), *digest, platform)?;
                    self.stored(&archive.import(self.store, &image)?, None)
                }
                Some(NamedContext::Directory(_) | NamedContext::Remote | NamedContext::Scratch) | None => {
                    Err(Error::Image {
                        image: name.clone(),
                        why: "the named context holds no image".to_owned(),
                    })
                }
            },
        }
    }

    fn by_reference(&self, reference: &Reference, platform: &Platform) -> Result<BaseImage, Error> {
        // What a digest names never changes, so there is nothing to look up again.
        if !self.pull || reference.digest().is_some() {
            if let Some((_, image)) = self.store.find(reference, Some(platform))? {
                return self.stored(&image, Some(reference));
            }
            if let Some(image) = self.remembered(reference, platform)? {
                return Ok(image);
            }
        }
        self.ask(reference, platform)
    }

    /// Makes a base image of one that is in the store.
    pub(crate) fn stored(&self, image: &ImageRecord, from: Option<&Reference>) -> Result<BaseImage, Error> {
        let config = self.store.config(image)?;
        let layers = image.layers.iter().map(|layer| {
            let content = match (&layer.blob, &layer.layer) {
                (Some(blob), _) => BaseContent::Blob(blob.clone(), from.cloned()),
                (None, Some(id)) => BaseContent::Made(id.clone()),
                (None, None) => {
                    let why = format!("layer {} is gone from the store", layer.diff_id);
                    return Err(Error::Image { image: image.config.to_string(), why });
                }
            };
            Ok(BaseLayer { diff_id: layer.diff_id, content })
        });
        Ok(BaseImage { id: image.config, config, layers: layers.collect::<Result<_, _>>()? })
    }

    fn remembered(&self, reference: &Reference, platform: &Platform) -> Result<Option<BaseImage>, Error> {
        let key = tag_key(reference, platform);
        let Some(tagged) = self.store.records(TAGS).get::<Tagged>(&key)? else { return Ok(None) };
        let bytes =
            self.store.blobs().read_small(&tagged.manifest.digest, jettison_image::MAX_MANIFEST_SIZE)?;
        let raw = RawManifest { media_type: tagged.manifest.media_type, bytes };
        self.assemble(reference, &raw).map(Some)
    }

    fn ask(&self, reference: &Reference, platform: &Platform) -> Result<BaseImage, Error> {
        let mut raw = self.client.manifest(reference, self.cancel)?;
        if raw.is_index() {
            let index = raw.index().map_err(|error| image_error(reference, &error))?;
            let chosen = index.select(platform).ok_or_else(|| {
                let offered: Vec<String> = index
                    .manifests
                    .iter()
                    .filter_map(|m| m.platform.as_ref())
                    .map(ToString::to_string)
                    .collect();
                let why = format!("no match for platform {platform}; the image has {}", offered.join(", "));
                Error::Image { image: reference.familiar(), why }
            })?;
            raw = self.client.manifest(&reference.with_digest(chosen.digest), self.cancel)?;
        }
        let manifest = raw.manifest().map_err(|error| image_error(reference, &error))?;
        self.download(reference, &manifest.config, &|_| ())?;
        self.store.blobs().write(&raw.bytes)?;
        let image = self.assemble(reference, &raw)?;
        let needs = [Object::Blob(raw.digest()), Object::Blob(image.id)];
        let tagged = Tagged { manifest: raw.descriptor() };
        self.store.records(TAGS).put(&tag_key(reference, platform), &tagged, &needs)?;
        Ok(image)
    }

    /// Reads manifest and config, which are in the store, and checks that they fit.
    fn assemble(&self, reference: &Reference, raw: &RawManifest) -> Result<BaseImage, Error> {
        let manifest = raw.manifest().map_err(|error| image_error(reference, &error))?;
        if MediaType::classify(&manifest.config.media_type) != Some(MediaType::Config) {
            let why = format!("\"{}\" is not the config of an image", manifest.config.media_type);
            return Err(Error::Image { image: reference.familiar(), why });
        }
        let bytes =
            self.store.blobs().read_small(&manifest.config.digest, jettison_image::MAX_MANIFEST_SIZE)?;
        let config = Config::parse(&bytes).map_err(|error| image_error(reference, &error))?;
        let (diff_ids, blobs) = (&config.rootfs.diff_ids, &manifest.layers);
        if diff_ids.len() != blobs.len() {
            let why = format!("its config lists {} layers, its manifest {}", diff_ids.len(), blobs.len());
            return Err(Error::Image { image: reference.familiar(), why });
        }
        let layers = diff_ids.iter().zip(blobs).map(|(diff_id, blob)| BaseLayer {
            diff_id: *diff_id,
            content: BaseContent::Blob(blob.clone(), Some(reference.clone())),
        });
        Ok(BaseImage { id: manifest.config.digest, layers: layers.collect(), config })
    }

    /// Brings a blob into the store, unless it is there. Of several that want it, one downloads and the others wait.
    pub(crate) fn download(
        &self,
        from: &Reference,
        blob: &Descriptor,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), Error> {
        match self.store.blobs().partial(&blob.digest)? {
            Download::Present => Ok(()),
            Download::Needed(partial) => self.complete(from, blob, progress, partial, &Growth::default()),
        }
    }

    /// Brings a blob into the store, and calls `read` with its bytes as they come; a second time if what came first was
    /// wrong. What `read` makes counts only if the whole blob turns out right.
    pub(crate) fn while_downloading<T: Send>(
        &self,
        from: &Reference,
        blob: &Descriptor,
        progress: &(dyn Fn(u64) + Sync),
        read: &(dyn Fn(Box<dyn Read + Send>) -> Result<T, Error> + Sync),
    ) -> Result<T, Error> {
        if let Download::Needed(partial) = self.store.blobs().partial(&blob.digest)? {
            let growth = Arc::new(Growth::default());
            let file = Box::new(GrowingFile::new(partial.file()?, growth.clone()));
            let made = thread::scope(|scope| {
                let reading = scope.spawn(move || read(file));
                let completed = self.complete(from, blob, progress, partial, &growth);
                growth.end();
                let made = reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                completed.map(|()| made)
            })?;
            if !growth.was_restarted() {
                return made;
            }
        }
        read(Box::new(self.store.blobs().open(&blob.digest)?))
    }

    /// Downloads what is missing of a blob.
    fn complete(
        &self,
        from: &Reference,
        blob: &Descriptor,
        progress: &(dyn Fn(u64) + Sync),
        partial: Partial,
        growth: &Growth,
    ) -> Result<(), Error> {
        growth.reach(partial.offset());
        let mut sink = PartialSink { partial, growth };
        self.client.fetch_blob(from, blob, &mut sink, progress, self.cancel)?;
        sink.partial.commit()?;
        Ok(())
    }
}

/// A blob that continues where an earlier download stopped.
struct PartialSink<'a> {
    partial: Partial,
    growth: &'a Growth,
}

impl BlobSink for PartialSink<'_> {
    fn resume(&mut self) -> io::Result<(u64, Digester)> {
        Ok((self.partial.offset(), self.partial.digester().clone()))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.partial.write_all(bytes)?;
        self.growth.reach(self.partial.offset());
        Ok(())
    }

    fn restart(&mut self) -> io::Result<()> {
        self.growth.restart();
        self.partial.restart().map_err(io::Error::other)
    }
}

fn tag_key(reference: &Reference, platform: &Platform) -> Digest {
    let mut key = Digester::new();
    key.field(reference.to_string().as_bytes()).field(platform.to_string().as_bytes());
    key.finish()
}

fn image_error(reference: &Reference, error: &dyn std::error::Error) -> Error {
    Error::Image { image: reference.familiar(), why: error.to_string() }
}
