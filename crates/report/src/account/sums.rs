//! Sums over files: of a layer, of an instruction, of a package, of the image.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use super::{Cause, CountedFile, Fate, Layer};

/// Bytes by what became of them. `stored = live + dead`, `dead = overwritten + deleted + metadata + identical`,
/// `tar = stored + overhead`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// All bytes of files.
    pub stored: u64,
    /// Those that the final tree shows.
    pub live: u64,
    /// Those that it does not.
    pub dead: u64,
    /// Dead: another content took the place.
    pub overwritten: u64,
    /// Dead: deleted.
    pub deleted: u64,
    /// Dead: the same content was stored again for another mode, owner or time.
    pub metadata: u64,
    /// Dead: the very same file was stored again.
    pub identical: u64,
    /// The part of `dead` that belongs to the base image and was hidden by a layer on top of it.
    pub shadowed: u64,
    /// The part of `live` whose content an earlier live file has already.
    pub duplicate: u64,
    /// What the tar holds besides the files' bytes: headers, padding, and entries that the same tar replaces. Less than
    /// nothing where a tar stores holes in files.
    pub overhead: i64,
    /// The uncompressed tar.
    pub tar: u64,
    /// Compressed bytes.
    pub compressed: Compressed,
}

/// Compressed bytes: a blob is as long as it is, but what a file has in it can only be estimated, by its share of the
/// tar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compressed {
    /// The blobs. `None` where a layer was never compressed, and for what is no whole layer.
    pub exact: Option<u64>,
    /// The share of live files.
    pub live_approximate: u64,
    /// The share of dead files.
    pub dead_approximate: u64,
}

impl Sums {
    /// Adds one file; its layer gives the ratio of compressed bytes.
    pub(crate) fn add(&mut self, file: &CountedFile, layer: &Layer) {
        let share = share(file.size, layer);
        self.stored = self.stored.saturating_add(file.size);
        let Fate::Dead { cause, by: _ } = file.fate else {
            self.live = self.live.saturating_add(file.size);
            self.duplicate = self.duplicate.saturating_add(if file.duplicate { file.size } else { 0 });
            self.compressed.live_approximate = self.compressed.live_approximate.saturating_add(share);
            return;
        };
        self.dead = self.dead.saturating_add(file.size);
        self.compressed.dead_approximate = self.compressed.dead_approximate.saturating_add(share);
        let place = match cause {
            Cause::Overwritten => &mut self.overwritten,
            Cause::Deleted => &mut self.deleted,
            Cause::Metadata => &mut self.metadata,
            Cause::Identical => &mut self.identical,
        };
        *place = place.saturating_add(file.size);
    }

    /// Adds up whole layers. The compressed length is exact if it is of each.
    pub(crate) fn total<'a>(layers: impl IntoIterator<Item = &'a Sums>) -> Sums {
        let mut total =
            Sums { compressed: Compressed { exact: Some(0), ..Default::default() }, ..Sums::default() };
        for layer in layers {
            total += *layer;
        }
        total
    }
}

impl AddAssign for Sums {
    fn add_assign(&mut self, other: Sums) {
        self.stored = self.stored.saturating_add(other.stored);
        self.live = self.live.saturating_add(other.live);
        self.dead = self.dead.saturating_add(other.dead);
        self.overwritten = self.overwritten.saturating_add(other.overwritten);
        self.deleted = self.deleted.saturating_add(other.deleted);
        self.metadata = self.metadata.saturating_add(other.metadata);
        self.identical = self.identical.saturating_add(other.identical);
        self.shadowed = self.shadowed.saturating_add(other.shadowed);
        self.duplicate = self.duplicate.saturating_add(other.duplicate);
        self.overhead = self.overhead.saturating_add(other.overhead);
        self.tar = self.tar.saturating_add(other.tar);
        let (ours, theirs) = (&mut self.compressed, other.compressed);
        ours.exact = ours.exact.zip(theirs.exact).map(|(a, b)| a.saturating_add(b));
        ours.live_approximate = ours.live_approximate.saturating_add(theirs.live_approximate);
        ours.dead_approximate = ours.dead_approximate.saturating_add(theirs.dead_approximate);
    }
}

/// Sums up each layer.
pub(super) fn of_layers(layers: &[Layer], files: &[CountedFile]) -> Vec<Sums> {
    let mut sums = vec![Sums::default(); layers.len()];
    for file in files {
        let layer = &layers[file.layer];
        sums[file.layer].add(file, layer);
        if let Fate::Dead { by, .. } = file.fate
            && layer.base
            && !layers[by].base
        {
            sums[file.layer].shadowed = sums[file.layer].shadowed.saturating_add(file.size);
        }
    }
    for (sums, layer) in sums.iter_mut().zip(layers) {
        sums.tar = layer.tar;
        sums.compressed.exact = layer.compressed;
        sums.overhead = difference(layer.tar, sums.stored);
    }
    sums
}

/// Estimates what `bytes` of a layer's tar are in its compressed blob.
pub(crate) fn share(bytes: u64, layer: &Layer) -> u64 {
    let Some(compressed) = layer.compressed else { return 0 };
    let share = u128::from(bytes) * u128::from(compressed) / u128::from(layer.tar.max(1));
    u64::try_from(share).unwrap_or(u64::MAX)
}

fn difference(a: u64, b: u64) -> i64 {
    i64::try_from(i128::from(a) - i128::from(b)).unwrap_or(if a < b { i64::MIN } else { i64::MAX })
}
