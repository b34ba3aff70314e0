//! Where in the store everything is. The folder `v1` is the version of all formats below it.

use std::path::{Path, PathBuf};

use jettison_image::{Digest, Reference};

use crate::LayerId;

/// The version of the stored formats that this code reads and writes.
pub(crate) const VERSION: u32 = 1;

/// The map of a store.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// `ROOT/v1`.
    base: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: &Path) -> Layout {
        Layout { base: root.join(format!("v{VERSION}")) }
    }

    /// All folders that exist from the start.
    pub(crate) fn folders(&self) -> [PathBuf; 11] {
        [
            self.blobs(),
            self.partials(),
            self.layers(),
            self.records(),
            self.memos(),
            self.notes(),
            self.images(),
            self.tags(),
            self.sessions(),
            self.trash(),
            self.unsynced(),
        ]
    }

    pub(crate) fn base(&self) -> &Path {
        &self.base
    }

    /// The identity for which the store was made.
    pub(crate) fn owner(&self) -> PathBuf {
        self.base.join("owner")
    }

    /// The file of the gate.
    pub(crate) fn gate(&self) -> PathBuf {
        self.base.join("lock")
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.base.join("blobs/sha256")
    }

    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    /// Downloads that have not ended.
    pub(crate) fn partials(&self) -> PathBuf {
        self.base.join("partial")
    }

    pub(crate) fn partial(&self, digest: &Digest) -> PathBuf {
        self.partials().join(digest.hex())
    }

    pub(crate) fn layers(&self) -> PathBuf {
        self.base.join("layers")
    }

    pub(crate) fn layer(&self, id: &LayerId) -> PathBuf {
        self.layers().join(id.as_str())
    }

    pub(crate) fn records(&self) -> PathBuf {
        self.base.join("records")
    }

    pub(crate) fn record(&self, kind: &str, key: &Digest) -> PathBuf {
        let hex = key.hex();
        self.records().join(kind).join(&hex[..2]).join(hex)
    }

    pub(crate) fn memos(&self) -> PathBuf {
        self.base.join("memo")
    }

    pub(crate) fn memo(&self, diff_id: &Digest) -> PathBuf {
        self.memos().join(diff_id.hex())
    }

    /// What is worth knowing again.
    pub(crate) fn notes(&self) -> PathBuf {
        self.base.join("notes")
    }

    pub(crate) fn note(&self, key: &Digest) -> PathBuf {
        self.notes().join(key.hex())
    }

    pub(crate) fn images(&self) -> PathBuf {
        self.base.join("images")
    }

    pub(crate) fn image(&self, config: &Digest) -> PathBuf {
        self.images().join(config.hex() + ".json")
    }

    pub(crate) fn tags(&self) -> PathBuf {
        self.base.join("tags")
    }

    /// The folder of a repository's names. A slash becomes a plus, which no repository's name contains and which keeps
    /// the longest name within one file name.
    pub(crate) fn repository(&self, reference: &Reference) -> PathBuf {
        self.tags().join(reference.registry()).join(reference.repository().replace('/', "+"))
    }

    /// The file of a name: its digest if it has one, as docker ignores a tag beside it, else its tag. A digest
    /// contains a colon, which no tag does.
    pub(crate) fn tag(&self, reference: &Reference) -> PathBuf {
        let file = match (reference.digest(), reference.tag()) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.unwrap_or("latest").to_owned(),
        };
        self.repository(reference).join(file)
    }

    /// One folder a cache mount, made with the first; one folder a copy in it.
    pub(crate) fn mounts(&self) -> PathBuf {
        self.base.join("mounts")
    }

    pub(crate) fn mount(&self, key: &Digest) -> PathBuf {
        self.mounts().join(key.hex())
    }

    /// Held while a copy of a cache mount is chosen.
    pub(crate) fn mounts_lock(&self) -> PathBuf {
        self.base.join("mounts.lock")
    }

    /// What a sandbox keeps between steps: mount points.
    pub(crate) fn mount_points(&self) -> PathBuf {
        self.base.join("mount-points")
    }

    /// What was written since the store was measured: a number of bytes a line.
    pub(crate) fn growth(&self) -> PathBuf {
        self.base.join("growth")
    }

    /// One folder a running process.
    pub(crate) fn sessions(&self) -> PathBuf {
        self.base.join("sessions")
    }

    /// Trees that nobody can reach any more and that are being removed.
    pub(crate) fn trash(&self) -> PathBuf {
        self.base.join("trash")
    }

    /// One folder a boot of the machine, one empty file an object that may not be on disk yet.
    pub(crate) fn unsynced(&self) -> PathBuf {
        self.base.join("unsynced")
    }
}
