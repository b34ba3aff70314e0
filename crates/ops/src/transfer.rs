//! `pull`, `push`, `login` and `logout`: what the store exchanges with registries.

use std::io::{self, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use jettison_build::export::{self, CompressionOptions, PushedImage};
use jettison_image::{
    Config, Descriptor, Digest, Digester, Manifest, MediaType, Platform, RawManifest, Reference,
};
use jettison_registry::{BlobSink, Cancel, Client, Settings, credentials};
use jettison_store::{Download, ImageLayer, ImageRecord, Partial, Store, TagEntry};

use crate::Error;
use crate::stored::Stored;

/// What a transfer needs besides the store.
#[derive(Clone, Copy)]
pub struct Transfer<'a> {
    /// The way to registries.
    pub client: &'a Client,
    /// Ends it in the middle.
    pub cancel: &'a Cancel,
    /// Told what is moved: its short digest, bytes so far, bytes in all if known. Called from several threads.
    pub progress: &'a (dyn Fn(&str, u64, Option<u64>) + Sync),
    /// The time, in seconds since 1970.
    pub now: i64,
}

/// An image that was pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PulledImage {
    /// The image's ID.
    pub image: Digest,
    /// The digest that the registry gives for the name.
    pub digest: Digest,
    /// Whether the name stood for something else before, or for nothing.
    pub is_new: bool,
}

/// Blobs that are downloaded at once; the client bounds the connections to one host besides.
const DOWNLOADS: usize = 6;

/// Pulls an image and gives it its name. All blobs are verified before it has one.
pub fn pull(
    store: &Store,
    reference: &Reference,
    platform: &Platform,
    transfer: Transfer<'_>,
) -> Result<PulledImage, Error> {
    fetch(store, reference, platform, transfer).map_err(|error| match error {
        Error::Registry(source) => Error::Pull { reference: reference.familiar(), source },
        other => other,
    })
}

fn fetch(
    store: &Store,
    reference: &Reference,
    platform: &Platform,
    transfer: Transfer<'_>,
) -> Result<PulledImage, Error> {
    let named = transfer.client.manifest(reference, transfer.cancel)?;
    let digest = named.digest();
    let before = store.find(reference, Some(platform))?;
    let raw = of_platform(named, reference, platform, transfer)?;
    let unfit = |why: String| Error::request(format!("{}: {why}", reference.familiar()));
    let manifest = raw.manifest().map_err(|error| unfit(error.to_string()))?;
    if MediaType::classify(&manifest.config.media_type) != Some(MediaType::Config) {
        return Err(unfit(format!("it is not an image: its config is \"{}\"", manifest.config.media_type)));
    }
    let mut blobs = vec![&manifest.config];
    blobs.extend(&manifest.layers);
    download_all(store, reference, &blobs, transfer)?;
    let config = store.blobs().read_small(&manifest.config.digest, jettison_image::MAX_MANIFEST_SIZE)?;
    let config = Config::parse(&config).map_err(|error| unfit(error.to_string()))?;
    let diff_ids = &config.rootfs.diff_ids;
    if diff_ids.len() != manifest.layers.len() {
        let why =
            format!("its config lists {} layers, its manifest {}", diff_ids.len(), manifest.layers.len());
        return Err(unfit(why));
    }
    store.blobs().write(&raw.bytes)?;
    let layer = |(diff_id, blob): (&Digest, &Descriptor)| ImageLayer {
        diff_id: *diff_id,
        layer: None,
        blob: Some(blob.clone()),
    };
    let image = ImageRecord {
        config: manifest.config.digest,
        layers: diff_ids.iter().zip(&manifest.layers).map(layer).collect(),
        manifest: Some(raw.descriptor()),
        platform: config.platform(),
        stored: transfer.now,
        build: None,
    };
    // An image that was built here and pushed is known better than what the registry can tell.
    if store.image(&image.config)?.is_none() {
        store.put_image(&image)?;
    }
    let entry = TagEntry {
        image: image.config,
        platform: image.platform.clone(),
        manifest: Some(raw.digest()),
        repo_digest: Some(digest),
        index: None,
    };
    store.tag(reference, &entry)?;
    let is_new = before.is_none_or(|(old, _)| old.image != image.config);
    Ok(PulledImage { image: image.config, digest, is_new })
}

/// Asks for the manifest of an image, and no more of it.
pub(crate) fn image_manifest(
    reference: &Reference,
    platform: &Platform,
    transfer: Transfer<'_>,
) -> Result<Manifest, Error> {
    let named = transfer.client.manifest(reference, transfer.cancel)?;
    let raw = of_platform(named, reference, platform, transfer)?;
    raw.manifest().map_err(|error| Error::request(format!("{}: {error}", reference.familiar())))
}

