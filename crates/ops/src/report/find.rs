//! Where an image is that a user names.

use std::path::Path;

use jettison_image::{Digest, Platform, Reference};
use jettison_store::{Archive, ImageRecord, Store};

use crate::Error;
use crate::transfer::{Transfer, pull};

/// Names an OCI layout or an archive without doubt.
const PREFIXES: [&str; 4] = ["oci-layout://", "oci:", "oci-archive:", "docker-archive:"];

/// Finds an image: what has a prefix is a file or directory; else the store is asked, then the file system, then the
/// registry.
pub(crate) fn find(
    store: &Store,
    text: &str,
    platform: &Platform,
    transfer: Transfer<'_>,
) -> Result<ImageRecord, Error> {
    if let Some(path) = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix)) {
        return archived(store, path, platform);
    }
    let missing = match store.resolve(text) {
        Ok(resolved) => return Ok(resolved.image),
        Err(error) => error,
    };
    if Path::new(split(text).0).exists() {
        return archived(store, text, platform);
    }
    // What begins like a path is no name of an image.
    if text.starts_with(['.', '/']) {
        return Err(Error::request(format!("{text}: no such file or directory")));
    }
    let Ok(reference) = Reference::parse(text) else { return Err(missing.into()) };
    let pulled = pull(store, &reference, platform, transfer)?;
    store.image(&pulled.image)?.ok_or_else(|| missing.into())
}

fn archived(store: &Store, text: &str, platform: &Platform) -> Result<ImageRecord, Error> {
    let (path, selector) = split(text);
    let digest = selector.and_then(|selector| selector.parse::<Digest>().ok());
    let tag = selector.filter(|_| digest.is_none());
    let archive = Archive::open(store, Path::new(path))?;
    let image = archive.select(tag, digest, platform)?;
    Ok(archive.import(store, &image)?)
}

/// Splits `PATH`, `PATH:TAG` or `PATH@DIGEST`; what exists as it stands is a path.
fn split(text: &str) -> (&str, Option<&str>) {
    if Path::new(text).exists() {
        return (text, None);
    }
    if let Some((path, digest)) = text.split_once('@') {
        return (path, Some(digest));
    }
    let name_start = text.rfind('/').map_or(0, |slash| slash + 1);
    match text[name_start..].find(':') {
        Some(colon) => (&text[..name_start + colon], Some(&text[name_start + colon + 1..])),
        None => (text, None),
    }
}
