//! What can go wrong with a layer.

use std::io;

use crate::path::show;

/// Why a layer could not be read, written, unpacked or compared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file system call failed.
    #[error(transparent)]
    Fs(#[from] jettison_fs::Error),
    /// A file's content could not be read.
    #[error("cannot read the content of {path}")]
    Content {
        /// The path in the layer.
        path: String,
        /// What the source said.
        #[source]
        source: io::Error,
    },
    /// A file's content could not be written.
    #[error("cannot write {path}")]
    Write {
        /// The path on disk.
        path: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The tar that is read broke off or could not be decompressed.
    #[error("cannot read the tar")]
    Input(#[source] io::Error),
    /// The tar that is written could not be written.
    #[error("cannot write the tar")]
    Output(#[source] io::Error),
    /// A file was not as long as its entry says.
    #[error("{path} was {expected} bytes long, but {found} were read: it changed meanwhile")]
    SizeChanged {
        /// The path in the layer.
        path: String,
        /// The entry's size.
        expected: u64,
        /// What came, or one byte more than expected where there was more.
        found: u64,
    },
    /// The input is not a tar.
    #[error("not a valid tar: {reason} at byte {offset}")]
    Malformed {
        /// What is wrong.
        reason: String,
        /// Where the offending header starts.
        offset: u64,
    },
    /// An entry of the tar, or of an index, is one that we refuse.
    #[error("entry {path} of the layer {reason}")]
    Entry {
        /// Its path.
        path: String,
        /// Why.
        reason: String,
    },
    /// The input exceeds one of our limits.
    #[error("the layer has more than {limit} {what}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How many are allowed.
        limit: u64,
    },
    /// A file's digest is needed but was never taken.
    #[error("the digest of {path} is not known")]
    NoDigest {
        /// The path in the layer.
        path: String,
    },
}

impl Error {
    pub(crate) fn entry(path: &[u8], reason: impl Into<String>) -> Error {
        Error::Entry { path: show(path), reason: reason.into() }
    }

    pub(crate) fn content(path: &[u8], source: io::Error) -> Error {
        Error::Content { path: show(path), source }
    }
}
