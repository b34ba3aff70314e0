//! Images from outside the store, in files: OCI image layouts and docker archives.
//!
//! A layout is a directory or a tar (OCI image spec, image-layout.md); a docker archive is the tar of `docker save`, with
//! a `manifest.json`. A tar that is both, as docker 25 and later write it, is read as a layout. Everything in them is
//! outside input: paths are looked up, never followed, and every byte is verified before it is believed.

mod docker;
mod error;
mod files;
mod import;
mod layout;
mod load;

use std::io::Read;
use std::path::Path;

use jettison_image::{Digest, Platform, Reference};

pub use error::ArchiveError;
pub use load::Loaded;

use crate::{ImageRecord, Store};
use error::Result;
use files::Files;

/// The annotation with a tag or a whole name. OCI image spec, annotations.md.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// containerd's annotation with a whole name, which docker reads.
pub const IMAGE_NAME: &str = "io.containerd.image.name";

/// An opened layout or archive.
#[derive(Debug)]
pub struct Archive {
    files: Files,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Layout,
    Docker,
}

/// An image in an archive, for one platform.
#[derive(Debug, Clone)]
pub struct ArchivedImage {
    /// Its whole names.
    pub names: Vec<Reference>,
    /// Its tag where no repository is given, as in most layouts.
    pub tag: Option<String>,
    /// The digest by which the archive's index names it: of its manifest, or of the index of several platforms.
    pub digest: Option<Digest>,
    parts: Parts,
}

/// Where in the archive an image is.
#[derive(Debug, Clone)]
enum Parts {
    Layout(layout::Parts),
    Docker(docker::Parts),
}

impl Archive {
    /// Opens the directory or tar at `path`, which may be compressed.
    pub fn open(store: &Store, path: &Path) -> Result<Archive> {
        Archive::of(Files::open(store, path)?)
    }

    /// Reads a tar, which may be compressed, to its end.
    pub fn read(store: &Store, input: &mut dyn Read, name: &Path) -> Result<Archive> {
        Archive::of(Files::read(store, input, name)?)
    }

    fn of(files: Files) -> Result<Archive> {
        let kind = match (files.has("oci-layout") && files.has("index.json"), files.has("manifest.json")) {
            (true, _) => Kind::Layout,
            (false, true) => Kind::Docker,
            (false, false) => return Err(ArchiveError::Unknown { path: files.path().to_owned() }),
        };
        Ok(Archive { files, kind })
    }

    /// Lists the images that serve `platform`, in the order of the archive.
    pub fn images(&self, platform: &Platform) -> Result<Vec<ArchivedImage>> {
        match self.kind {
            Kind::Layout => layout::images(&self.files, platform),
            Kind::Docker => docker::images(&self.files),
        }
    }

    /// Finds one image, by tag or name, by digest, or, with neither, the only one or the one tagged `latest`.
    pub fn select(
        &self,
        tag: Option<&str>,
        digest: Option<Digest>,
        platform: &Platform,
    ) -> Result<ArchivedImage> {
        let images = self.images(platform)?;
        let wanted = |image: &&ArchivedImage| match (tag, digest) {
            (tag, Some(digest)) => image.is(&digest) && tag.is_none_or(|tag| image.answers_to(tag)),
            (Some(tag), None) => image.answers_to(tag),
            (None, None) => images.len() == 1 || image.answers_to("latest"),
        };
        images.iter().find(wanted).cloned().ok_or_else(|| ArchiveError::NoImage {
            path: self.files.path().to_owned(),
            wanted: match (tag, digest) {
                (_, Some(digest)) => format!("@{digest} for {platform}"),
                (Some(tag), None) => format!(":{tag} for {platform}"),
                (None, None) => format!("for {platform} that is the only one or tagged \"latest\""),
            },
            there: images.iter().map(ArchivedImage::describe).collect(),
        })
    }

    /// Copies an image's blobs into the store and returns its record, which is not stored: the blobs stay while this
    /// `store` lives.
    pub fn import(&self, store: &Store, image: &ArchivedImage) -> Result<ImageRecord> {
        match &image.parts {
            Parts::Layout(parts) => layout::import(&self.files, store, parts),
            Parts::Docker(parts) => docker::import(&self.files, store, parts),
        }
    }
}

impl ArchivedImage {
    fn answers_to(&self, tag: &str) -> bool {
        self.tag.as_deref() == Some(tag)
            || self
                .names
                .iter()
                .any(|name| name.tag() == Some(tag) || name.familiar() == tag || name.to_string() == tag)
    }

    fn is(&self, digest: &Digest) -> bool {
        let manifest = match &self.parts {
            Parts::Layout(parts) => Some(parts.manifest.digest),
            Parts::Docker(_) => None,
        };
        [self.digest, manifest].contains(&Some(*digest))
    }

    fn describe(&self) -> String {
        let name = self.names.first().map(Reference::familiar).or_else(|| self.tag.clone());
        name.or_else(|| self.digest.map(|digest| digest.to_string()))
            .unwrap_or_else(|| "an image without a name".into())
    }
}
