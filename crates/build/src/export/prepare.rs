//! Bringing every layer into the form in which it leaves, and writing the manifest.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use jettison_image::{
    Config, Descriptor, Digest, HashingWriter, Manifest, Platform, RawManifest, Reference, media_type,
};
use jettison_layer::{Compression, decompress};
use jettison_store::Store;

use super::Context;
use super::annotations::Annotations;
use super::compression::{CompressionOptions, oci_media_type};
use super::error::{ExportError, Result};
use super::source::{FetchBlob, ImageSource, SourceLayer};
use super::watch::Watch;

/// An image whose blobs all have their digests.
pub struct Prepared<'a> {
    /// The config.
    pub config: Vec<u8>,
    /// The config's descriptor.
    pub config_descriptor: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<PreparedLayer<'a>>,
    /// The manifest.
    pub manifest: RawManifest,
    /// What it runs on.
    pub platform: Platform,
    /// Its names.
    pub names: Vec<Reference>,
    /// What the manifest and what names it say beside.
    pub annotations: Annotations,
}

/// A layer that is a blob.
pub struct PreparedLayer<'a> {
    /// The blob.
    pub descriptor: Descriptor,
    /// The name by which it was pulled, if it was.
    pub origin: Option<Reference>,
    content: Content<'a>,
}

/// Where a layer's bytes are.
enum Content<'a> {
    /// In the store, or to be fetched there.
    Blob(Option<Box<dyn FetchBlob + 'a>>),
    /// In a file without a name: an uncompressed tar, which is not worth keeping.
    Spool(Arc<File>),
}

/// Brings the layers of an image into the form that `options` ask for, several at once.
///
/// A pulled blob stays as it is unless `options` force another compression. What is compressed here is kept in the store
/// and never compressed again. The tar of each layer must have the digest that the config promises.
pub fn prepare<'a>(
    source: ImageSource<'a>,
    options: &CompressionOptions,
    context: Context<'_>,
) -> Result<Prepared<'a>> {
    let config = Config::parse(&source.config)?;
    let diff_ids = &config.rootfs.diff_ids;
    if !source.layers.iter().map(|layer| &layer.diff_id).eq(diff_ids) {
        return Err(ExportError::Layers { diff_ids: diff_ids.len(), layers: source.layers.len() });
    }
    let layers = prepare_layers(source.layers, options, context)?;
    let config_descriptor = Descriptor::of(media_type::OCI_CONFIG, &source.config);
    let descriptors: Vec<Descriptor> = layers.iter().map(|layer| layer.descriptor.clone()).collect();
    let annotations = source.annotations;
    let pulled = source.manifest.filter(|_| annotations.manifest.is_empty());
    let (config_descriptor, manifest) = match pulled.map(|raw| reuse(raw, &config_descriptor, &descriptors)) {
        Some(Some((config_descriptor, raw))) => (config_descriptor, raw),
        _ => {
            let manifest = Manifest {
                annotations: annotations.manifest.clone(),
                ..Manifest::oci(config_descriptor.clone(), descriptors)
            };
            (config_descriptor, manifest.to_raw())
        }
    };
    let platform = config.platform();
    let (config, names) = (source.config, source.names);
    Ok(Prepared { config, config_descriptor, layers, manifest, platform, names, annotations })
}

/// Returns a pulled manifest and its config's descriptor if they still say what is exported.
fn reuse(raw: RawManifest, config: &Descriptor, layers: &[Descriptor]) -> Option<(Descriptor, RawManifest)> {
    let manifest = raw.manifest().ok()?;
    let same_layers =
        manifest.layers.iter().map(|layer| layer.digest).eq(layers.iter().map(|layer| layer.digest));
    (same_layers && manifest.config.digest == config.digest).then_some((manifest.config, raw))
}

fn prepare_layers<'a>(
    layers: Vec<SourceLayer<'a>>,
    options: &CompressionOptions,
    context: Context<'_>,
) -> Result<Vec<PreparedLayer<'a>>> {
    let count = layers.len();
    let waiting: Vec<Mutex<Option<SourceLayer<'a>>>> =
        layers.into_iter().map(|layer| Mutex::new(Some(layer))).collect();
    let done: Vec<Mutex<Option<Result<PreparedLayer<'a>>>>> = (0..count).map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(slot) = waiting.get(number) else { return };
            if let Some(layer) = slot.lock().unwrap_or_else(PoisonError::into_inner).take() {
                let prepared = prepare_layer(layer, options, context);
                if prepared.is_err() {
                    next.store(count, Ordering::Relaxed);
                }
                *done[number].lock().unwrap_or_else(PoisonError::into_inner) = Some(prepared);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..context.threads.min(count) {
            scope.spawn(work);
        }
        work();
    });
    let results = done.into_iter().map(|slot| slot.into_inner().unwrap_or_else(PoisonError::into_inner));
    // After a failure later layers were not begun; the failure comes before those in any order.
    let (mut layers, mut begun_all) = (Vec::new(), true);
    for result in results {
        match result {
            Some(result) => layers.push(result?),
            None => begun_all = false,
        }
    }
    if begun_all { Ok(layers) } else { Err(ExportError::Canceled) }
}

