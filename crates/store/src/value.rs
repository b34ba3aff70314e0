//! What of the cache is worth keeping: what took long to make, takes little space and was used of late.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::Store;
use crate::cache_mount::CacheMountEntry;
use crate::error::Result;
use crate::gate::Discarding;
use crate::gc::{Pruned, stored_at};
use crate::image::ImageRecord;
use crate::object::Object;
use crate::reach::{Reach, RecordEntry};

/// How fast bytes come back from a registry or a cache mount fills again, in bytes a second: what no command made has a
/// price too.
const REFILL: f64 = 50e6;

/// Below this age, differences do not count: what this hour used is all in use.
const YOUNG: Duration = Duration::from_secs(3600);

/// Everything that may be forgotten, and what it takes on disk.
pub(crate) struct Cache<'a> {
    store: &'a Store,
    records: Vec<RecordEntry>,
    mounts: Vec<(PathBuf, CacheMountEntry)>,
    /// Images without a name, where they may go.
    images: Vec<ImageRecord>,
    /// What each record, then each image needs that nothing else keeps.
    needs: Vec<Vec<Object>>,
    /// How many of those need an object, what that takes on disk, and how long it took to make.
    objects: HashMap<Object, Share>,
    bytes: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Share {
    users: u64,
    bytes: u64,
    seconds: f64,
}

/// One thing that may be forgotten, by its number.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Victim {
    Record(usize),
    Mount(usize),
    Image(usize),
}

