//! The one error of this crate: what was tried, on which path, and what the kernel said.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A file system call that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct Error {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// What the calls of this crate return.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Makes an error: `action` completes "cannot …", `path` is what it was tried on.
    pub fn new(action: &'static str, path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Error {
        Error { action, path: path.into(), source: source.into() }
    }

    /// Returns the path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the kind of failure.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// Returns the kernel's error number, if it was the kernel that refused.
    pub fn raw_os_error(&self) -> Option<i32> {
        self.source.raw_os_error()
    }

    /// Returns whether the path does not exist.
    pub fn is_not_found(&self) -> bool {
        self.kind() == io::ErrorKind::NotFound
    }
}

/// Joins `name`, which may be `.` or empty for `dir` itself, for an error message.
pub(crate) fn join(dir: &Path, name: &[u8]) -> PathBuf {
    match name {
        b"" | b"." => dir.to_owned(),
        name => dir.join(OsStr::from_bytes(name)),
    }
}
