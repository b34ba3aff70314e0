//! What can go wrong with a store; every error names the file it is about.

use std::io;
use std::path::{Path, PathBuf};

use jettison_image::{Digest, ManifestError, ReferenceError};

/// A result of the store.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, such as `read`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file system is full or the user's quota is used up.
    #[error(
        "cannot {action} {}: no space left on the file system mounted at {} ({free} bytes are free)",
        path.display(), mount.display()
    )]
    NoSpace {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Where the full file system is mounted.
        mount: PathBuf,
        /// The bytes an ordinary user could still write.
        free: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The store belongs to another user or id map, so the owners of the files in it would mean something else.
    #[error(
        "the store {} belongs to \"{found}\", this process is \"{expected}\": use another store (JETTISON_ROOT) or the same user and subordinate ids",
        path.display()
    )]
    Owner {
        /// The store.
        path: PathBuf,
        /// Who this process is.
        expected: String,
        /// Who made the store.
        found: String,
    },
    /// A newer version of the program wrote this store.
    #[error("the store holds {}, which a newer version wrote: use that version, or another store", path.display())]
    Newer {
        /// The folder of the newer version.
        path: PathBuf,
    },
    /// Bytes are not what their name promises.
    #[error("{what} has digest {found}, expected {expected}")]
    Digest {
        /// The blob or file.
        what: String,
        /// The digest it should have.
        expected: Digest,
        /// The digest it has.
        found: Digest,
    },
    /// A file is larger than what is sensible for its kind.
    #[error("{} is larger than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit, in bytes.
        limit: u64,
    },
    /// A file of the store does not hold what it should.
    #[error("{} is damaged: {why}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A blob that should be there is not.
    #[error("the store has no blob {0}")]
    NoSuchBlob(Digest),
    /// A layer that should be there is not.
    #[error("the store has no layer {0}")]
    NoSuchLayer(crate::LayerId),
    /// Nothing has this name or ID.
    #[error("no such image: {0}")]
    NoSuchImage(String),
    /// An image ID was shortened too much.
    #[error("image ID \"{text}\" is ambiguous: it could be {}", candidates.join(" or "))]
    Ambiguous {
        /// The text as given.
        text: String,
        /// The image IDs that begin with it.
        candidates: Vec<String>,
    },
    /// An image is not removed by ID while several repositories name it.
    #[error("image {id} is tagged in several repositories ({}): remove those tags, or force it", names.join(", "))]
    StillTagged {
        /// The image, shortened.
        id: String,
        /// The names it has.
        names: Vec<String>,
    },
    /// A text is no layer ID.
    #[error("\"{0}\" is not a layer ID: expected 32 or 64 hex digits")]
    LayerId(String),
    /// A call on a tree failed; the path is in it.
    #[error(transparent)]
    Tree(#[from] jettison_fs::Error),
    /// A text is no reference.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A stored document is not a manifest or config.
    #[error("cannot use {what}: {source}")]
    Manifest {
        /// The document.
        what: String,
        /// What is wrong with it.
        source: ManifestError,
    },
}

impl Error {
    /// Makes the error of a failed system call on `path`, looking up how much space is left if that was the reason.
    pub fn io(action: &'static str, path: &Path, source: io::Error) -> Error {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                let (mount, free) = file_system_of(&path);
                Error::NoSpace { action, path, mount, free, source }
            }
            _ => Error::Io { action, path, source },
        }
    }

    /// Tells whether the reason is a full file system or quota.
    pub fn is_no_space(&self) -> bool {
        matches!(self, Error::NoSpace { .. })
    }
}

/// Adds what was tried on which path to an I/O result.
pub(crate) trait Context<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| Error::io(action, path, source))
    }
}

impl<T> Context<T> for std::result::Result<T, rustix::io::Errno> {
    fn context(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|errno| Error::io(action, path, errno.into()))
    }
}

/// Returns where the file system of `path` is mounted and the bytes that are free there, as far as can be told.
fn file_system_of(path: &Path) -> (PathBuf, u64) {
    use std::os::unix::fs::MetadataExt;

    let existing = path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/"));
    let device = |path: &Path| path.metadata().map(|metadata| metadata.dev()).ok();
    let same = |ancestor: &&Path| device(ancestor) == device(existing);
    let mount = existing.ancestors().take_while(same).last().unwrap_or(existing);
    let free = rustix::fs::statvfs(existing).map(|fs| fs.f_bavail * fs.f_frsize).unwrap_or(0);
    (mount.to_owned(), free)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named() {
        for code in [rustix::io::Errno::NOSPC, rustix::io::Errno::DQUOT] {
            let error = Error::io("write", Path::new("/proc/absent/file"), code.into());
            assert!(error.is_no_space());
            let text = error.to_string();
            assert!(text.contains("/proc/absent/file") && text.contains("mounted at /proc ("), "{text}");
        }
        assert!(!Error::io("write", Path::new("/proc"), rustix::io::Errno::IO.into()).is_no_space());
    }
}
