//! Throwing away: what nothing needs any more, and what a prune is told to forget.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jettison_image::Digest;

use crate::Store;
use crate::cache_mount::CacheMountEntry;
use crate::error::Result;
use crate::files;
use crate::gate::Discarding;
use crate::image::ImageRecord;
use crate::layer::LayerId;
use crate::object::Object;
use crate::reach::{Reach, RecordEntry};
use crate::session::{self, Seen};

/// Which images a prune removes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ImageScope {
    /// None.
    #[default]
    None,
    /// Those without a name.
    Dangling,
    /// All of them, and their names.
    All,
}

/// Which cache records a prune forgets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CacheScope {
    /// None.
    None,
    /// Those whose layers or blobs no image uses.
    #[default]
    Unused,
    /// All of them.
    All,
}

/// What a prune removes. Whatever a running process uses stays in any case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PruneFilter {
    /// Images.
    pub images: ImageScope,
    /// Cache records, and with them the layers that only they need; and cache mounts, unless this is
    /// [`CacheScope::None`].
    pub cache: CacheScope,
    /// Only what was last used longer ago than this.
    pub until: Option<Duration>,
    /// Forget the least recently used records and cache mounts first, and stop when what only the cache needs is within
    /// this many bytes.
    pub keep_storage: Option<u64>,
}

/// What was thrown away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Names that are gone, as docker shows them.
    pub untagged: Vec<String>,
    /// Images.
    pub images: Vec<Digest>,
    /// Cache records.
    pub records: u64,
    /// Copies of cache mounts.
    pub cache_mounts: u64,
    /// Layers.
    pub layers: Vec<LayerId>,
    /// Blobs.
    pub blobs: Vec<Digest>,
    /// Downloads that were given up.
    pub partials: u64,
    /// The disk space that is free now, in bytes.
    pub bytes: u64,
}

