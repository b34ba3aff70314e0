//! Reading docker archives: moby's `image/spec`, "Combined Image JSON + Filesystem Changeset Format", 1.1 and later.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use jettison_image::{Descriptor, Digest, HashingWriter, Reference, media_type};
use jettison_layer::decompress;
use serde::Deserialize;

use super::error::{ArchiveError, Result};
use super::files::Files;
use super::{ArchivedImage, import};
use crate::{ImageRecord, Store};

/// The largest `manifest.json` that is read, in bytes.
const MAX_LIST: u64 = 16 << 20;
const LIST: &str = "manifest.json";

/// An entry of `manifest.json`: file names in the archive.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Parts {
    #[serde(rename = "Config")]
    config: String,
    #[serde(rename = "RepoTags", default)]
    repo_tags: Option<Vec<String>>,
    #[serde(rename = "Layers", default)]
    layers: Option<Vec<String>>,
}

pub(super) fn images(files: &Files) -> Result<Vec<ArchivedImage>> {
    let bytes = files.read_small(LIST, MAX_LIST)?;
    let list: Vec<Parts> =
        serde_json::from_slice(&bytes).map_err(|error| ArchiveError::invalid(files.path(), LIST, error))?;
    list.into_iter().map(|parts| image(files, parts)).collect()
}

fn image(files: &Files, parts: Parts) -> Result<ArchivedImage> {
    let tags = parts.repo_tags.as_deref().unwrap_or_default();
    let name = |tag: &String| {
        Reference::parse(tag).map_err(|error| ArchiveError::invalid(files.path(), LIST, error))
    };
    let names = tags.iter().map(name).collect::<Result<Vec<_>>>()?;
    Ok(ArchivedImage { names, tag: None, digest: None, parts: super::Parts::Docker(parts) })
}

pub(super) fn import(files: &Files, store: &Store, parts: &Parts) -> Result<ImageRecord> {
    let layers = parts.layers.as_deref().unwrap_or_default();
    let (bytes, config) = import::config(files, &parts.config, layers.len())?;
    let layers = layers.iter().zip(&config.rootfs.diff_ids);
    let blobs = layers.map(|(name, diff_id)| layer(files, store, name, diff_id)).collect::<Result<_>>()?;
    let id = store.blobs().write(&bytes)?;
    Ok(import::record(id, &config, blobs, None, store.seconds()))
}

/// Copies a layer's tar, which some tools compress, and verifies it against its diff ID.
fn layer(files: &Files, store: &Store, name: &str, diff_id: &Digest) -> Result<Descriptor> {
    let (_, size) = files.open_file(name)?;
    let plain = Descriptor::new(media_type::OCI_LAYER, *diff_id, size);
    if store.blobs().size(diff_id)? == Some(size) {
        return Ok(plain);
    }
    let (digest, size) = import::copy(files, store, name)?.commit(None)?;
    if digest == *diff_id {
        return Ok(plain);
    }
    let mut blob = store.blobs().open(&digest)?;
    let Some(media_type) = compressed_type(&mut blob).map_err(|error| files.failed(name, error))? else {
        return Err(differs(files, name, *diff_id, digest));
    };
    let found = digest_of_content(blob).map_err(|error| files.failed(name, error))?;
    if found != *diff_id {
        return Err(differs(files, name, *diff_id, found));
    }
    Ok(Descriptor::new(media_type, digest, size))
}

/// Returns the media type of a compressed layer by its first bytes: those of RFC 1952 and RFC 8878.
fn compressed_type(blob: &mut File) -> std::io::Result<Option<&'static str>> {
    let mut magic = Vec::new();
    blob.take(4).read_to_end(&mut magic)?;
    blob.seek(SeekFrom::Start(0))?;
    Ok(match magic[..] {
        [0x1f, 0x8b, ..] => Some(media_type::OCI_LAYER_GZIP),
        [0x28, 0xb5, 0x2f, 0xfd] => Some(media_type::OCI_LAYER_ZSTD),
        _ => None,
    })
}

fn digest_of_content(blob: File) -> std::io::Result<Digest> {
    let mut hash = HashingWriter::new(std::io::sink());
    std::io::copy(&mut decompress(blob)?, &mut hash)?;
    Ok(hash.finish().1)
}

fn differs(files: &Files, name: &str, expected: Digest, found: Digest) -> ArchiveError {
    ArchiveError::Digest { path: files.path().to_owned(), name: name.to_owned(), expected, found }
}
