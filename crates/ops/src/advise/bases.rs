//! Reading the relatives of a base from their registries.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jettison_dockerfile::Parsed;
use jettison_image::{Digest, Platform, Reference};
use jettison_plan::{NetworkMode, Request, RunOptions, context_key};
use jettison_registry::Error as Refusal;
use jettison_report::{
    BaseContents, BaseImage, BaseInUse, Bases, Built, SCRATCH, base_in_use, needs, parts, relatives,
};
use jettison_store::{Archive, ImageRecord, Store};

use crate::Error;
use crate::report::of_stored;
use crate::settings::{AdviseSettings, NamedContext};
use crate::stored::Stored;
use crate::transfer::{Transfer, image_manifest, pull};

/// Of a larger image that is not in the store the manifest alone is read, in bytes of compressed layers.
const MAX_PULL: u64 = 100_000_000;

/// Compares the base of the stage `target` with the smaller ones that exist. What is read of them stays in the store.
pub(super) fn bases(
    store: &Store,
    settings: &AdviseSettings,
    dockerfile: Option<&Parsed>,
    target: Option<&str>,
    built: Option<&Built<'_>>,
    transfer: Transfer<'_>,
) -> Result<Bases, Error> {
    let dockerfile = dockerfile.ok_or_else(|| {
        Error::request_with_help("the base of the image is not known", "name its Dockerfile with --file")
    })?;
    let found = base_in_use(dockerfile, &request(settings, target))
        .ok_or_else(|| Error::request("the Dockerfile does not tell the base of its final stage"))?;
    let BaseInUse { name: base, line, platform } = found;
    let platform = platform.unwrap_or_else(|| settings.platform());
    let mut bases =
        Bases { base, line, needs: needs(dockerfile, target, built), images: Vec::new(), notes: Vec::new() };
    let contexts =
        settings.named_contexts.iter().map(|(name, context)| (context_key(name), context)).collect();
    let mut search =
        Search { store, platform: &platform, transfer, contexts, silent: BTreeSet::new(), notes: Vec::new() };
    if let Some(NamedContext::Image(image)) = search.contexts.get(&context_key(&bases.base)) {
        bases.base = image.familiar();
    }
    if bases.base == SCRATCH {
        bases.images.push(scratch());
        return Ok(bases);
    }
    let reference =
        Reference::parse(&bases.base).map_err(|error| Error::request(format!("{}: {error}", bases.base)))?;
    bases.images.extend(search.look_at(&bases.base)?);
    if bases.images.is_empty() && search.notes.is_empty() {
        search.notes.push(format!("{} is in no registry that may be read", bases.base));
    }
    let in_use = bases.images.first().map(|image| image.compressed);
    for name in relatives(&reference) {
        let found = search.look_at(&name)?;
        bases.images.extend(found.filter(|image| in_use.is_none_or(|size| image.compressed < size)));
    }
    bases.notes = search.notes;
    bases.images.sort_by_key(|image| Reverse(image.compressed));
    if bases.images.iter().any(|image| image.contents.is_none()) {
        bases.notes.push("not read: more than 100 MB to pull; `jettison pull` it to know".to_owned());
    }
    Ok(bases)
}

/// What of a build's request names bases.
fn request(settings: &AdviseSettings, target: Option<&str>) -> Request {
    Request {
        target: target.map(str::to_owned),
        build_args: settings.build_args.iter().cloned().collect(),
        labels: Vec::new(),
        platform: settings.platform.clone(),
        build_platform: Platform::host(),
        contexts: BTreeMap::new(),
        network: NetworkMode::Default,
        extra_hosts: Vec::new(),
        run: RunOptions::default(),
    }
}

fn scratch() -> BaseImage {
    BaseImage { name: SCRATCH.to_owned(), compressed: 0, contents: Some(BaseContents::default()) }
}

/// A search for images in the store and in registries.
struct Search<'a> {
    store: &'a Store,
    platform: &'a Platform,
    transfer: Transfer<'a>,
    /// What takes the place of images, by the key of their names.
    contexts: BTreeMap<String, &'a NamedContext>,
    /// Registries that did not answer: they are not waited for again.
    silent: BTreeSet<String>,
    notes: Vec<String>,
}

