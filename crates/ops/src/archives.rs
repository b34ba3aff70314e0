//! `save` and `load`: images as files.

use std::io::{Read, Write};
use std::path::Path;

use jettison_build::export::{self, CompressionOptions, Place};
use jettison_image::{Platform, Reference};
use jettison_store::{Archive, Loaded, Store};

use crate::Error;
use crate::stored::Stored;
use crate::transfer::{Transfer, export_context};

/// Where `save` writes to.
pub enum Target<'a> {
    /// A file, which appears when it is whole.
    File(&'a Path),
    /// A stream, such as standard output.
    Stream(&'a mut dyn Write),
}

/// Where `load` reads from.
pub enum Input<'a> {
    /// A tar or the directory of an OCI layout.
    File(&'a Path),
    /// A stream with a tar, such as standard input.
    Stream(&'a mut dyn Read),
}

/// Writes images as an archive that docker, podman and skopeo read.
pub fn save(
    store: &Store,
    images: &[String],
    target: Target<'_>,
    transfer: Transfer<'_>,
) -> Result<(), Error> {
    let mut opened: Vec<(Stored<'_>, Vec<Reference>)> = Vec::new();
    for image in images {
        let resolved = store.resolve(image)?;
        let name =
            resolved.name.map(|(reference, _)| reference).filter(|reference| reference.tag().is_some());
        match opened.iter_mut().find(|(stored, _)| stored.record.config == resolved.image.config) {
            Some((_, names)) => names.extend(name),
            None => opened.push((Stored::open(store, resolved.image)?, name.into_iter().collect())),
        }
    }
    let context = export_context(store, transfer);
    let mut prepared = Vec::new();
    for (stored, names) in &opened {
        prepared.push(export::prepare(
            stored.source(names.clone())?,
            &CompressionOptions::default(),
            context,
        )?);
    }
    let place = match target {
        Target::File(path) => Place::File(path),
        Target::Stream(stream) => Place::Stream(stream),
    };
    Ok(export::write_docker_archive(&prepared, place, context)?)
}

/// Takes the images of an archive or layout into the store.
pub fn load(store: &Store, input: Input<'_>, platform: &Platform) -> Result<Vec<Loaded>, Error> {
    let archive = match input {
        Input::File(path) => Archive::open(store, path)?,
        Input::Stream(stream) => Archive::read(store, stream, Path::new("standard input"))?,
    };
    Ok(archive.load(store, platform)?)
}
