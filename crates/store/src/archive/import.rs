//! Copying files of an archive into the store, verified.

use std::io::{Read, Write};

use jettison_image::{Config, Descriptor, Digest, ManifestError, Platform};

use super::error::{ArchiveError, Result};
use super::files::Files;
use crate::image::{ImageLayer, ImageRecord, MAX_CONFIG};
use crate::{BlobWriter, Error, Store};

/// Copies the blob `expected` from the file `name`, unless the store has it.
pub(super) fn blob(files: &Files, store: &Store, name: &str, expected: &Descriptor) -> Result<()> {
    if store.blobs().size(&expected.digest)? == Some(expected.size) {
        return Ok(());
    }
    let writer = copy(files, store, name)?;
    match writer.commit(Some(expected.digest)) {
        Ok(_) => Ok(()),
        Err(Error::Digest { expected, found, .. }) => Err(ArchiveError::Digest {
            path: files.path().to_owned(),
            name: name.to_owned(),
            expected,
            found,
        }),
        Err(error) => Err(error.into()),
    }
}

/// Copies the file `name` to a new blob that is not committed yet.
pub(super) fn copy(files: &Files, store: &Store, name: &str) -> Result<BlobWriter> {
    let (mut reader, _) = files.open_file(name)?;
    let mut writer = store.blobs().writer()?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = crate::gate::uninterrupted(|| reader.read(&mut buffer))
            .map_err(|error| files.failed(name, error))?;
        if read == 0 {
            return Ok(writer);
        }
        writer.write_all(&buffer[..read]).map_err(|source| Error::io("write", store.root(), source))?;
    }
}

/// Reads a config and checks that it has as many layers as the manifest.
pub(super) fn config(files: &Files, name: &str, layers: usize) -> Result<(Vec<u8>, Config)> {
    let bytes = files.read_small(name, MAX_CONFIG)?;
    let config = Config::parse(&bytes).map_err(|error| invalid(files, name, &error))?;
    match config.rootfs.diff_ids.len() {
        diff_ids if diff_ids == layers => Ok((bytes, config)),
        diff_ids => {
            let why = format!("the config has {diff_ids} layers, the manifest {layers}");
            Err(ArchiveError::invalid(files.path(), name, why))
        }
    }
}

/// Makes the record of an image whose blobs are in the store.
pub(super) fn record(
    id: Digest,
    config: &Config,
    blobs: Vec<Descriptor>,
    manifest: Option<Descriptor>,
    stored: i64,
) -> ImageRecord {
    let platform: Platform = config.platform();
    let layer = |(diff_id, blob): (&Digest, Descriptor)| ImageLayer {
        diff_id: *diff_id,
        layer: None,
        blob: Some(blob),
    };
    let layers = config.rootfs.diff_ids.iter().zip(blobs).map(layer).collect();
    ImageRecord { config: id, layers, manifest, platform, stored, build: None }
}

pub(super) fn invalid(files: &Files, name: &str, error: &ManifestError) -> ArchiveError {
    ArchiveError::invalid(files.path(), name, error)
}
