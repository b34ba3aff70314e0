//! Reading OCI image layouts. OCI image spec, image-layout.md.

use jettison_image::{
    Descriptor, Digest, Index, MAX_MANIFEST_SIZE, MediaType, Platform, RawManifest, Reference, media_type,
};

use super::error::{ArchiveError, Result};
use super::files::Files;
use super::{ArchivedImage, IMAGE_NAME, REF_NAME, import};
use crate::{ImageRecord, Store};

/// How deep indexes may lie in each other.
const MAX_DEPTH: usize = 4;

/// Where an image is.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    pub manifest: Descriptor,
}

pub(super) fn images(files: &Files, platform: &Platform) -> Result<Vec<ArchivedImage>> {
    let bytes = files.read_small("index.json", MAX_MANIFEST_SIZE)?;
    let raw = RawManifest { media_type: media_type::OCI_INDEX.to_owned(), bytes };
    let index = raw.index().map_err(|error| import::invalid(files, "index.json", &error))?;
    let mut images: Vec<ArchivedImage> = Vec::new();
    for descriptor in index.manifests.iter().filter(|descriptor| !descriptor.is_attestation()) {
        let Some(manifest) = for_platform(files, descriptor, platform, MAX_DEPTH)? else { continue };
        let names: Vec<Reference> = names(descriptor).collect();
        // Docker lists an image once a name.
        if let Some(same) =
            images.iter_mut().find(|image| image.digest == Some(descriptor.digest) && !names.is_empty())
            && !same.names.is_empty()
        {
            same.names.extend(names);
            continue;
        }
        images.push(ArchivedImage {
            names,
            tag: descriptor.annotations.get(REF_NAME).cloned(),
            digest: Some(descriptor.digest),
            parts: super::Parts::Layout(Parts { manifest }),
        });
    }
    Ok(images)
}

/// Returns the whole names that a descriptor gives its image. A plain tag is none.
fn names(descriptor: &Descriptor) -> impl Iterator<Item = Reference> {
    let whole = |name: &&String| name.contains(['/', ':']);
    let name = descriptor.annotations.get(IMAGE_NAME);
    let name = name.or_else(|| descriptor.annotations.get(REF_NAME).filter(whole));
    name.and_then(|name| Reference::parse(name).ok()).into_iter()
}

/// Finds the manifest for `platform` behind a descriptor. `None` where it is for another, or no image at all.
fn for_platform(
    files: &Files,
    descriptor: &Descriptor,
    platform: &Platform,
    depth: usize,
) -> Result<Option<Descriptor>> {
    let serves = |found: &Platform| platform.rank(found).is_some();
    match MediaType::classify(&descriptor.media_type) {
        Some(MediaType::Manifest) => {
            let found = match &descriptor.platform {
                Some(found) => Some(found.clone()),
                None => platform_of(files, descriptor)?,
            };
            Ok(found.filter(|found| serves(found)).map(|_| descriptor.clone()))
        }
        Some(MediaType::Index) if depth > 0 => {
            let name = blob_name(&descriptor.digest);
            let index: Index = document(files, descriptor)?
                .index()
                .map_err(|error| import::invalid(files, &name, &error))?;
            match index.select(platform) {
                Some(descriptor) => for_platform(files, descriptor, platform, depth - 1),
                None => Ok(None),
            }
        }
        // Other artifacts may share a layout with images.
        _ => Ok(None),
    }
}

/// Reads from its config what an image runs on; `None` for a manifest that is not of an image.
fn platform_of(files: &Files, descriptor: &Descriptor) -> Result<Option<Platform>> {
    let name = blob_name(&descriptor.digest);
    let manifest =
        document(files, descriptor)?.manifest().map_err(|error| import::invalid(files, &name, &error))?;
    if MediaType::classify(&manifest.config.media_type) != Some(MediaType::Config) {
        return Ok(None);
    }
    let name = blob_name(&manifest.config.digest);
    Ok(Some(import::config(files, &name, manifest.layers.len())?.1.platform()))
}

pub(super) fn import(files: &Files, store: &Store, parts: &Parts) -> Result<ImageRecord> {
    let raw = document(files, &parts.manifest)?;
    let name = blob_name(&parts.manifest.digest);
    let manifest = raw.manifest().map_err(|error| import::invalid(files, &name, &error))?;
    for layer in &manifest.layers {
        if MediaType::classify(&layer.media_type) != Some(MediaType::Layer) {
            let why = format!("{} is not the media type of a layer", layer.media_type);
            return Err(ArchiveError::invalid(files.path(), &name, why));
        }
    }
    let (_, config) = import::config(files, &blob_name(&manifest.config.digest), manifest.layers.len())?;
    let all = manifest.layers.iter().chain([&manifest.config, &parts.manifest]);
    all.into_iter().try_for_each(|blob| import::blob(files, store, &blob_name(&blob.digest), blob))?;
    Ok(import::record(
        manifest.config.digest,
        &config,
        manifest.layers,
        Some(raw.descriptor()),
        store.seconds(),
    ))
}

/// Reads and verifies a manifest or index.
fn document(files: &Files, descriptor: &Descriptor) -> Result<RawManifest> {
    let name = blob_name(&descriptor.digest);
    let bytes = files.read_small(&name, MAX_MANIFEST_SIZE)?;
    let found = Digest::of(&bytes);
    if found != descriptor.digest {
        let path = files.path().to_owned();
        return Err(ArchiveError::Digest { path, name, expected: descriptor.digest, found });
    }
    Ok(RawManifest { media_type: descriptor.media_type.clone(), bytes })
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}