/// Returns the manifest of one platform's image, of an index or alone.
fn of_platform(
    named: RawManifest,
    reference: &Reference,
    platform: &Platform,
    transfer: Transfer<'_>,
) -> Result<RawManifest, Error> {
    if !named.is_index() {
        return Ok(named);
    }
    let unfit = |why: String| Error::request(format!("{}: {why}", reference.familiar()));
    let index = named.index().map_err(|error| unfit(error.to_string()))?;
    let chosen = index.select(platform).ok_or_else(|| {
        let offered = index.manifests.iter().filter(|manifest| !manifest.is_attestation());
        let offered: Vec<String> =
            offered.filter_map(|m| m.platform.as_ref()).map(ToString::to_string).collect();
        unfit(format!("no image for platform {platform}; there are {}", offered.join(", ")))
    })?;
    Ok(transfer.client.manifest(&reference.with_digest(chosen.digest), transfer.cancel)?)
}

/// Downloads several blobs at once. After an error no further one is begun.
fn download_all(
    store: &Store,
    from: &Reference,
    blobs: &[&Descriptor],
    transfer: Transfer<'_>,
) -> Result<(), Error> {
    let next = AtomicUsize::new(0);
    let failure = Mutex::new(None);
    let work = || {
        while let Some(blob) = blobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = download(store, from, blob, transfer) {
                next.store(blobs.len(), Ordering::Relaxed);
                failure.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get_or_insert(error);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..DOWNLOADS.min(blobs.len()) {
            scope.spawn(work);
        }
        work();
    });
    failure.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()).map_or(Ok(()), Err)
}

fn download(store: &Store, from: &Reference, blob: &Descriptor, transfer: Transfer<'_>) -> Result<(), Error> {
    let item = blob.digest.short();
    if let Download::Needed(partial) = store.blobs().partial(&blob.digest)? {
        let progress = |done| (transfer.progress)(&item, done, Some(blob.size));
        let mut sink = PartialSink(partial);
        transfer.client.fetch_blob(from, blob, &mut sink, &progress, transfer.cancel)?;
        sink.0.commit()?;
    }
    (transfer.progress)(&item, blob.size, Some(blob.size));
    Ok(())
}

/// A blob that continues where an earlier download stopped.
struct PartialSink(Partial);

impl BlobSink for PartialSink {
    fn resume(&mut self) -> io::Result<(u64, Digester)> {
        Ok((self.0.offset(), self.0.digester().clone()))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn restart(&mut self) -> io::Result<()> {
        self.0.restart().map_err(io::Error::other)
    }
}

/// Pushes an image of the store under the name it has; one that was built for several platforms, with its index.
pub fn push(store: &Store, reference: &Reference, transfer: Transfer<'_>) -> Result<PushedImage, Error> {
    let found = store.find_all(reference)?;
    if found.is_empty() {
        let message = format!("an image does not exist locally with the tag: {}", reference.familiar());
        return Err(Error::request_with_help(message, "`jettison images` lists what there is"));
    }
    let context = export_context(store, transfer);
    let mut stored = Vec::new();
    for (_, image) in &found {
        stored.push(Stored::open(store, image.clone())?);
    }
    let mut prepared = Vec::new();
    for stored in &stored {
        let source = stored.source(vec![reference.clone()])?;
        prepared.push(export::prepare(source, &CompressionOptions::default(), context)?);
    }
    let pushed = export::push(transfer.client, &prepared, context)?;
    let pushed = pushed.into_iter().next().ok_or(Error::Interrupted)?;
    // What is named last comes first.
    for ((entry, _), image) in found.into_iter().zip(&prepared).rev() {
        let manifest = Some(image.manifest.digest());
        store.tag(reference, &TagEntry { manifest, repo_digest: Some(pushed.digest), ..entry })?;
    }
    Ok(pushed)
}

/// Returns the names of a repository in the store: what `push --all-tags` pushes.
pub fn tags_of(store: &Store, repository: &Reference) -> Result<Vec<Reference>, Error> {
    let same = |reference: &Reference| {
        (reference.registry(), reference.repository()) == (repository.registry(), repository.repository())
    };
    let mut names: Vec<Reference> = store.tags()?.into_iter().map(|tag| tag.reference).collect();
    names.retain(|reference| same(reference) && reference.tag().is_some());
    names.dedup();
    Ok(names)
}

/// What exporters need.
pub(crate) fn export_context<'a>(store: &'a Store, transfer: Transfer<'a>) -> export::Context<'a> {
    let threads = thread::available_parallelism().map_or(1, |threads| threads.get());
    export::Context { store, cancel: transfer.cancel, threads, progress: transfer.progress }
}

/// Checks credentials with a registry and keeps them where docker does.
pub fn login(
    settings: &Settings,
    registry: &str,
    user: &str,
    password: &str,
    cancel: &Cancel,
) -> Result<credentials::Stored, Error> {
    Ok(credentials::login(settings, registry, user, password, cancel)?)
}

/// Forgets the credentials of a registry; tells whether there were any.
pub fn logout(settings: &Settings, registry: &str) -> Result<bool, Error> {
    Ok(credentials::logout(settings, registry)?)
}