fn prepare_layer<'a>(
    layer: SourceLayer<'a>,
    options: &CompressionOptions,
    context: Context<'_>,
) -> Result<PreparedLayer<'a>> {
    if let Some(blob) = &layer.blob
        && options.keeps(&blob.media_type)
    {
        let descriptor =
            Descriptor { media_type: oci_media_type(&blob.media_type).to_owned(), ..blob.clone() };
        return Ok(PreparedLayer { descriptor, origin: layer.origin, content: Content::Blob(layer.fetch) });
    }
    let made = match options.compression {
        Compression::None => spool(&layer, context),
        _ => compress(&layer, options, context),
    };
    made.map_err(|error| if context.cancel.is_cancelled() { ExportError::Canceled } else { error })
}

fn spool<'a>(layer: &SourceLayer<'a>, context: Context<'_>) -> Result<PreparedLayer<'a>> {
    let file = context.store.temporary_file()?;
    let out = BufWriter::with_capacity(256 << 10, &file);
    let (out, size) = write_tar(layer, out, context)?;
    out.into_inner().map_err(|error| failed(layer, context.store, error.into_error()))?;
    let descriptor = Descriptor::new(media_type::OCI_LAYER, layer.diff_id, size);
    Ok(PreparedLayer { descriptor, origin: None, content: Content::Spool(Arc::new(file)) })
}

fn compress<'a>(
    layer: &SourceLayer<'a>,
    options: &CompressionOptions,
    context: Context<'_>,
) -> Result<PreparedLayer<'a>> {
    let as_prepared = |descriptor| PreparedLayer { descriptor, origin: None, content: Content::Blob(None) };
    if let Some(descriptor) = options.known(context.store, &layer.diff_id)? {
        return Ok(as_prepared(descriptor));
    }
    let compressor = options.compression.compress(context.store.blobs().writer()?, context.threads);
    let compressor = compressor.map_err(|source| failed(layer, context.store, source))?;
    let (compressor, _) = write_tar(layer, compressor, context)?;
    let blob = compressor.finish().map_err(|source| failed(layer, context.store, source))?;
    let (digest, size) = blob.commit(None)?;
    Ok(as_prepared(options.remember(context.store, &layer.diff_id, digest, size)?))
}

/// Writes a layer's tar to `out`, verified, and returns `out` and the tar's length in bytes.
fn write_tar<W: Write>(layer: &SourceLayer<'_>, out: W, context: Context<'_>) -> Result<(W, u64)> {
    let watch = Watch::new(out, context, layer.diff_id.short(), None);
    let mut hashing = HashingWriter::new(watch);
    let written = match (&layer.tar, &layer.blob) {
        (Some(tar), _) => tar.write(&mut hashing),
        (None, Some(blob)) => open_blob(context.store, blob, layer.fetch.as_deref())
            .and_then(decompress)
            .and_then(|mut tar| io::copy(&mut tar, &mut hashing).map(drop)),
        (None, None) => return Err(ExportError::NoContent(layer.diff_id)),
    };
    written.map_err(|source| failed(layer, context.store, source))?;
    let (watch, found, size) = hashing.finish();
    if found != layer.diff_id {
        return Err(ExportError::DiffId { expected: layer.diff_id, found });
    }
    Ok((watch.finish(), size))
}

/// Errors of a full disk name the disk, all others the layer.
fn failed(layer: &SourceLayer<'_>, store: &Store, source: io::Error) -> ExportError {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ExportError::file("write", store.root(), source)
        }
        _ => ExportError::LayerTar { diff_id: layer.diff_id, source },
    }
}

impl PreparedLayer<'_> {
    /// Opens the layer's blob from its start, fetching it first where it is not in the store.
    pub fn open(&self, store: &Store) -> io::Result<Box<dyn Read + Send>> {
        match &self.content {
            Content::Blob(fetch) => open_blob(store, &self.descriptor, fetch.as_deref()),
            Content::Spool(file) => Ok(Box::new(FromStart { file: file.clone(), at: 0 })),
        }
    }

    /// Returns the digest of the layer's blob.
    pub fn digest(&self) -> Digest {
        self.descriptor.digest
    }
}

fn open_blob(
    store: &Store,
    blob: &Descriptor,
    fetch: Option<&(dyn FetchBlob + '_)>,
) -> io::Result<Box<dyn Read + Send>> {
    if let Some(fetch) = fetch
        && !store.blobs().has(&blob.digest).map_err(io::Error::other)?
    {
        fetch.fetch()?;
    }
    Ok(Box::new(store.blobs().open(&blob.digest).map_err(io::Error::other)?))
}

/// Reads a file that several read at once.
struct FromStart {
    file: Arc<File>,
    at: u64,
}

impl Read for FromStart {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
