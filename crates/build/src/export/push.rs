//! Pushing to registries: blobs that are next door are mounted, the others go up several at once, the manifest last.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use jettison_image::{Descriptor, Digest, Reference};
use jettison_registry::{Cancel, Client, OpenBlob};

use super::Context;
use super::error::{ExportError, Result};
use super::prepare::Prepared;
use super::top::{names, top};

/// How many blobs of a repository go up at once: docker's `max-concurrent-uploads`.
pub(super) const UPLOADS: usize = 5;

/// An image under a name in its registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushedImage {
    /// The name.
    pub reference: Reference,
    /// The digest of the manifest or index.
    pub digest: Digest,
    /// The length of the manifest or index in bytes.
    pub size: u64,
}

/// A layer's blob that goes up.
pub(super) struct Upload<'a> {
    pub blob: &'a Descriptor,
    /// The name by which it was pulled, if it was.
    pub origin: Option<&'a Reference>,
    pub open: &'a OpenBlob<'a>,
}

/// Pushes an image under all its names; several are one image for different platforms, and get an index.
///
/// A layer that was pulled from the same registry, or just pushed to another repository of it, is mounted from there and
/// not even read.
pub fn push(client: &Client, images: &[Prepared<'_>], context: Context<'_>) -> Result<Vec<PushedImage>> {
    let names = names(images);
    if names.is_empty() {
        return Err(ExportError::NoName);
    }
    let top = top(images);
    let mut done: BTreeMap<&str, &str> = BTreeMap::new();
    let mut repositories: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut pushed = Vec::new();
    for name in names {
        if repositories.insert((name.registry(), name.repository())) {
            for image in images {
                push_blobs(client, image, name, done.get(name.registry()).copied(), context)?;
                if images.len() > 1 {
                    let by_digest = name.with_digest(image.manifest.digest());
                    client.push_manifest(&by_digest, &image.manifest, context.cancel)?;
                }
            }
            done.entry(name.registry()).or_insert(name.repository());
        }
        let digest = client.push_manifest(name, &top, context.cancel)?;
        pushed.push(PushedImage { reference: name.clone(), digest, size: top.bytes.len() as u64 });
    }
    Ok(pushed)
}

/// Returns the bytes of the blobs that [`push`] brings to a registry that has none of them.
pub fn push_size(images: &[Prepared<'_>]) -> u64 {
    let layers = images.iter().flat_map(|image| &image.layers).map(|layer| &layer.descriptor);
    let all = layers.chain(images.iter().map(|image| &image.config_descriptor));
    all.map(|blob| (blob.digest, blob.size)).collect::<BTreeMap<_, _>>().values().sum()
}

/// Puts all blobs into the repository of `name`. `done` is another repository of that registry that has them.
fn push_blobs(
    client: &Client,
    image: &Prepared<'_>,
    name: &Reference,
    done: Option<&str>,
    context: Context<'_>,
) -> Result<()> {
    let mut seen = BTreeSet::new();
    // The same layer twice in an image goes up once.
    let layers: Vec<usize> =
        (0..image.layers.len()).filter(|at| seen.insert(image.layers[*at].digest())).collect();
    let next = AtomicUsize::new(0);
    let failure: Mutex<Option<ExportError>> = Mutex::new(None);
    let work = || {
        while let Some(at) = layers.get(next.fetch_add(1, Ordering::Relaxed)) {
            let layer = &image.layers[*at];
            let (blob, origin) = (&layer.descriptor, layer.origin.as_ref());
            let upload = Upload { blob, origin, open: &|| layer.open(context.store) };
            let told = told(blob, context);
            if let Err(error) = push_layer(client, &upload, name, done, &told, context.cancel) {
                next.store(layers.len(), Ordering::Relaxed);
                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..UPLOADS.min(layers.len()) {
            scope.spawn(work);
        }
        work();
    });
    if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let config = &image.config_descriptor;
    let open = || Ok(Box::new(std::io::Cursor::new(image.config.clone())) as Box<dyn std::io::Read + Send>);
    client.push_blob(name, config, &open, done, &told(config, context), context.cancel)?;
    Ok(())
}

/// Puts a layer into the repository of `name`: mounted from `done`, another repository of that registry that has it, or
/// from where it was pulled if that is next door, else by its bytes.
pub(super) fn push_layer(
    client: &Client,
    layer: &Upload<'_>,
    name: &Reference,
    done: Option<&str>,
    progress: &dyn Fn(u64),
    cancel: &Cancel,
) -> Result<()> {
    // A layer that may not be pushed is had from where its descriptor says.
    if !layer.blob.urls.is_empty() {
        return Ok(());
    }
    let next_door = layer.origin.filter(|origin| origin.registry() == name.registry());
    let mount_from = done.or(next_door.map(Reference::repository));
    client.push_blob(name, layer.blob, layer.open, mount_from, progress, cancel)?;
    Ok(())
}

fn told<'a>(blob: &Descriptor, context: Context<'a>) -> impl Fn(u64) + 'a {
    let (item, total) = (blob.digest.short(), blob.size);
    move |bytes| (context.progress)(&item, bytes, Some(total))
}
