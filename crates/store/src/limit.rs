//! A limit for what the cache takes: looked after at the end of builds that made it grow.
//!
//! Measuring a store means to look at everything in it. So each process that wrote something appends how much to a file, and
//! the store is measured when the sum is above the limit, or has been added to for long.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::Store;
use crate::error::{Context, Result};
use crate::files::{self, Durability};
use crate::gc::Pruned;
use crate::reach::Reach;
use crate::session::{self, Seen};
use crate::value::Cache;

/// After so many processes that wrote something the store is measured again: files that nobody announced count too.
const MEASURE_EVERY: usize = 64;

/// How old notes get: they are easily done without, and many name what has changed since.
const NOTES_LAST: Duration = Duration::from_secs(30 * 86_400);

/// The largest file of what was written that is read, in bytes.
const MAX_GROWTH: u64 = 1 << 20;

impl Store {
    /// Throws away the least valuable of the cache until that takes at most `limit` bytes, if this process made it grow
    /// beyond. Images without a name count as cache; what another process holds, or this one, stays.
    pub fn keep_within(&self, limit: u64) -> Result<Pruned> {
        let inner = &self.inner;
        let grown = inner.grown.swap(0, Ordering::Relaxed);
        if grown == 0 {
            return Ok(Pruned::default());
        }
        let path = inner.layout.growth();
        let known = files::read_if_there(&path, MAX_GROWTH)?;
        let lines: Option<Vec<u64>> = known.map(|known| {
            String::from_utf8_lossy(&known).lines().filter_map(|line| line.parse().ok()).collect()
        });
        let sum = |lines: &Vec<u64>| lines.iter().fold(grown, |sum, line| sum.saturating_add(*line));
        if lines.is_some_and(|lines| lines.len() < MEASURE_EVERY && sum(&lines) <= limit) {
            let mut file = File::options().append(true).create(true).open(&path).context("open", &path)?;
            file.write_all(format!("{grown}\n").as_bytes()).context("write", &path)?;
            return Ok(Pruned::default());
        }
        let (pruned, left) = self.make_room(limit)?;
        files::replace(&inner.temporary()?, &path, format!("{left}\n").as_bytes(), Durability::Later)?;
        Ok(pruned)
    }

    /// Returns what was thrown away, and what the cache takes now.
    fn make_room(&self, limit: u64) -> Result<(Pruned, u64)> {
        let mut pruned = Pruned::default();
        let left = {
            let gate = self.inner.gate.discard()?;
            self.prune_notes(self.inner.now.checked_sub(NOTES_LAST), &mut Pruned::default())?;
            let mut leased = HashSet::new();
            for seen in session::survey(&self.inner.layout.sessions(), &gate)? {
                if let Seen::Live { objects, .. } = seen {
                    leased.extend(objects);
                }
            }
            let named: HashSet<_> = self.tags()?.into_iter().map(|tag| tag.entry.image).collect();
            let (mut kept, mut nameless) = (Reach::default(), Vec::new());
            for image in self.images()? {
                match named.contains(&image.config) {
                    true => kept.add_image(&self.inner, &image)?,
                    false => nameless.push(image),
                }
            }
            kept.add_memos(&self.inner)?;
            let mut cache = Cache::read(self, nameless, &kept, &gate)?;
            for victim in cache.victims() {
                if cache.bytes() <= limit {
                    break;
                }
                if !cache.is_leased(&victim, &leased) {
                    cache.forget(victim, &gate, &mut pruned)?;
                }
            }
            // Unfinished downloads are not looked at: somebody may come back for them.
            if pruned != Pruned::default() {
                self.sweep(&gate, &mut pruned)?;
            }
            cache.bytes()
        };
        self.inner.empty_trash()?;
        Ok((pruned, left))
    }

    /// Returns a tenth of the disk that the store is on, in bytes: the limit where nobody sets one.
    pub fn default_limit(&self) -> Result<u64> {
        let path = self.root();
        let disk = rustix::fs::statvfs(path).map_err(std::io::Error::from).context("measure", path)?;
        Ok(disk.f_blocks.saturating_mul(disk.f_frsize) / 10)
    }

    /// Takes note of bytes that this process added.
    pub(crate) fn grow(&self, bytes: u64) {
        self.inner.grown.fetch_add(bytes, Ordering::Relaxed);
    }
}
