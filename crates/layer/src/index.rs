//! The layer index: what a layer holds, listed once.

use std::cmp::Ordering;

use jettison_image::Digest;

/// All entries of a layer, sorted by [`compare_paths`], each path once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Index {
    /// The entries.
    pub entries: Vec<Entry>,
}

/// One path of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path without leading or trailing slash, `b"usr/bin/sh"`; empty for the root itself. Never `.`, `..` or empty
    /// components.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits with set-id and sticky, `0o7777` at most.
    pub mode: u32,
    /// The owner in the image, which need not be the owner on disk.
    pub uid: u32,
    /// The group in the image.
    pub gid: u32,
    /// The true time of last modification.
    pub mtime: Timestamp,
    /// Whether the file came to be during the build (or from the context): the image then shows the build's epoch
    /// instead of `mtime`.
    pub fresh: bool,
    /// Extended attributes by name, sorted by name.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory. `opaque` hides what layers below have in it.
    Directory {
        /// Whether the lower layers' content is hidden.
        opaque: bool,
    },
    /// A regular file.
    File {
        /// In bytes.
        size: u64,
        /// The digest of its content, once somebody needed it.
        digest: Option<Digest>,
    },
    /// Another name of a file of the same layer or one below.
    Hardlink {
        /// The path of that file, in the form of [`Entry::path`].
        target: Vec<u8>,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points, as stored.
        target: Vec<u8>,
    },
    /// A character device.
    CharacterDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// The path is gone: nothing of it in the layers below shows.
    Whiteout,
}

/// A point in time as file systems store it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Since 1970.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanoseconds: u32,
}

/// Orders paths so that a directory comes before what is in it and subtrees are contiguous: by component, bytewise.
pub fn compare_paths(a: &[u8], b: &[u8]) -> Ordering {
    a.split(|byte| *byte == b'/').cmp(b.split(|byte| *byte == b'/'))
}
