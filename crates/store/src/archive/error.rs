//! Why an archive cannot be read.

use std::io;
use std::path::{Path, PathBuf};

use jettison_image::Digest;

pub(super) type Result<T> = std::result::Result<T, ArchiveError>;

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The store could not take what was read.
    #[error(transparent)]
    Store(#[from] crate::Error),
    /// The archive could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The archive, or a file of it.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Neither layout nor docker archive.
    #[error("{} is neither an OCI image layout nor a docker archive: it has neither index.json nor manifest.json", path.display())]
    Unknown {
        /// The archive.
        path: PathBuf,
    },
    /// A file that is named in the archive is not in it.
    #[error("{}: {name} is missing", path.display())]
    Missing {
        /// The archive.
        path: PathBuf,
        /// The file.
        name: String,
    },
    /// A document of the archive makes no sense.
    #[error("{}: {name}: {why}", path.display())]
    Invalid {
        /// The archive.
        path: PathBuf,
        /// The document.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file of the archive is not what its name promises.
    #[error("{}: {name} has digest {found}, expected {expected}", path.display())]
    Digest {
        /// The archive.
        path: PathBuf,
        /// The file.
        name: String,
        /// The digest it should have.
        expected: Digest,
        /// The digest it has.
        found: Digest,
    },
    /// The image that was asked for is not there.
    #[error("{} has no image {wanted}; it has {}", path.display(), if there.is_empty() { "none for this platform".to_owned() } else { there.join(", ") })]
    NoImage {
        /// The archive.
        path: PathBuf,
        /// What was asked for.
        wanted: String,
        /// What there is.
        there: Vec<String>,
    },
}

impl ArchiveError {
    /// Tells whether the reason is a full file system or quota.
    pub fn is_no_space(&self) -> bool {
        matches!(self, ArchiveError::Store(error) if error.is_no_space())
    }

    pub(super) fn invalid(path: &Path, name: &str, why: impl ToString) -> ArchiveError {
        ArchiveError::Invalid { path: path.to_owned(), name: name.to_owned(), why: why.to_string() }
    }
}
