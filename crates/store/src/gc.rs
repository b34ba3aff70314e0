//! Throwing away: what nothing needs any more, and what a prune is told to forget.

use std::collections::HashSet;
use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use jettison_image::Digest;

use crate::Store;
use crate::error::Result;
use crate::files;
use crate::gate::Discarding;
use crate::image::ImageRecord;
use crate::layer::LayerId;
use crate::object::Object;
use crate::reach::{Reach, RecordEntry};
use crate::session::{self, Seen};
use crate::value::{Cache, Victim};

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
    /// Forget the least valuable records and cache mounts first, and stop when what only the cache needs is within this
    /// many bytes.
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

    /// Forgets records and cache mounts, the least valuable first.
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
        let by_images = self.reach_of_images()?;
        let used_by_image = |record: &RecordEntry| {
            record.layers.iter().all(|id| by_images.layers.contains(id))
                && record.blobs.iter().all(|digest| by_images.blobs.contains(digest))
        };
        let mut cache = Cache::read(self, Vec::new(), &by_images, gate)?;
        for victim in cache.victims() {
            if filter.keep_storage.is_some_and(|keep| cache.bytes() <= keep) {
                break;
            }
            if limit.is_some_and(|limit| cache.last_use(&victim) >= limit) {
                continue;
            }
            if let Victim::Record(number) = victim
                && filter.cache == CacheScope::Unused
                && used_by_image(cache.record(number))
            {
                continue;
            }
            cache.forget(victim, gate, pruned)?;
        }
        Ok(())
    }

    /// Removes downloads at which nobody is.
    pub(crate) fn prune_partials(&self, limit: Option<SystemTime>, pruned: &mut Pruned) -> Result<()> {
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
    pub(crate) fn prune_notes(&self, limit: Option<SystemTime>, pruned: &mut Pruned) -> Result<()> {
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
    pub(crate) fn sweep(&self, gate: &Discarding, pruned: &mut Pruned) -> Result<()> {
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

pub(crate) fn stored_at(image: &ImageRecord) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(image.stored).unwrap_or(0))
}
