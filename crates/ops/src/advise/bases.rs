//! Reading the relatives of a base from their registries.

use std::cmp::Reverse;

use jettison_dockerfile::Parsed;
use jettison_image::{Platform, Reference};
use jettison_registry::Error as Refusal;
use jettison_report::{BaseContents, BaseImage, Bases, Built, SCRATCH, base_in_use, needs, parts, relatives};
use jettison_store::{ImageRecord, Store};

use crate::Error;
use crate::report::of_stored;
use crate::stored::Stored;
use crate::transfer::{Transfer, image_manifest, pull};

/// Of a larger image that is not in the store the manifest alone is read, in bytes of compressed layers.
const MAX_PULL: u64 = 100_000_000;

/// Compares the base of a Dockerfile's final stage with the smaller ones that exist. What is read of them stays in the store.
pub(super) fn bases(
    store: &Store,
    dockerfile: Option<&Parsed>,
    built: Option<&Built<'_>>,
    platform: &Platform,
    transfer: Transfer<'_>,
) -> Result<Bases, Error> {
    let dockerfile = dockerfile.ok_or_else(|| {
        Error::request_with_help("the base of the image is not known", "name its Dockerfile with --file")
    })?;
    let (base, line) = base_in_use(dockerfile, platform)
        .ok_or_else(|| Error::request("the Dockerfile does not tell the base of its final stage"))?;
    let mut bases =
        Bases { base, line, needs: needs(dockerfile, built), images: Vec::new(), notes: Vec::new() };
    if bases.base == SCRATCH {
        bases.images.push(scratch());
        return Ok(bases);
    }
    let reference =
        Reference::parse(&bases.base).map_err(|error| Error::request(format!("{}: {error}", bases.base)))?;
    let look = |name: &str| look_at(store, name, platform, transfer);
    match look(&bases.base)? {
        Look::Seen(image) => bases.images.push(image),
        Look::Absent => bases.notes.push(format!("{} is in no registry that may be read", bases.base)),
        Look::Failed(why) => bases.notes.push(why),
    }
    let in_use = bases.images.first().map(|image| image.compressed);
    for name in relatives(&reference) {
        match look(&name)? {
            Look::Seen(image) if in_use.is_none_or(|size| image.compressed < size) => {
                bases.images.push(image)
            }
            Look::Seen(_) | Look::Absent => {}
            Look::Failed(why) => bases.notes.push(why),
        }
    }
    bases.images.sort_by_key(|image| Reverse(image.compressed));
    if bases.images.iter().any(|image| image.contents.is_none()) {
        bases.notes.push("not read: more than 100 MB to pull; `jettison pull` it to know".to_owned());
    }
    Ok(bases)
}

/// What a look at an image came to.
enum Look {
    Seen(BaseImage),
    /// It does not exist, or not for this user or platform: registries do not tell.
    Absent,
    Failed(String),
}

fn scratch() -> BaseImage {
    BaseImage { name: SCRATCH.to_owned(), compressed: 0, contents: Some(BaseContents::default()) }
}

fn look_at(store: &Store, name: &str, platform: &Platform, transfer: Transfer<'_>) -> Result<Look, Error> {
    if name == SCRATCH {
        return Ok(Look::Seen(scratch()));
    }
    let why = |error: &dyn std::fmt::Display| Look::Failed(format!("{name}: {error}"));
    match read(store, name, platform, transfer) {
        Ok(image) => Ok(Look::Seen(image)),
        Err(Error::Registry(error) | Error::Pull { source: error, .. }) => match error {
            Refusal::NotFound { .. } | Refusal::Unauthorized { .. } | Refusal::Denied { .. } => {
                Ok(Look::Absent)
            }
            Refusal::Cancelled => Err(error.into()),
            error => Ok(why(&error)),
        },
        // It is not for this platform, or no image.
        Err(Error::Request { message, .. }) => Ok(Look::Failed(message)),
        Err(error) => Err(error),
    }
}

/// Reads an image from the store if it is there, else from its registry: the manifest, and the layers if they are few bytes.
fn read(store: &Store, name: &str, platform: &Platform, transfer: Transfer<'_>) -> Result<BaseImage, Error> {
    let reference = Reference::parse(name).map_err(|error| Error::request(error.to_string()))?;
    let known = store.find(&reference, Some(platform))?.map(|(_, image)| image);
    let of_record = |image: &ImageRecord| {
        image.layers.iter().map(|layer| layer.blob.as_ref().map(|blob| blob.size)).sum::<Option<u64>>()
    };
    if let Some(image) = known
        && let Some(compressed) = of_record(&image)
    {
        return Ok(BaseImage {
            name: name.to_owned(),
            compressed,
            contents: Some(contents(store, image, name)?),
        });
    }
    let manifest = image_manifest(&reference, platform, transfer)?;
    let compressed = manifest.layers.iter().map(|layer| layer.size).sum();
    let mut image = BaseImage { name: name.to_owned(), compressed, contents: None };
    if compressed <= MAX_PULL {
        let pulled = pull(store, &reference, platform, transfer)?;
        if let Some(record) = store.image(&pulled.image)? {
            image.contents = Some(contents(store, record, name)?);
        }
    }
    Ok(image)
}

fn contents(store: &Store, image: ImageRecord, name: &str) -> Result<BaseContents, Error> {
    let stored = Stored::open(store, image)?;
    // The report reads the layers that were never read, so that there is a tree after it.
    let packages = of_stored(&stored, name)?.packages.len();
    let has = stored.tree()?.map(|tree| parts(&tree)).unwrap_or_default();
    Ok(BaseContents { packages, has })
}
