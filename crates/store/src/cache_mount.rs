//! Cache mounts: directories that outlive the builds whose commands fill them.
//!
//! A cache mount has one or more copies, each `mounts/KEY/NUMBER` with the directory (`fs`), its name for people (`id`)
//! and a lock file. Who uses a copy holds its lock: shared, or alone. A copy is chosen in a critical section of
//! microseconds under the lock of all of them, and inside the gate, so that a prune never takes what is being chosen.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jettison_image::Digest;

use crate::Store;
use crate::error::{Context, Error, Result};
use crate::files::{self, Durability};
use crate::gate::{Discarding, Taking, uninterrupted};
use crate::session;
use crate::usage::Group;

/// The longest name that is read, in bytes.
const MAX_NAME: u64 = 64 << 10;

/// Who may use a cache mount at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountSharing {
    /// Everybody who shares it too.
    Shared,
    /// One at a time; whoever comes second gets another copy.
    Private,
    /// One at a time; whoever comes second waits.
    Locked,
}

/// A copy of a cache mount that is ours to use until this is dropped.
#[derive(Debug)]
pub struct CacheMount {
    fs: PathBuf,
    _lock: File,
}

impl CacheMount {
    /// Returns its directory.
    pub fn fs(&self) -> &Path {
        &self.fs
    }
}

/// What came of asking for a cache mount.
#[derive(Debug)]
pub enum Take {
    /// Here it is.
    Taken(CacheMount),
    /// Somebody uses it: ask again.
    Busy,
    /// There is none that is free: make a copy, see [`Store::draft_cache_mount`].
    Absent,
}

/// A directory that is to become a copy. Dropped without being added, it is removed.
#[derive(Debug)]
pub struct CacheMountDraft {
    folder: PathBuf,
}

impl CacheMountDraft {
    /// Returns the directory, empty at first.
    pub fn fs(&self) -> PathBuf {
        self.folder.join("fs")
    }
}

impl Drop for CacheMountDraft {
    fn drop(&mut self) {
        // What cannot be removed now goes with the session's folder.
        let _ = session::remove_tree(&self.folder);
    }
}

/// A copy as `du` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheMountEntry {
    /// The cache mount's name.
    pub name: String,
    /// What it takes on disk, in bytes.
    pub bytes: u64,
    /// Whether a command uses it.
    pub in_use: bool,
    /// When a command last began to use it.
    pub last_used: Option<SystemTime>,
}

impl Store {
    /// Takes a copy of the cache mount `key`, if one may be used now.
    pub fn take_cache_mount(&self, key: &Digest, sharing: MountSharing) -> Result<Take> {
        let gate = self.inner.gate.take()?;
        let _choosing = self.choose(&gate)?;
        self.free_copy(key, sharing)
    }

    /// Begins a copy of a cache mount that `name` stands for.
    pub fn draft_cache_mount(&self, name: &str) -> Result<CacheMountDraft> {
        let draft = CacheMountDraft { folder: self.inner.temporary()? };
        for folder in [&draft.folder, &draft.fs()] {
            fs::create_dir(folder).context("create", folder)?;
        }
        files::write_new(&draft.folder.join("id"), name.as_bytes(), Durability::Later)?;
        Ok(draft)
    }

    /// Adds a copy and takes it, unless by now another one may be used.
    pub fn add_cache_mount(
        &self,
        key: &Digest,
        sharing: MountSharing,
        draft: CacheMountDraft,
    ) -> Result<Take> {
        let gate = self.inner.gate.take()?;
        let _choosing = self.choose(&gate)?;
        match self.free_copy(key, sharing)? {
            Take::Absent => {}
            taken => return Ok(taken),
        }
        let path = draft.folder.join("lock");
        let lock = File::create_new(&path).context("create", &path)?;
        try_lock(&lock, sharing).map_err(std::io::Error::from).context("lock", &path)?;
        let folder = self.inner.layout.mount(key);
        files::make_folder(&folder)?;
        let last = numbers(&folder)?.last().copied().unwrap_or(0);
        let copy = folder.join((last + 1).to_string());
        fs::rename(&draft.folder, &copy).context("write", &copy)?;
        Ok(Take::Taken(CacheMount { fs: copy.join("fs"), _lock: lock }))
    }

    /// Keeps others from choosing at the same time.
    fn choose(&self, _gate: &Taking<'_>) -> Result<File> {
        let path = self.inner.layout.mounts_lock();
        let file =
            File::options().create(true).truncate(false).write(true).open(&path).context("open", &path)?;
        uninterrupted(|| file.lock()).context("lock", &path)?;
        Ok(file)
    }

