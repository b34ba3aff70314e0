//! What the store holds and what of it could go, for `du`.

use std::collections::HashMap;
use std::fs;
use std::time::SystemTime;

use crate::Store;
use crate::cache_mount::CacheMountEntry;
use crate::error::Result;
use crate::files;
use crate::layer::LayerId;
use crate::object::Object;
use crate::reach::Reach;
use crate::session::{self, Seen};

/// Things of one kind. Sizes are bytes on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// How many there are.
    pub count: u64,
    /// What they take.
    pub bytes: u64,
    /// What of it the widest prune would free while no build runs.
    pub reclaimable: u64,
    /// When one of them was last used, as far as that is remembered.
    pub last_used: Option<SystemTime>,
}

/// A layer of the build cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheEntry {
    /// The layer.
    pub id: LayerId,
    /// What made it.
    pub created_by: String,
    /// What it takes on disk, in bytes.
    pub bytes: u64,
    /// Whether an image or a running process needs it.
    pub in_use: bool,
    /// When a record that names it was last used.
    pub last_used: Option<SystemTime>,
}

/// What a store holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Images, with the layers and blobs they need.
    pub images: Group,
    /// Layers that no image needs.
    pub cache: Group,
    /// Blobs that no image needs.
    pub blobs: Group,
    /// Downloads that have not ended.
    pub partials: Group,
    /// Cache mounts.
    pub cache_mounts: Group,
    /// Each copy of a cache mount, the least recently used first.
    pub mounts: Vec<CacheMountEntry>,
    /// All layers, those of images too.
    pub layers: Vec<CacheEntry>,
}

impl Store {
    /// Measures the store. Other processes may change it meanwhile.
    pub fn usage(&self) -> Result<Usage> {
        let by_images = self.memo_reach_of_images()?;
        let mut in_use = Reach::default();
        let mounts = {
            // A look at a lease locks it for a moment, which must not meet a process that is just locking its own.
            let gate = self.inner.gate.discard()?;
            for seen in session::survey(&self.inner.layout.sessions(), &gate)? {
                if let Seen::Live { objects, .. } = seen {
                    objects.iter().try_for_each(|object| in_use.add_object(&self.inner, object))?;
                }
            }
            self.cache_mounts(&gate)?
        };
        let mut usage = Usage {
            partials: self.partials_usage()?,
            cache_mounts: Store::cache_mount_usage(&mounts),
            mounts: mounts.into_iter().map(|(_, entry)| entry).collect(),
            ..Usage::default()
        };
        self.add_images(&mut usage)?;
        self.add_layers(&mut usage, &by_images, &in_use)?;
        for digest in self.blob_digests()? {
            let bytes = self.blob_bytes(&digest);
            if by_images.blobs.contains(&digest) {
                usage.images.bytes += bytes;
            } else {
                usage.blobs.add(bytes, !in_use.blobs.contains(&digest), None);
            }
        }
        Ok(usage)
    }

    fn memo_reach_of_images(&self) -> Result<Reach> {
        let mut reach = self.reach_of_images()?;
        reach.add_memos(&self.inner)?;
        Ok(reach)
    }

    fn add_images(&self, usage: &mut Usage) -> Result<()> {
        usage.images.count = self.images()?.len() as u64;
        // What dangling images alone need is what a prune of images frees.
        let tags = self.tags()?;
        let mut named = Reach::default();
        let mut dangling = Reach::default();
        for image in self.images()? {
            let is_named = tags.iter().any(|tag| tag.entry.image == image.config);
            let reach = if is_named { &mut named } else { &mut dangling };
            reach.add_image(&self.inner, &image)?;
        }
        named.add_memos(&self.inner)?;
        dangling.add_memos(&self.inner)?;
        for id in dangling.layers.difference(&named.layers) {
            usage.images.reclaimable += self.layer_bytes(id)?;
        }
        let blobs = dangling.blobs.difference(&named.blobs);
        usage.images.reclaimable += blobs.map(|digest| self.blob_bytes(digest)).sum::<u64>();
        Ok(())
    }

    fn add_layers(&self, usage: &mut Usage, by_images: &Reach, in_use: &Reach) -> Result<()> {
        let last_used = self.last_uses()?;
        for id in self.layer_ids()? {
            let bytes = self.layer_bytes(&id)?;
            let used = last_used.get(&Object::Layer(id.clone())).copied();
            let busy = in_use.layers.contains(&id);
            if by_images.layers.contains(&id) {
                usage.images.bytes += bytes;
            } else {
                usage.cache.add(bytes, !busy, used);
            }
            let created_by =
                self.inner.layer_meta(&id)?.map(|meta| meta.facts.created_by).unwrap_or_default();
            let in_use = busy || by_images.layers.contains(&id);
            usage.layers.push(CacheEntry { id, created_by, bytes, in_use, last_used: used });
        }
        Ok(())
    }

    fn last_uses(&self) -> Result<HashMap<Object, SystemTime>> {
        let mut last_used: HashMap<Object, SystemTime> = HashMap::new();
        for record in self.inner.record_entries()? {
            for id in record.layers {
                let newest = last_used.entry(Object::Layer(id)).or_insert(record.used);
                *newest = record.used.max(*newest);
            }
        }
        Ok(last_used)
    }

    fn partials_usage(&self) -> Result<Group> {
        let folder = self.inner.layout.partials();
        let mut group = Group::default();
        for name in files::names(&folder)? {
            let path = folder.join(name);
            let Ok(metadata) = fs::metadata(&path) else { continue };
            let idle = fs::File::open(&path).is_ok_and(|file| file.try_lock_shared().is_ok());
            group.add(metadata.len(), idle, metadata.modified().ok());
        }
        Ok(group)
    }
}

impl Group {
    pub(crate) fn add(&mut self, bytes: u64, reclaimable: bool, used: Option<SystemTime>) {
        self.count += 1;
        self.bytes += bytes;
        self.reclaimable += if reclaimable { bytes } else { 0 };
        self.last_used = self.last_used.max(used);
    }
}