impl Store {
    /// Forgets what `filter` says, and throws away every layer and blob that nothing needs any more.
    ///
    /// Runs beside builds: what another process holds stays.
    pub fn prune(&self, filter: &PruneFilter) -> Result<Pruned> {
        let mut pruned = Pruned::default();
        {
            let gate = self.inner.gate.discard()?;
            let limit =
                filter.until.map(|age| self.inner.now.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH));
            self.prune_images(filter.images, limit, &gate, &mut pruned)?;
            self.prune_cache(filter, limit, &gate, &mut pruned)?;
            if filter.cache != CacheScope::None {
                self.prune_partials(limit, &mut pruned)?;
                self.prune_notes(limit, &mut pruned)?;
            }
            self.sweep(&gate, &mut pruned)?;
        }
        self.inner.empty_trash()?;
        Ok(pruned)
    }

    /// Throws away every layer and blob that nothing needs any more.
    pub fn collect(&self) -> Result<Pruned> {
        self.prune(&PruneFilter { cache: CacheScope::None, ..PruneFilter::default() })
    }

    fn prune_images(
        &self,
        scope: ImageScope,
        limit: Option<SystemTime>,
        gate: &Discarding,
        pruned: &mut Pruned,
    ) -> Result<()> {
        if scope == ImageScope::None {
            return Ok(());
        }
        let tags = self.tags()?;
        let named: HashSet<Digest> = tags.iter().map(|tag| tag.entry.image).collect();
        for image in self.images()? {
            let young = limit.is_some_and(|limit| stored_at(&image) >= limit);
            if young || scope == ImageScope::Dangling && named.contains(&image.config) {
                continue;
            }
            for tag in tags.iter().filter(|tag| tag.entry.image == image.config) {
                if self.untag(&tag.reference)? {
                    pruned.untagged.push(tag.reference.familiar());
                }
            }
            self.inner.discard(&Object::Image(image.config), gate)?;
            pruned.images.push(image.config);
        }
        Ok(())
    }

    /// Forgets records and cache mounts, the least recently used first.
    fn prune_cache(
        &self,
        filter: &PruneFilter,
        limit: Option<SystemTime>,
        gate: &Discarding,
        pruned: &mut Pruned,
    ) -> Result<()> {
        if filter.cache == CacheScope::None {
            return Ok(());
        }
        let records = self.inner.record_entries()?;
        let mounts = self.cache_mounts(gate)?;
        let by_images = self.reach_of_images()?;
        let mut shares = Shares::new(self, &records, &by_images)?;
        shares.bytes += mounts.iter().map(|(_, mount)| mount.bytes).sum::<u64>();
        let used_by_image = |record: &RecordEntry| {
            record.layers.iter().all(|id| by_images.layers.contains(id))
                && record.blobs.iter().all(|digest| by_images.blobs.contains(digest))
        };
        for (used, _, victim) in Victim::all(&records, &mounts) {
            if filter.keep_storage.is_some_and(|keep| shares.bytes <= keep) {
                break;
            }
            if limit.is_some_and(|limit| used >= limit) {
                continue;
            }
            match victim {
                Victim::Record(record) if filter.cache == CacheScope::Unused && used_by_image(record) => {}
                Victim::Record(record) => {
                    shares.forget(record);
                    self.inner.discard(&Object::Record(record.kind.clone(), record.key), gate)?;
                    pruned.records += 1;
                }
                Victim::Mount(_, mount) if mount.in_use => {}
                Victim::Mount(copy, mount) => {
                    self.discard_cache_mount(copy, gate)?;
                    shares.bytes -= mount.bytes;
                    pruned.cache_mounts += 1;
                    pruned.bytes += mount.bytes;
                }
            }
        }
        Ok(())
    }

    /// Removes downloads at which nobody is.
    fn prune_partials(&self, limit: Option<SystemTime>, pruned: &mut Pruned) -> Result<()> {
        let folder = self.inner.layout.partials();
        for name in files::names(&folder)? {
            let path = folder.join(name);
            let Ok(metadata) = fs::metadata(&path) else { continue };
            let young =
                limit.is_some_and(|limit| metadata.modified().is_ok_and(|modified| modified >= limit));
            let idle = File::open(&path).is_ok_and(|file| file.try_lock().is_ok());
            if idle && !young {
                files::remove_file(&path)?;
                pruned.partials += 1;
                pruned.bytes += metadata.len();
            }
        }
        Ok(())
    }

    /// Removes notes.
    fn prune_notes(&self, limit: Option<SystemTime>, pruned: &mut Pruned) -> Result<()> {
        let folder = self.inner.layout.notes();
        for name in files::names(&folder)? {
            let path = folder.join(name);
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if limit.is_none_or(|limit| metadata.modified().is_ok_and(|modified| modified < limit)) {
                files::remove_file(&path)?;
                pruned.bytes += metadata.len();
            }
        }
        Ok(())
    }

    /// Removes the layers and blobs that cannot be reached.
    fn sweep(&self, gate: &Discarding, pruned: &mut Pruned) -> Result<()> {
        let inner = &self.inner;
        let mut reach = self.reach_of_images()?;
        for record in inner.record_entries()? {
            reach.add_record(inner, &record)?;
        }
        for seen in session::survey(&inner.layout.sessions(), gate)? {
            if let Seen::Live { objects, .. } = seen {
                objects.iter().try_for_each(|object| reach.add_object(inner, object))?;
            }
        }
        reach.add_memos(inner)?;
        for id in self.layer_ids()?.into_iter().filter(|id| !reach.layers.contains(id)) {
            pruned.bytes += self.layer_bytes(&id)?;
            inner.discard(&Object::Layer(id.clone()), gate)?;
            pruned.layers.push(id);
        }
        for digest in self.blob_digests()?.into_iter().filter(|digest| !reach.blobs.contains(digest)) {
            pruned.bytes += self.blob_bytes(&digest);
            inner.discard(&Object::Blob(digest), gate)?;
            pruned.blobs.push(digest);
        }
        self.forget_memos(&reach)
    }

    /// Forgets compressed forms whose blob is gone.
    fn forget_memos(&self, reach: &Reach) -> Result<()> {
        let root = self.inner.layout.memos();
        for name in files::names(&root)? {
            let folder = root.join(&name);
            for variant in files::names(&folder)? {
                let path = folder.join(variant);
                let bytes = files::read_if_there(&path, files::MAX_DOCUMENT)?.unwrap_or_default();
                let descriptor = serde_json::from_slice::<jettison_image::Descriptor>(&bytes);
                if !descriptor.is_ok_and(|descriptor| reach.blobs.contains(&descriptor.digest)) {
                    files::remove_file(&path)?;
                }
            }
            // It is not empty in the usual case.
            let _ = fs::remove_dir(&folder);
        }
        Ok(())
    }

    pub(crate) fn reach_of_images(&self) -> Result<Reach> {
        let mut reach = Reach::default();
        for image in self.images()? {
            reach.add_image(&self.inner, &image)?;
        }
        Ok(reach)
    }

    pub(crate) fn layer_ids(&self) -> Result<Vec<LayerId>> {
        let names = files::names(&self.inner.layout.layers())?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    pub(crate) fn blob_digests(&self) -> Result<Vec<Digest>> {
        let names = files::names(&self.inner.layout.blobs())?;
        Ok(names.iter().filter_map(|name| Digest::from_hex(name).ok()).collect())
    }

    /// Returns what a layer's folder takes on disk, in bytes.
    pub(crate) fn layer_bytes(&self, id: &LayerId) -> Result<u64> {
        let folder = self.inner.layout.layer(id);
        let index = fs::metadata(folder.join("index")).map_or(0, |metadata| metadata.len());
        let unpacked = match self.inner.layer_meta(id)? {
            Some(meta) if folder.join("fs").is_dir() => meta.disk_size,
            _ => 0,
        };
        Ok(index + unpacked)
    }

    pub(crate) fn blob_bytes(&self, digest: &Digest) -> u64 {
        fs::metadata(self.inner.layout.blob(digest)).map_or(0, |metadata| metadata.len())
    }
}

