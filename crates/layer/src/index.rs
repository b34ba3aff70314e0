//! The layer index: what a layer holds, listed once.

use jettison_fs::Timestamp;
use jettison_image::Digest;

use crate::path::{compare_paths, is_below};

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
    /// Whether this is a compiled Python file that records the time of a fresh source in a layer below: the record then
    /// takes the build's epoch too.
    pub follows: bool,
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

impl Index {
    /// Makes an index of `entries` in any order; of two with one path the later one wins.
    pub fn from_entries(mut entries: Vec<Entry>) -> Index {
        // Most are in order, and a sort takes half their memory again.
        if !entries.is_sorted_by(|a, b| compare_paths(&a.path, &b.path).is_le()) {
            // It is stable, so of equal paths the last one stands last.
            entries.sort_by(|a, b| compare_paths(&a.path, &b.path));
        }
        entries.dedup_by(|later, kept| {
            let same = later.path == kept.path;
            if same {
                std::mem::swap(later, kept);
            }
            same
        });
        Index { entries }
    }

    /// Returns the entry of `path`.
    pub fn get(&self, path: &[u8]) -> Option<&Entry> {
        self.entries.get(self.position(path)?)
    }

    /// Returns where in `entries` that of `path` is.
    pub fn position(&self, path: &[u8]) -> Option<usize> {
        self.entries.binary_search_by(|entry| compare_paths(&entry.path, path)).ok()
    }

    /// Returns the entries of `path` and of all below it, in order; of the empty path, all.
    pub fn subtree(&self, path: &[u8]) -> &[Entry] {
        &self.entries[self.subtree_range(path)]
    }

    /// Like [`Index::subtree`], for filling in digests. Paths must stay as they are.
    pub fn subtree_mut(&mut self, path: &[u8]) -> &mut [Entry] {
        let range = self.subtree_range(path);
        &mut self.entries[range]
    }

    /// Returns the listed entries directly in directory `path`, in order.
    pub fn children<'a>(&'a self, path: &'a [u8]) -> impl Iterator<Item = &'a Entry> {
        let depth = crate::path::depth(path) + 1;
        self.subtree(path).iter().filter(move |entry| crate::path::depth(&entry.path) == depth)
    }

    /// Returns this index moved below directory `prefix`: paths and targets of hard links.
    pub fn below(&self, prefix: &[u8]) -> Index {
        let moved = |entry: &Entry| {
            let mut entry = entry.clone();
            entry.path = crate::path::join(prefix, &entry.path);
            if let Kind::Hardlink { target } = &mut entry.kind {
                *target = crate::path::join(prefix, target);
            }
            entry
        };
        Index { entries: self.entries.iter().map(moved).collect() }
    }

    fn subtree_range(&self, path: &[u8]) -> std::ops::Range<usize> {
        let start = self.entries.partition_point(|entry| compare_paths(&entry.path, path).is_lt());
        let length = self.entries[start..].partition_point(|entry| is_below(&entry.path, path));
        start..start + length
    }
}

impl Entry {
    /// Makes an entry of `kind` owned by root, with no bits, times or attributes set.
    pub fn new(path: impl Into<Vec<u8>>, kind: Kind) -> Entry {
        Entry {
            path: path.into(),
            kind,
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: Timestamp::default(),
            fresh: false,
            follows: false,
            xattrs: Vec::new(),
        }
    }

    /// Makes a whiteout. All whiteouts of a path are equal.
    pub fn whiteout(path: impl Into<Vec<u8>>) -> Entry {
        Entry { fresh: true, ..Entry::new(path, Kind::Whiteout) }
    }

    /// Returns the size in bytes of a file, and 0 of all else.
    pub fn size(&self) -> u64 {
        match self.kind {
            Kind::File { size, .. } => size,
            _ => 0,
        }
    }

    /// Returns whether this is a directory.
    pub fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory { .. })
    }
}