impl Search<'_> {
    /// Reads an image. `None`: it does not exist, or not for this user, which registries do not tell apart; or why not is noted.
    fn look_at(&mut self, name: &str) -> Result<Option<BaseImage>, Error> {
        if name == SCRATCH {
            return Ok(Some(scratch()));
        }
        let mut reference = Reference::parse(name).map_err(|error| Error::request(error.to_string()))?;
        match self.contexts.get(&context_key(name)) {
            None => {}
            Some(NamedContext::Image(image)) => reference = image.clone(),
            Some(NamedContext::Scratch) => return Ok(Some(BaseImage { name: name.to_owned(), ..scratch() })),
            Some(NamedContext::Layout { directory, selector }) => {
                return self.read_layout(directory, selector.as_deref(), name).map(Some);
            }
            Some(NamedContext::Directory(_) | NamedContext::Remote(_)) => {
                return Err(Error::request(format!("the named context {name} is no image")));
            }
        }
        match self.read(&reference, name) {
            Err(Error::Registry(error) | Error::Pull { source: error, .. }) => match error {
                Refusal::NotFound { .. } | Refusal::Unauthorized { .. } | Refusal::Denied { .. } => Ok(None),
                Refusal::Cancelled => Err(error.into()),
                error => {
                    self.notes.push(format!("{name}: {error}; {} is not asked again", reference.registry()));
                    self.silent.insert(reference.registry().to_owned());
                    Ok(None)
                }
            },
            // It is not for this platform, or no image.
            Err(Error::Request { message, .. }) => {
                self.notes.push(message);
                Ok(None)
            }
            other => other,
        }
    }

    /// Reads an image of an OCI layout.
    fn read_layout(&self, directory: &Path, selector: Option<&str>, name: &str) -> Result<BaseImage, Error> {
        let archive = Archive::open(self.store, directory)?;
        let digest = selector.and_then(|selector| selector.parse::<Digest>().ok());
        let image = archive.select(selector.filter(|_| digest.is_none()), digest, self.platform)?;
        let record = archive.import(self.store, &image)?;
        let compressed = compressed(&record).unwrap_or_default();
        let contents = Some(contents(self.store, record, name)?);
        Ok(BaseImage { name: name.to_owned(), compressed, contents })
    }

    /// Reads an image from the store if it is there, else from its registry: the manifest, and the layers if they are few bytes.
    fn read(&self, reference: &Reference, name: &str) -> Result<Option<BaseImage>, Error> {
        let (store, platform, transfer) = (self.store, self.platform, self.transfer);
        let known = store.find(reference, Some(platform))?.map(|(_, image)| image);
        let image = |compressed, contents| BaseImage { name: name.to_owned(), compressed, contents };
        if let Some(record) = known
            && let Some(compressed) = compressed(&record)
        {
            return Ok(Some(image(compressed, Some(contents(store, record, name)?))));
        }
        if self.silent.contains(reference.registry()) {
            return Ok(None);
        }
        let manifest = image_manifest(reference, platform, transfer)?;
        let compressed = manifest.layers.iter().map(|layer| layer.size).fold(0, u64::saturating_add);
        if compressed > MAX_PULL {
            return Ok(Some(image(compressed, None)));
        }
        let pulled = pull(store, reference, platform, transfer)?;
        let record = store.image(&pulled.image)?;
        let contents = record.map(|record| contents(store, record, name)).transpose()?;
        Ok(Some(image(compressed, contents)))
    }
}

/// The bytes of an image's layers as they were pulled; `None` where it was not.
fn compressed(image: &ImageRecord) -> Option<u64> {
    image.layers.iter().map(|layer| layer.blob.as_ref().map(|blob| blob.size)).sum()
}

fn contents(store: &Store, image: ImageRecord, name: &str) -> Result<BaseContents, Error> {
    let stored = Stored::open(store, image)?;
    // The report reads the layers that were never read, so that there is a tree after it.
    let packages = of_stored(&stored, name)?.packages.len();
    let has = stored.tree()?.map(|tree| parts(&tree)).unwrap_or_default();
    Ok(BaseContents { packages, has })
}
