//! Why an export fails.

use std::io;
use std::path::{Path, PathBuf};

use jettison_image::{Digest, ManifestError};

pub(super) type Result<T> = std::result::Result<T, ExportError>;

/// Why an export fails. Nothing half-written is left under the name that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store failed, or a file could not be written.
    #[error(transparent)]
    Store(#[from] jettison_store::Error),
    /// The registry refused.
    #[error(transparent)]
    Registry(#[from] jettison_registry::Error),
    /// Files could not be unpacked.
    #[error(transparent)]
    Layer(#[from] jettison_layer::Error),
    /// A file system call failed.
    #[error(transparent)]
    Files(#[from] jettison_fs::Error),
    /// A layer could not be read or compressed.
    #[error("cannot write layer {diff_id}: {source}")]
    LayerTar {
        /// The layer.
        diff_id: Digest,
        /// What went wrong.
        source: io::Error,
    },
    /// A layer came out differently than when the image was made.
    #[error("layer {expected} came out as {found}: its files changed since the image was made")]
    DiffId {
        /// The digest that the config promises.
        expected: Digest,
        /// That of the tar that was written.
        found: Digest,
    },
    /// A blob could not be read.
    #[error("cannot read blob {digest}: {source}")]
    Blob {
        /// The blob.
        digest: Digest,
        /// What went wrong.
        source: io::Error,
    },
    /// There is neither a blob nor a tar of a layer.
    #[error("layer {0} has no content to export")]
    NoContent(Digest),
    /// The config or manifest makes no sense.
    #[error("cannot export the image: {0}")]
    Document(#[from] ManifestError),
    /// Config and layers do not belong together.
    #[error("cannot export the image: its config has {diff_ids} layers, not these {layers}")]
    Layers {
        /// How many the config has.
        diff_ids: usize,
        /// How many were given.
        layers: usize,
    },
    /// The stream that the output goes to failed.
    #[error("cannot write the output: {0}")]
    Stream(io::Error),
    /// What is already there stands in the way.
    #[error("cannot write {}: {why}", path.display())]
    InTheWay {
        /// The destination.
        path: PathBuf,
        /// What is there.
        why: String,
    },
    /// The image has no name under which to push it.
    #[error("a push needs a name: give the image one with --tag")]
    NoName,
    /// `DOCKER_HOST` is not a form that is supported.
    #[error("DOCKER_HOST \"{address}\": {why}")]
    Address {
        /// The value.
        address: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There is no daemon, or it does not answer as one.
    #[error("cannot load the image into the daemon at {address}: {why}")]
    Daemon {
        /// Where.
        address: String,
        /// What went wrong.
        why: String,
    },
    /// The user interrupted.
    #[error("canceled")]
    Canceled,
}

impl ExportError {
    pub(super) fn file(action: &'static str, path: &Path, source: io::Error) -> ExportError {
        ExportError::Store(jettison_store::Error::io(action, path, source))
    }

    /// Tells whether the reason is a full file system or quota.
    pub fn is_no_space(&self) -> bool {
        matches!(self, ExportError::Store(error) if error.is_no_space())
    }
}
