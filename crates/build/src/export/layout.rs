//! Writing OCI image layouts. OCI image spec, image-layout.md.

use std::fs;
use std::io::Write;
use std::path::Path;

use jettison_image::{Descriptor, Index, MAX_MANIFEST_SIZE, RawManifest, Reference, media_type};
use jettison_store::{IMAGE_NAME, REF_NAME};

use super::Context;
use super::archive::{ArchiveWriter, blob_name, cannot_read, copy};
use super::error::{ExportError, Result};
use super::place::{self, Place};
use super::prepare::Prepared;
use super::top::{descriptor, names, top, top_descriptor};
use super::watch::Watch;

pub(super) const LAYOUT: &str = "oci-layout";
pub(super) const INDEX: &str = "index.json";
pub(super) const LAYOUT_VERSION: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// Writes an image as the tar of an OCI layout; several are one image for different platforms, and get an index.
pub fn write_oci_archive(images: &[Prepared<'_>], place: Place<'_>, context: Context<'_>) -> Result<()> {
    place.fill(|out| {
        let mut archive = ArchiveWriter::new(out);
        archive.folders()?;
        images.iter().try_for_each(|image| archive.blobs(image, context))?;
        let top = top(images);
        archive.document_blob(&top)?;
        archive.document(INDEX, &Index::oci(entries(images, &top)).to_raw().bytes)?;
        archive.document(LAYOUT, LAYOUT_VERSION)?;
        archive.finish()
    })
}

/// Writes an image into a directory that is or becomes an OCI layout; several are one image for different platforms.
/// Other images in it stay, unless they have the same name.
pub fn write_oci_layout(images: &[Prepared<'_>], directory: &Path, context: Context<'_>) -> Result<()> {
    let mut all = existing(directory)?;
    let blobs = directory.join("blobs/sha256");
    fs::create_dir_all(&blobs).map_err(|source| ExportError::file("create", &blobs, source))?;
    images.iter().try_for_each(|image| write_blobs(image, directory, context))?;
    let top = top(images);
    write_blob(directory, &top.descriptor(), |out| out.write_all(&top.bytes).map_err(ExportError::Stream))?;
    let new = entries(images, &top);
    all.retain(|old| !new.iter().any(|new| replaces(new, old)));
    all.extend(new);
    // The index comes after all that it names, and the mark of a layout after the index.
    write_document(&directory.join(INDEX), &Index::oci(all).to_raw().bytes)?;
    match directory.join(LAYOUT) {
        there if there.exists() => Ok(()),
        missing => write_document(&missing, LAYOUT_VERSION),
    }
}

/// Makes the index of a layout with different images.
pub(super) fn index(images: &[Prepared<'_>]) -> RawManifest {
    Index::oci(images.iter().flat_map(|image| named(&image.names, descriptor(image))).collect()).to_raw()
}

/// Makes the entries of one image, or of the index over several, in the index of a layout.
fn entries(images: &[Prepared<'_>], top: &RawManifest) -> Vec<Descriptor> {
    named(names(images), top_descriptor(images, top))
}

/// Makes one entry a name, or one without. The annotations are those of BuildKit: the whole name for containerd and
/// docker, the tag for all others.
fn named(names: &[Reference], plain: Descriptor) -> Vec<Descriptor> {
    if names.is_empty() {
        return vec![plain];
    }
    let named = |name: &Reference| {
        let mut descriptor = plain.clone();
        descriptor.annotations.insert(IMAGE_NAME.to_owned(), name.to_string());
        if let Some(tag) = name.tag() {
            descriptor.annotations.insert(REF_NAME.to_owned(), tag.to_owned());
        }
        descriptor
    };
    names.iter().map(named).collect()
}

/// Tells whether `new` takes the place of `old`: the same name, or the same image without one.
fn replaces(new: &Descriptor, old: &Descriptor) -> bool {
    let name = |descriptor: &Descriptor| descriptor.annotations.get(IMAGE_NAME).cloned();
    let tag = |descriptor: &Descriptor| descriptor.annotations.get(REF_NAME).cloned();
    match (name(new), name(old)) {
        (Some(new), Some(old)) => new == old,
        // Readers such as skopeo know the tag alone; two of the same would be ambiguous to them.
        _ if tag(new).is_some() => tag(new) == tag(old),
        (new_name, _) => new_name.is_none() && tag(old).is_none() && new.digest == old.digest,
    }
}

/// Reads the images that a layout has already; none where there is no layout.
fn existing(directory: &Path) -> Result<Vec<Descriptor>> {
    let path = directory.join(INDEX);
    let bytes = match fs::metadata(&path) {
        Ok(there) if there.len() > MAX_MANIFEST_SIZE => {
            return Err(ExportError::InTheWay { path, why: "there is one that is too large".to_owned() });
        }
        Ok(_) => fs::read(&path).map_err(|source| ExportError::file("read", &path, source))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(ExportError::file("read", &path, source)),
    };
    let raw = RawManifest { media_type: media_type::OCI_INDEX.to_owned(), bytes };
    match raw.index() {
        Ok(index) => Ok(index.manifests),
        Err(error) => {
            Err(ExportError::InTheWay { path, why: format!("there is one that cannot be read: {error}") })
        }
    }
}

fn write_blobs(image: &Prepared<'_>, directory: &Path, context: Context<'_>) -> Result<()> {
    for layer in &image.layers {
        let descriptor = &layer.descriptor;
        write_blob(directory, descriptor, |out| {
            let mut content = layer.open(context.store).map_err(|source| cannot_read(descriptor, source))?;
            let mut watch = Watch::new(out, context, descriptor.digest.short(), Some(descriptor.size));
            copy(content.as_mut(), &mut watch, descriptor, context)?;
            watch.finish();
            Ok(())
        })?;
    }
    let manifest = image.manifest.descriptor();
    for (descriptor, bytes) in [(&image.config_descriptor, &image.config), (&manifest, &image.manifest.bytes)]
    {
        write_blob(directory, descriptor, |out| out.write_all(bytes).map_err(ExportError::Stream))?;
    }
    Ok(())
}

/// Writes a blob, unless it is there: its name says what is in it.
fn write_blob(
    directory: &Path,
    descriptor: &Descriptor,
    write: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<()> {
    let path = directory.join(blob_name(&descriptor.digest));
    if fs::metadata(&path).is_ok_and(|there| there.is_file() && there.len() == descriptor.size) {
        return Ok(());
    }
    place::replace(&path, write)
}

fn write_document(path: &Path, bytes: &[u8]) -> Result<()> {
    place::replace(path, |out| out.write_all(bytes).map_err(ExportError::Stream))
}