/// What a prune of the cache may forget.
enum Victim<'a> {
    Record(&'a RecordEntry),
    Mount(&'a Path, &'a CacheMountEntry),
}

impl<'a> Victim<'a> {
    /// All there are with the time of their last use and their path, the least recently used first.
    fn all(
        records: &'a [RecordEntry],
        mounts: &'a [(PathBuf, CacheMountEntry)],
    ) -> Vec<(SystemTime, &'a Path, Victim<'a>)> {
        let of_record =
            |record: &'a RecordEntry| (record.used, record.path.as_path(), Victim::Record(record));
        let of_mount = |(copy, mount): &'a (PathBuf, CacheMountEntry)| {
            let used = mount.last_used.unwrap_or(SystemTime::UNIX_EPOCH);
            (used, copy.as_path(), Victim::Mount(copy, mount))
        };
        let mut all: Vec<_> = records.iter().map(of_record).chain(mounts.iter().map(of_mount)).collect();
        all.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
        all
    }
}

/// How many records need each layer and blob that no image needs, and what those take on disk.
struct Shares {
    counts: HashMap<Object, (u64, u64)>,
    bytes: u64,
    needs: HashMap<(String, Digest), Vec<Object>>,
}

impl Shares {
    fn new(store: &Store, records: &[RecordEntry], by_images: &Reach) -> Result<Shares> {
        let mut shares = Shares { counts: HashMap::new(), bytes: 0, needs: HashMap::new() };
        for record in records {
            let mut reach = Reach::default();
            reach.add_record(&store.inner, record)?;
            reach.add_memos(&store.inner)?;
            let layers =
                reach.layers.into_iter().filter(|id| !by_images.layers.contains(id)).map(Object::Layer);
            let blobs =
                reach.blobs.into_iter().filter(|digest| !by_images.blobs.contains(digest)).map(Object::Blob);
            let needs: Vec<Object> = layers.chain(blobs).collect();
            for object in &needs {
                shares.add(store, object)?;
            }
            shares.needs.insert((record.kind.clone(), record.key), needs);
        }
        Ok(shares)
    }

    fn add(&mut self, store: &Store, object: &Object) -> Result<()> {
        if let Some((count, _)) = self.counts.get_mut(object) {
            *count += 1;
            return Ok(());
        }
        let bytes = match object {
            Object::Layer(id) => store.layer_bytes(id)?,
            Object::Blob(digest) => store.blob_bytes(digest),
            Object::Record(..) | Object::Image(_) => 0,
        };
        self.counts.insert(object.clone(), (1, bytes));
        self.bytes += bytes;
        Ok(())
    }

    fn forget(&mut self, record: &RecordEntry) {
        for object in self.needs.remove(&(record.kind.clone(), record.key)).unwrap_or_default() {
            if let Some((count, bytes)) = self.counts.get_mut(&object) {
                *count -= 1;
                if *count == 0 {
                    self.bytes -= *bytes;
                }
            }
        }
    }
}

fn stored_at(image: &ImageRecord) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(image.stored).unwrap_or(0))
}