impl<'a> Cache<'a> {
    /// Lists what may go: all records, all cache mounts, and `images`. What `kept` reaches is not counted.
    pub(crate) fn read(
        store: &'a Store,
        images: Vec<ImageRecord>,
        kept: &Reach,
        gate: &Discarding,
    ) -> Result<Cache<'a>> {
        let records = store.inner.record_entries()?;
        let mounts = store.cache_mounts(gate)?;
        let bytes = mounts.iter().map(|(_, mount)| mount.bytes).sum();
        let mut cache =
            Cache { store, records, mounts, images, needs: Vec::new(), objects: HashMap::new(), bytes };
        for number in 0..cache.records.len() + cache.images.len() {
            let mut reach = Reach::default();
            match cache.records.get(number) {
                Some(record) => reach.add_record(&store.inner, record)?,
                None => reach.add_image(&store.inner, &cache.images[number - cache.records.len()])?,
            }
            reach.add_memos(&store.inner)?;
            let layers = reach.layers.into_iter().filter(|id| !kept.layers.contains(id)).map(Object::Layer);
            let blobs =
                reach.blobs.into_iter().filter(|digest| !kept.blobs.contains(digest)).map(Object::Blob);
            let needs: Vec<Object> = layers.chain(blobs).collect();
            needs.iter().try_for_each(|object| cache.count(object))?;
            cache.needs.push(needs);
        }
        Ok(cache)
    }

    /// Returns what all of it takes on disk, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn record(&self, number: usize) -> &RecordEntry {
        &self.records[number]
    }

    /// Returns all that may go, the least valuable first.
    pub(crate) fn victims(&self) -> Vec<Victim> {
        let records = (0..self.records.len()).map(Victim::Record);
        let mounts = (0..self.mounts.len()).map(Victim::Mount);
        let images = (0..self.images.len()).map(Victim::Image);
        let mut victims: Vec<Victim> = records.chain(mounts).chain(images).collect();
        victims.sort_by(|a, b| {
            let by_value = self.value(a).total_cmp(&self.value(b));
            by_value
                .then_with(|| self.last_use(a).cmp(&self.last_use(b)))
                .then_with(|| self.name(a).cmp(&self.name(b)))
        });
        victims
    }

    /// Returns when it was last used, as far as that is remembered.
    pub(crate) fn last_use(&self, victim: &Victim) -> SystemTime {
        match victim {
            Victim::Record(number) => self.records[*number].used,
            Victim::Mount(number) => self.mounts[*number].1.last_used.unwrap_or(SystemTime::UNIX_EPOCH),
            Victim::Image(number) => stored_at(&self.images[*number]),
        }
    }

    /// Tells whether a running process uses it.
    pub(crate) fn is_leased(&self, victim: &Victim, leased: &HashSet<Object>) -> bool {
        let uses = |number: usize| self.needs[number].iter().any(|object| leased.contains(object));
        match victim {
            Victim::Record(number) => uses(*number),
            Victim::Mount(number) => self.mounts[*number].1.in_use,
            Victim::Image(number) => {
                uses(self.records.len() + number)
                    || leased.contains(&Object::Image(self.images[*number].config))
            }
        }
    }

    /// Forgets it. A cache mount that is in use stays.
    pub(crate) fn forget(&mut self, victim: Victim, gate: &Discarding, pruned: &mut Pruned) -> Result<()> {
        let inner = &self.store.inner;
        match victim {
            Victim::Record(number) => {
                let record = &self.records[number];
                inner.discard(&Object::Record(record.kind.clone(), record.key), gate)?;
                pruned.records += 1;
                self.release(number);
            }
            Victim::Mount(number) => {
                let (copy, mount) = &self.mounts[number];
                if !mount.in_use {
                    self.store.discard_cache_mount(copy, gate)?;
                    self.bytes -= mount.bytes;
                    pruned.cache_mounts += 1;
                    pruned.bytes += mount.bytes;
                }
            }
            Victim::Image(number) => {
                let config = self.images[number].config;
                inner.discard(&Object::Image(config), gate)?;
                pruned.images.push(config);
                self.release(self.records.len() + number);
            }
        }
        Ok(())
    }

    /// Seconds saved by a byte, less with each hour that it was not used.
    fn value(&self, victim: &Victim) -> f64 {
        let (bytes, seconds) = match victim {
            Victim::Record(number) => self.price(*number),
            Victim::Mount(number) => (self.mounts[*number].1.bytes, 0.0),
            Victim::Image(number) => self.price(self.records.len() + number),
        };
        let age = self.store.inner.now.duration_since(self.last_use(victim)).unwrap_or_default();
        let bytes = bytes.max(1) as f64;
        (seconds + bytes / REFILL) / bytes / age.max(YOUNG).as_secs_f64()
    }

    /// The bytes that a record or image needs, and the seconds that they took.
    fn price(&self, number: usize) -> (u64, f64) {
        let shares = self.needs[number].iter().filter_map(|object| self.objects.get(object));
        shares.fold((0, 0.0), |(bytes, seconds), share| (bytes + share.bytes, seconds + share.seconds))
    }

    fn name(&self, victim: &Victim) -> PathBuf {
        match victim {
            Victim::Record(number) => self.records[*number].path.clone(),
            Victim::Mount(number) => self.mounts[*number].0.clone(),
            Victim::Image(number) => self.store.inner.layout.image(&self.images[*number].config),
        }
    }

    fn count(&mut self, object: &Object) -> Result<()> {
        if let Some(share) = self.objects.get_mut(object) {
            share.users += 1;
            return Ok(());
        }
        let (bytes, seconds) = match object {
            Object::Layer(id) => {
                let meta = self.store.inner.layer_meta(id)?;
                (self.store.layer_bytes(id)?, meta.map_or(0.0, |meta| meta.facts.seconds))
            }
            Object::Blob(digest) => (self.store.blob_bytes(digest), 0.0),
            Object::Record(..) | Object::Image(_) => (0, 0.0),
        };
        self.objects.insert(object.clone(), Share { users: 1, bytes, seconds });
        self.bytes += bytes;
        Ok(())
    }

    fn release(&mut self, number: usize) {
        for object in std::mem::take(&mut self.needs[number]) {
            if let Some(share) = self.objects.get_mut(&object) {
                share.users -= 1;
                if share.users == 0 {
                    self.bytes -= share.bytes;
                }
            }
        }
    }
}