    fn free_copy(&self, key: &Digest, sharing: MountSharing) -> Result<Take> {
        let folder = self.inner.layout.mount(key);
        let copies = numbers(&folder)?;
        for number in &copies {
            let copy = folder.join(number.to_string());
            let path = copy.join("lock");
            let lock = File::options().write(true).open(&path).context("open", &path)?;
            match try_lock(&lock, sharing) {
                Ok(()) => {
                    lock.set_modified(self.inner.now).context("set the time of", &path)?;
                    return Ok(Take::Taken(CacheMount { fs: copy.join("fs"), _lock: lock }));
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path, error)),
            }
        }
        match sharing {
            MountSharing::Locked if !copies.is_empty() => Ok(Take::Busy),
            _ => Ok(Take::Absent),
        }
    }

    /// Lists the copies of all cache mounts, with their folders, least recently used first.
    pub(crate) fn cache_mounts(&self, _gate: &Discarding) -> Result<Vec<(PathBuf, CacheMountEntry)>> {
        let mounts = self.inner.layout.mounts();
        let mut entries = Vec::new();
        for key in files::names(&mounts)? {
            let folder = mounts.join(key);
            for number in numbers(&folder)? {
                let copy = folder.join(number.to_string());
                let entry = look(&copy)?;
                entries.push((copy, entry));
            }
        }
        entries.sort_by(|a, b| a.1.last_used.cmp(&b.1.last_used).then_with(|| a.0.cmp(&b.0)));
        Ok(entries)
    }

    /// Throws a copy away that nobody uses.
    pub(crate) fn discard_cache_mount(&self, copy: &Path, _gate: &Discarding) -> Result<()> {
        self.inner.move_to_trash(copy)?;
        if let Some(folder) = copy.parent() {
            // Other copies may be there.
            let _ = fs::remove_dir(folder);
        }
        Ok(())
    }

    /// Sums the copies up.
    pub(crate) fn cache_mount_usage(entries: &[(PathBuf, CacheMountEntry)]) -> Group {
        let mut group = Group::default();
        for (_, entry) in entries {
            group.add(entry.bytes, !entry.in_use, entry.last_used);
        }
        group
    }
}

fn look(copy: &Path) -> Result<CacheMountEntry> {
    let path = copy.join("lock");
    let lock = File::open(&path).context("open", &path)?;
    let in_use = lock.try_lock().is_err();
    let name = files::read_if_there(&copy.join("id"), MAX_NAME)?.unwrap_or_default();
    Ok(CacheMountEntry {
        name: String::from_utf8_lossy(&name).into_owned(),
        bytes: bytes_below(&copy.join("fs")),
        in_use,
        last_used: lock.metadata().and_then(|metadata| metadata.modified()).ok(),
    })
}

/// The numbers of a cache mount's copies, in order.
fn numbers(folder: &Path) -> Result<Vec<u64>> {
    let mut numbers: Vec<u64> = files::names(folder)?.iter().filter_map(|name| name.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn try_lock(file: &File, sharing: MountSharing) -> std::result::Result<(), TryLockError> {
    match sharing {
        MountSharing::Shared => file.try_lock_shared(),
        MountSharing::Private | MountSharing::Locked => file.try_lock(),
    }
}

/// Returns what a tree takes on disk, in bytes, as far as it can be read: a command may be changing it.
fn bytes_below(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;

    /// The unit of `st_blocks`, stat(2).
    const BLOCK: u64 = 512;
    let mut bytes = 0;
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            bytes += metadata.blocks() * BLOCK;
            if metadata.is_dir() {
                open.push(entry.path());
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CacheScope, PruneFilter};

    fn take(store: &Store, sharing: MountSharing) -> Take {
        let key = Digest::of(b"mount");
        match store.take_cache_mount(&key, sharing).unwrap() {
            Take::Absent => {
                let draft = store.draft_cache_mount("mount").unwrap();
                store.add_cache_mount(&key, sharing, draft).unwrap()
            }
            taken => taken,
        }
    }

    fn taken(store: &Store, sharing: MountSharing) -> CacheMount {
        match take(store, sharing) {
            Take::Taken(mount) => mount,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_kind_of_sharing_gets_the_copy_it_may_have() {
        use MountSharing::{Locked, Private, Shared};
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), "me", SystemTime::now()).unwrap();
        let first = taken(&store, Shared);
        fs::write(first.fs().join("file"), "content").unwrap();
        assert_eq!(taken(&store, Shared).fs(), first.fs());
        assert!(matches!(take(&store, Locked), Take::Busy), "a locked one waits for those that share");
        let other = taken(&store, Private);
        assert_ne!(other.fs(), first.fs());
        drop(first);
        let locked = taken(&store, Locked);
        assert!(locked.fs().join("file").exists());
        assert!(matches!(take(&store, Locked), Take::Busy));
        let third = taken(&store, Shared);
        assert!(third.fs() != locked.fs() && third.fs() != other.fs(), "those that share do not wait");
    }

    #[test]
    fn a_prune_leaves_what_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), "me", SystemTime::now()).unwrap();
        let used = taken(&store, MountSharing::Private);
        let idle = taken(&store, MountSharing::Private).fs().to_owned();
        fs::write(idle.join("file"), vec![1; 100_000]).unwrap();
        let usage = store.usage().unwrap();
        assert_eq!((usage.cache_mounts.count, usage.mounts[0].name.as_str()), (2, "mount"));
        assert!(usage.cache_mounts.reclaimable >= 100_000);
        let filter = PruneFilter { cache: CacheScope::Unused, ..PruneFilter::default() };
        let pruned = store.prune(&filter).unwrap();
        assert!(pruned.cache_mounts == 1 && pruned.bytes >= 100_000, "{pruned:?}");
        assert!(used.fs().exists() && !idle.exists());
        drop(used);
        assert_eq!(store.prune(&filter).unwrap().cache_mounts, 1);
        assert_eq!(store.usage().unwrap().cache_mounts.count, 0);
    }
}
