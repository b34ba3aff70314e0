//! Exporters: from a config and layers to a registry, an OCI layout, a docker archive, a daemon, a tar, a directory.
//!
//! An exporter gets an [`ImageSource`], plain data and the means to stream a layer, and knows nothing of steps. First
//! [`prepare`] brings every layer into the wanted compression; then the result is written to one or several places.
//! Files appear whole or not at all.

mod annotations;
mod archive;
mod compression;
mod daemon;
mod docker;
mod early;
mod error;
mod http;
mod layout;
mod place;
mod prepare;
mod push;
mod root_fs;
mod source;
mod top;
mod watch;

use std::path::Path;

use jettison_image::{Digest, Platform};
use jettison_registry::Cancel;
use jettison_store::{Archive, ArchiveError, ImageRecord, Store};

pub use annotations::Annotations;
pub use compression::{CompressionOptions, UnknownCompression};
pub use daemon::{DaemonAddress, load_into_daemon};
pub use docker::write_docker_archive;
pub use early::EarlyPush;
pub use error::ExportError;
pub use layout::{write_oci_archive, write_oci_layout};
pub use place::Place;
pub use prepare::{Prepared, PreparedLayer, prepare};
pub use push::{PushedImage, push, push_size};
pub use root_fs::{write_local, write_tar};
pub use source::{FetchBlob, ImageSource, LayerTar, SourceLayer};
pub use top::top;

/// What all exporters need.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Holds pulled blobs, and takes compressed ones.
    pub store: &'a Store,
    /// Ends an export in the middle.
    pub cancel: &'a Cancel,
    /// How many layers are worked on at once.
    pub threads: usize,
    /// Told what is moved: its short digest, bytes so far, bytes in all if known. Called from several threads.
    pub progress: &'a (dyn Fn(&str, u64, Option<u64>) + Sync),
}

/// Takes one image of a layout or archive on disk into the store: by tag, by digest, or the only one.
///
/// The image is not stored under its ID; its blobs stay while `store` lives.
pub fn import_layout(
    store: &Store,
    path: &Path,
    tag: Option<&str>,
    digest: Option<Digest>,
    platform: &Platform,
) -> Result<ImageRecord, ArchiveError> {
    let archive = Archive::open(store, path)?;
    let image = archive.select(tag, digest, platform)?;
    archive.import(store, &image)
}
